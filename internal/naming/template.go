package naming

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
)

// text is a template that is known to end: it has no loops and calls no other template,
// and every function in it bounds what it returns.
type text struct {
	template *template.Template
	fields   []string // the names it uses
}

var errTooLong = errors.New("the template gives a text that is too long: shorten it, or correct the source")

// parse compiles a template. name is what messages call it.
func (r *Rule) parse(name, source string) (*text, error) {
	if len(source) > maxTemplate {
		return nil, fmt.Errorf("%s has %d bytes, at most %d", name, len(source), maxTemplate)
	}
	t, err := template.New(name).Option("missingkey=zero").Funcs(r.functions()).Parse(source)
	if err != nil {
		return nil, explain(err)
	}
	if len(t.Templates()) > 1 || t.Tree == nil || t.Root == nil {
		return nil, fmt.Errorf("%s: define, block and a template without text are not allowed: write the name itself", name)
	}
	c := &checker{tree: t.Tree}
	if err := c.list(t.Root, false); err != nil {
		return nil, err
	}
	slices.Sort(c.fields)
	return &text{template: t, fields: slices.Compact(c.fields)}, nil
}

var notDefined = regexp.MustCompile(`function ("[^"]*") not defined`)

// explain adds what may be written to an error of the parser.
func explain(err error) error {
	message := strings.TrimPrefix(err.Error(), "template: ")
	if m := notDefined.FindStringSubmatch(message); m != nil {
		return fmt.Errorf("%s: functions are %s", message, strings.Join(functionNames(), ", "))
	}
	return errors.New(message)
}

// form is what kind of value a part of a template gives.
type form string

const (
	isText   form = "a text"
	isNumber form = "a number"
	isTruth  form = "true or false"
)

// checker looks for everything in a template that could fail later, and for what could
// loop.
type checker struct {
	tree   *parse.Tree
	fields []string
}

func (c *checker) fault(n parse.Node, format string, args ...any) error {
	location, context := c.tree.ErrorContext(n)
	return fmt.Errorf("%s: %.60s: %s", location, context, fmt.Sprintf(format, args...))
}

// list checks nodes. within: they are inside {{with}}.
func (c *checker) list(l *parse.ListNode, within bool) error {
	if l == nil {
		return nil
	}
	for _, n := range l.Nodes {
		if err := c.node(n, within); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) node(n parse.Node, within bool) error {
	switch n := n.(type) {
	case *parse.TextNode, *parse.CommentNode:
		return nil
	case *parse.ActionNode:
		is, err := c.pipe(n.Pipe, within)
		if err == nil && is != isText {
			return c.fault(n, "gives %s, not a text: use it in if, or as an argument", is)
		}
		return err
	case *parse.IfNode:
		_, err := c.pipe(n.Pipe, within)
		return errors.Join(err, c.list(n.List, within), c.list(n.ElseList, within))
	case *parse.WithNode:
		is, err := c.pipe(n.Pipe, within)
		if err == nil && is != isText {
			return c.fault(n, "gives %s: with needs a text", is)
		}
		return errors.Join(err, c.list(n.List, true), c.list(n.ElseList, within))
	}
	return c.fault(n, "is not allowed here: a name has only values, functions, if and with")
}

func (c *checker) pipe(p *parse.PipeNode, within bool) (form, error) {
	if len(p.Decl) > 0 {
		return "", c.fault(p, "variables are not allowed: write the value itself")
	}
	var piped []form
	for _, cmd := range p.Cmds {
		is, err := c.command(cmd, within, piped)
		if err != nil {
			return "", err
		}
		piped = []form{is}
	}
	return piped[0], nil
}

// command checks a command. piped is the value that a pipe gives it as its last argument.
func (c *checker) command(cmd *parse.CommandNode, within bool, piped []form) (form, error) {
	id, call := cmd.Args[0].(*parse.IdentifierNode)
	if !call {
		if len(cmd.Args) > 1 || len(piped) > 0 {
			return "", c.fault(cmd, "%s is not a function: functions are %s", cmd.Args[0], strings.Join(functionNames(), ", "))
		}
		return c.operand(cmd.Args[0], within)
	}
	var args []form
	for _, arg := range cmd.Args[1:] {
		is, err := c.operand(arg, within)
		if err != nil {
			return "", err
		}
		args = append(args, is)
	}
	return c.call(id, append(args, piped...))
}

func (c *checker) operand(n parse.Node, within bool) (form, error) {
	switch n := n.(type) {
	case *parse.StringNode:
		return isText, nil
	case *parse.NumberNode:
		if !n.IsInt || n.Int64 < 0 || n.Int64 > maxText || strings.Trim(n.Text, "0123456789") != "" {
			return "", c.fault(n, "must be a whole number, 0 to %d", maxText)
		}
		return isNumber, nil
	case *parse.BoolNode:
		return isTruth, nil
	case *parse.DotNode:
		if !within {
			return "", c.fault(n, "the dot alone is only for the inside of with: write .name, .class or another column")
		}
		return isText, nil
	case *parse.FieldNode:
		if within {
			return "", c.fault(n, "the inside of with has another dot: write $%s", n)
		}
		return c.field(n, n.Ident)
	case *parse.VariableNode:
		return c.field(n, n.Ident[1:])
	case *parse.PipeNode:
		return c.pipe(n, within)
	case *parse.IdentifierNode:
		return c.call(n, nil)
	}
	return "", c.fault(n, "is not allowed here")
}

func (c *checker) field(n parse.Node, names []string) (form, error) {
	if len(names) != 1 {
		return "", c.fault(n, "must be one column, as in .name or $.name")
	}
	c.fields = append(c.fields, names[0])
	return isText, nil
}

// call checks the arguments of a function.
func (c *checker) call(n *parse.IdentifierNode, args []form) (form, error) {
	same := func(is form) bool { return !slices.ContainsFunc(args, func(a form) bool { return a != is }) }
	switch n.Ident {
	case "and", "or":
		if len(args) > 0 && (same(isText) || same(isTruth)) {
			return args[0], nil
		}
		return "", c.fault(n, "%s needs texts alone, or conditions alone", n.Ident)
	case "not":
		if len(args) == 1 {
			return isTruth, nil
		}
		return "", c.fault(n, "not needs one value")
	case "eq", "ne":
		if len(args) >= 2 && same(isText) && (n.Ident == "eq" || len(args) == 2) {
			return isTruth, nil
		}
		return "", c.fault(n, "%s compares texts, as in %s .role \"班主任\"", n.Ident, n.Ident)
	}
	f, known := signatures[n.Ident]
	if !known {
		return "", c.fault(n, "%s is not allowed: functions are %s", n.Ident, strings.Join(functionNames(), ", "))
	}
	if !slices.Equal(args, f.params) {
		return "", c.fault(n, "%s is used as in {{%s}}", n.Ident, f.usage)
	}
	return f.result, nil
}

// render executes the template. The result is one line without double spaces.
func (t *text) render(values map[string]string, to *bytes.Buffer) (string, error) {
	to.Reset()
	if err := t.template.Execute(bounded{to}, values); err != nil {
		if errors.Is(err, errTooLong) {
			return "", errTooLong
		}
		return "", fmt.Errorf("the template fails: %w", err)
	}
	return strings.Join(strings.Fields(to.String()), " "), nil
}

// bounded refuses to write more than maxText bytes.
type bounded struct{ to *bytes.Buffer }

func (b bounded) Write(p []byte) (int, error) {
	if b.to.Len()+len(p) > maxText {
		return 0, errTooLong
	}
	return b.to.Write(p)
}
