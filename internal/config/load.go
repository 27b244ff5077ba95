package config

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"rollcall/internal/readfile"
)

// Load reads and judges the file at path. getenv is where secrets are looked
// up. Relative paths in the file begin at its directory. The error is a
// *ProblemsError unless the file cannot be read.
func Load(path string, getenv func(string) string) (*Config, error) {
	content, err := readfile.Whole(path, configMax)
	if err != nil {
		return nil, fmt.Errorf("the configuration comes from the file %s, %s", path, reason(err))
	}
	return Parse(path, content, getenv)
}

// Parse is Load for content that is at hand; name stands in the problems.
func Parse(name string, content []byte, getenv func(string) string) (*Config, error) {
	var root yaml.Node
	if err := yaml.Load(content, &root); err != nil {
		return nil, &ProblemsError{File: name, Problems: []Problem{syntaxProblem(err)}}
	}
	d := &document{root: root.Content[0], dir: filepath.Dir(name), getenv: getenv}
	cfg := new(Config)
	if clean := d.shape(d.root, reflect.TypeFor[Config](), nil, ""); clean != nil {
		if err := clean.Load(cfg); err != nil {
			// What shape lets through can be loaded; this is a defect of ours.
			d.say(nil, "cannot be read, and that is a fault of rollcall; please report it: %v", err)
		}
		d.judge(cfg)
	}
	if len(d.problems) > 0 {
		slices.SortStableFunc(d.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
		return nil, &ProblemsError{File: name, Problems: d.problems}
	}
	return cfg, nil
}

// syntaxProblem says in a person's words why a file is not YAML. The parser's
// own words may quote the file, and with it a secret.
func syntaxProblem(err error) Problem {
	if many, ok := errors.AsType[*yaml.LoadErrors](err); ok && len(many.Errors) > 0 {
		err = many.Errors[0]
	}
	fault, ok := errors.AsType[*yaml.LoadError](err)
	if !ok {
		return Problem{Text: "the file is not YAML"}
	}
	p := Problem{Line: fault.Mark.Line}
	begins := ""
	if line := fault.ContextMark.Line; line > 0 && line != p.Line {
		begins = fmt.Sprintf(" (it begins on line %d)", line)
	}
	says := func(part string) bool { return strings.Contains(fault.Message, part) }
	switch {
	case says("no documents"):
		return Problem{Text: "the file is empty; begin it with organisations:"}
	case says("found multiple"):
		return Problem{Text: "the file holds more than one document; take out what follows the line ---"}
	case says("mapping values are not allowed"):
		p.Text = "a colon stands where none can; check the indentation, and quote a text that holds a colon and a space"
	case says("unexpected end of stream"):
		p.Text = "a quotation mark is opened and never closed"
		if begins != "" {
			p.Line = fault.ContextMark.Line
		}
	case says("cannot start any token"):
		p.Text = "a character stands where none can; indent with spaces, not tabs, and quote a value that begins with @, % or `"
	case says("unknown anchor"), says("alphabetic or numeric"):
		p.Text = "a value begins with * and so means another one, which does not exist; put it in quotes if it is meant as it stands"
	case says("did not find expected"), says("could not find expected"):
		p.Text = "a bracket, a colon or a line's indentation does not fit what stands around it" + begins
	default:
		p.Text = "the file is not YAML here; check indentation, brackets and quotation marks" + begins
	}
	return p
}
