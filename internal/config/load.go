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

// Load reads and validates the file at path. getenv looks up secrets. Relative paths in
// the file start at its directory. The error is a *ProblemsError unless the file cannot
// be read.
func Load(path string, getenv func(string) string, judges ...Judge) (*Config, error) {
	content, err := readfile.Whole(path, configMax)
	if err != nil {
		return nil, fmt.Errorf("the configuration comes from the file %s, %s", path, reason(err))
	}
	return Parse(path, content, getenv, judges...)
}

// Parse does the same as Load for content that is in memory. name appears in the
// problems.
func Parse(name string, content []byte, getenv func(string) string, judges ...Judge) (*Config, error) {
	var root yaml.Node
	if err := yaml.Load(content, &root); err != nil {
		return nil, &ProblemsError{File: name, Problems: []Problem{syntaxProblem(err)}}
	}
	cfg := new(Config)
	d := &document{root: root.Content[0], dir: filepath.Dir(name), getenv: getenv, config: cfg, named: map[string]bool{}}
	if clean := d.shape(d.root, reflect.TypeFor[Config](), nil, ""); clean != nil {
		if err := clean.Load(cfg); err != nil {
			// shape has checked the form, so an error here is a defect of rollcall.
			d.report(nil, "cannot be read because of a fault of rollcall; please report it: %v", err)
		}
		d.judge()
		for _, judge := range judges {
			judge(cfg, d.locate)
		}
	}
	if len(d.problems) > 0 {
		slices.SortStableFunc(d.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
		return nil, &ProblemsError{File: name, Problems: d.problems}
	}
	return cfg, nil
}

// syntaxProblem explains why a file is not YAML. It does not use the parser's message,
// which may quote the file and with it a secret.
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
	rule := func(part string) bool { return strings.Contains(fault.Message, part) }
	switch {
	case rule("no documents"):
		return Problem{Text: "the file is empty; begin it with organisations:"}
	case rule("found multiple"):
		return Problem{Text: "the file contains more than one document; remove everything after the line ---"}
	case rule("mapping values are not allowed"):
		p.Text = "unexpected colon; check the indentation, and quote a text that contains a colon and a space"
	case rule("unexpected end of stream"):
		p.Text = "a quotation mark is not closed"
		if begins != "" {
			p.Line = fault.ContextMark.Line
		}
	case rule("cannot start any token"):
		p.Text = "unexpected character; indent with spaces, not tabs, and quote a value that begins with @, % or `"
	case rule("unknown anchor"), rule("alphabetic or numeric"):
		p.Text = "a value begins with *, which refers to an anchor that does not exist; quote it if it is a plain text"
	case rule("did not find expected"), rule("could not find expected"):
		p.Text = "a bracket, a colon or the indentation of a line does not match its surroundings" + begins
	default:
		p.Text = "the file is not YAML here; check indentation, brackets and quotation marks" + begins
	}
	return p
}
