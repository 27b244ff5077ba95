package config

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Problem is one thing that is wrong with a file.
type Problem struct {
	Line int    `json:"line,omitzero"` // 0: the file as a whole
	Text string `json:"problem"`
}

// ProblemsError contains all problems of a file, from its first line to its last.
type ProblemsError struct {
	File     string
	Problems []Problem // at least one
}

// Error prints one problem per line, each with file and line.
func (e *ProblemsError) Error() string { return strings.Join(e.Lines(), "\n") }

// Lines are the lines of Error.
func (e *ProblemsError) Lines() []string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		if p.Line > 0 {
			lines[i] = fmt.Sprintf("%s:%d: %s", e.File, p.Line, p.Text)
		} else {
			lines[i] = fmt.Sprintf("%s: %s", e.File, p.Text)
		}
	}
	return lines
}

// document is a file that is being validated. A path leads from its root to a value:
// keys as strings, positions in a list as ints.
type document struct {
	root     *yaml.Node // the file as written
	dir      string     // the file's directory, where relative paths start
	getenv   func(string) string
	config   *Config
	named    map[string]bool // names of things that must have different ones, after their kind
	problems []Problem
	reported [][]any // paths that need no further message: their other problems are consequences
}

// report adds a problem of the value at path. The text continues after the value's name.
func (d *document) report(path []any, format string, args ...any) {
	if d.silent(path) {
		return
	}
	d.reportLine(d.line(path), path, format, args...)
}

// reportOnce is like report, and suppresses all other problems of that value as consequences.
func (d *document) reportOnce(path []any, format string, args ...any) {
	d.report(path, format, args...)
	d.reported = append(d.reported, path)
}

// silent reports whether problems of a value are suppressed.
func (d *document) silent(path []any) bool {
	return slices.ContainsFunc(d.reported, func(silenced []any) bool {
		return len(silenced) <= len(path) && slices.Equal(silenced, path[:len(silenced)])
	})
}

func (d *document) reportLine(line int, path []any, format string, args ...any) {
	d.problems = append(d.problems, Problem{Line: line, Text: d.position(path) + " " + fmt.Sprintf(format, args...)})
}

// line returns the line of the value at path, or of the nearest existing value around
// it.
func (d *document) line(path []any) int {
	node, line := d.root, d.root.Line
	for _, step := range path {
		next, at := child(node, step)
		if next == nil {
			break
		}
		node, line = next, at
	}
	return line
}

// child returns a value in a node, and the line of it or of its key.
func child(node *yaml.Node, step any) (*yaml.Node, int) {
	node = resolve(node)
	switch s := step.(type) {
	case int:
		if node.Kind == yaml.SequenceNode && s < len(node.Content) {
			return resolve(node.Content[s]), node.Content[s].Line
		}
	case string:
		if node.Kind == yaml.MappingNode {
			for i := 0; i+1 < len(node.Content); i += 2 {
				if node.Content[i].Value == s {
					return resolve(node.Content[i+1]), node.Content[i].Line
				}
			}
		}
	}
	return nil, 0
}

// resolve follows *name to the value with the anchor &name.
func resolve(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

// position names a value for a person: by the names given in the file rather than by
// positions.
func (d *document) position(path []any) string {
	subject, rest := "", []string(nil)
	for i, step := range path {
		position, listed := step.(int)
		if !listed {
			rest = append(rest, step.(string))
			continue
		}
		list, _ := path[i-1].(string)
		if i > 1 && path[i-2] == "limits" {
			subject, rest = fmt.Sprintf("%s: %s, limit %d", subject, strings.Join(rest, "."), position+1), nil
			continue
		}
		kind := singular(list)
		if kind == "" {
			continue // an entry of a plain list is identified by its value
		}
		rest = nil
		subject = fmt.Sprintf("%s %d", kind, position+1)
		if node := d.at(append(slices.Clone(path[:i+1]), "name")); node != nil && node.Kind == yaml.ScalarNode && node.Value != "" {
			subject = kind + " " + shortened(node.Value)
		}
	}
	switch name := strings.Join(rest, "."); {
	case subject == "" && name == "":
		return "the file"
	case subject == "":
		return name
	case name == "":
		return subject
	default:
		return subject + ": " + name
	}
}

func (d *document) at(path []any) *yaml.Node {
	node := d.root
	for _, step := range path {
		if node, _ = child(node, step); node == nil {
			return nil
		}
	}
	return node
}

// shortened limits a text so that a message fits on a screen.
func shortened(text string) string {
	if r := []rune(text); len(r) > 40 {
		text = string(r[:40]) + "…"
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == '"' }) {
		return fmt.Sprintf("%q", text)
	}
	return text
}

// under returns a path below another, without sharing memory with other paths.
func under(path []any, steps ...any) []any { return slices.Concat(path, steps) }
