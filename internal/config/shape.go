package config

import (
	"cmp"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// shape checks the form of a value against its type and its row in keys. It returns the
// value so that it can be loaded: without its faults, and with its defaults; nil if
// nothing is left.
func (d *document) shape(n *yaml.Node, t reflect.Type, path []any, rule string) *yaml.Node {
	n = resolve(n)
	switch {
	case t == reflect.TypeFor[yaml.Node]():
		if n.Kind != yaml.MappingNode {
			d.reportOnce(path, "is %s, but must be a section with keys of its own", form(n))
			return nil
		}
		return n // a [Judge] reads it
	case t == reflect.TypeFor[Source]() && n.Kind == yaml.ScalarNode:
		d.reportOnce(path, "is a secret, which must not be written into this file; put it into an environment variable "+
			"and write {env: NAME}, or into a file and write {file: /path}")
		return nil
	case t == reflect.TypeFor[Duration]():
		return d.duration(n, path)
	case t == reflect.TypeFor[Limits]():
		return d.limitOrList(n, path)
	case t == reflect.TypeFor[Limit]() && n.Kind != yaml.MappingNode:
		d.reportOnce(path, "is %s, but must be a limit; write it as in {calls: 20, per: 1s}", form(n))
		return nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		return d.shape(n, t.Elem(), path, rule)
	case reflect.Struct, reflect.Map:
		if n.Kind != yaml.MappingNode {
			d.reportOnce(path, "is %s, but must have keys: %s", form(n), strings.Join(fieldNames(t, rule), ", "))
			return nil
		}
		return d.mapping(n, t, path, rule)
	case reflect.Slice:
		return d.list(n, t, path, rule)
	default:
		return d.scalar(n, t, path, find(rule))
	}
}

// form names what kind of node n is, without showing it: it may be a secret.
func form(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.MappingNode:
		return "a section with keys of its own"
	case n.Tag == "!!null":
		return "empty"
	default:
		return "a single value"
	}
}

func (d *document) mapping(n *yaml.Node, t reflect.Type, path []any, rule string) *yaml.Node {
	switch t {
	case reflect.TypeFor[Source]():
		rule = "secret"
	case reflect.TypeFor[Limit]():
		rule = "limit"
	}
	clean := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: n.Line}
	first := map[string]int{} // key → its line
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], resolve(n.Content[i+1])
		of := fieldType(t, rule, k.Value)
		switch {
		case of == nil:
			d.unknown(k, t, path, rule)
			continue
		case first[k.Value] > 0:
			d.reportLine(k.Line, under(path, k.Value), "is given twice, first on line %d; keep one", first[k.Value])
			continue
		}
		first[k.Value] = k.Line
		list := of.Kind() == reflect.Slice && of != reflect.TypeFor[Limits]() && !find(join(rule, k.Value)).required
		if v.Tag == "!!null" && (isSection(of) || list) {
			continue // everything in it is commented out
		}
		if v.Tag == "!!null" {
			d.reportOnce(under(path, k.Value), "has no value; write one, or remove the key")
			continue
		}
		if value := d.shape(v, of, under(path, k.Value), join(rule, k.Value)); value != nil {
			put(clean, k.Value, value)
		}
	}
	present := func(name string) bool { return first[name] > 0 }
	d.oneOfEach(clean, t, path, rule, present)
	d.fill(clean, t, path, rule, present)
	return clean
}

// limitOrList turns a single limit into a list.
func (d *document) limitOrList(n *yaml.Node, path []any) *yaml.Node {
	if n.Kind == yaml.SequenceNode {
		return d.list(n, reflect.TypeFor[Limits](), path, "limit")
	}
	limit := d.shape(n, reflect.TypeFor[Limit](), path, "limit")
	if limit == nil {
		return nil
	}
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: n.Line, Content: []*yaml.Node{limit}}
}

func (d *document) list(n *yaml.Node, t reflect.Type, path []any, rule string) *yaml.Node {
	if n.Kind != yaml.SequenceNode {
		d.reportOnce(path, "is %s, but must be a list; begin each entry with \"- \"", form(n))
		return nil
	}
	switch k := find(rule); {
	case len(n.Content) < k.min:
		d.reportOnce(path, "is an empty list; add at least one entry")
		return nil
	case k.max > 0 && len(n.Content) > k.max:
		d.reportOnce(path, "has %d entries; keep at most %d", len(n.Content), k.max)
		return nil
	}
	clean := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: n.Line}
	entryRule := rule + "[]"
	if t.Elem().Kind() == reflect.String {
		entryRule = rule // a list of texts and its entries share a row
	}
	for i, entry := range n.Content {
		value := d.shape(entry, t.Elem(), under(path, i), entryRule)
		if value == nil {
			// Positions must match the file, and a null would be left out.
			value = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Line: entry.Line}
			if t.Elem().Kind() == reflect.Struct {
				value = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: entry.Line}
			}
		}
		clean.Content = append(clean.Content, value)
	}
	return clean
}

func (d *document) scalar(n *yaml.Node, t reflect.Type, path []any, k key) *yaml.Node {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		d.reportOnce(path, "is %s, but must be a single value", form(n))
		return nil
	}
	clean := &yaml.Node{Kind: yaml.ScalarNode, Value: n.Value, Line: n.Line}
	switch t.Kind() {
	case reflect.Bool:
		clean.Tag = "!!bool"
		if n.Value != "true" && n.Value != "false" {
			d.reportOnce(path, "must be true or false")
			return nil
		}
	case reflect.Int:
		clean.Tag = "!!int"
		number, err := strconv.Atoi(n.Value)
		switch {
		case err != nil:
			d.reportOnce(path, "is %s; write a whole number", shortened(n.Value))
			return nil
		case k.max > 0 && (number < k.min || number > k.max):
			d.reportOnce(path, "is %d; it must be %d to %d", number, k.min, k.max)
			return nil
		case number < k.min:
			d.reportOnce(path, "is %d; it must be at least %d", number, k.min)
			return nil
		}
		clean.Value = strconv.Itoa(number) // YAML would parse 010 as 8
	default:
		clean.Tag = "!!str"
		clean.Style = yaml.DoubleQuotedStyle
		switch {
		case len(k.enum) > 0 && !slices.Contains(k.enum, n.Value):
			d.reportOnce(path, "is %s; it must be one of %s", shortened(n.Value), strings.Join(k.enum, ", "))
			return nil
		case k.form.pattern != "" && !regexp.MustCompile(k.form.pattern).MatchString(n.Value):
			d.reportOnce(path, "is %q; it must be %s", n.Value, k.form.words)
			return nil
		case strings.TrimSpace(n.Value) == "":
			d.reportOnce(path, "is empty%s", cmp.Or(example(path, k), "; write a value, or remove the key"))
			return nil
		}
	}
	return clean
}

func (d *document) duration(n *yaml.Node, path []any) *yaml.Node {
	if n.Kind != yaml.ScalarNode {
		d.reportOnce(path, "is %s, but must be a length of time; write it as in 15s, 500ms or 2m", form(n))
		return nil
	}
	if err := new(Duration).UnmarshalText([]byte(n.Value)); err != nil {
		d.reportOnce(path, "%v", err)
		return nil
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: n.Value, Line: n.Line}
}

// fieldNames returns the keys of a section: the fields of a struct, or the kinds of task
// that the rule has limits for.
func fieldNames(t reflect.Type, rule string) []string {
	var names []string
	if t.Kind() == reflect.Map {
		for _, k := range keys {
			if name, below := strings.CutPrefix(k.path, rule+"."); below {
				names = append(names, name)
			}
		}
		return names
	}
	for field := range t.Fields() {
		if name := field.Tag.Get("yaml"); name != "-" {
			names = append(names, name)
		}
	}
	return names
}

// fieldType returns the type of a key of a section; nil: it has no such key.
func fieldType(t reflect.Type, rule, name string) reflect.Type {
	if !slices.Contains(fieldNames(t, rule), name) {
		return nil
	}
	if t.Kind() == reflect.Map {
		return t.Elem()
	}
	for field := range t.Fields() {
		if field.Tag.Get("yaml") == name {
			return field.Type
		}
	}
	return nil
}

func join(rule, name string) string {
	if rule == "" {
		return name
	}
	return rule + "." + name
}
