package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// oneOfEach checks that exactly one of the keys that exclude each other is present.
func (d *document) oneOfEach(clean *yaml.Node, t reflect.Type, path []any, rule string, present func(string) bool) {
	var names, given []string
	def := ""
	for _, name := range fieldNames(t, rule) {
		if k := find(join(rule, name)); k.one != "" {
			names = append(names, name)
			if present(name) {
				given = append(given, name)
			}
			if k.def != "" {
				def = name
				if len(given) == 0 {
					continue
				}
			}
		}
	}
	switch {
	case len(names) == 0 || len(given) == 1:
	case len(given) > 1:
		d.report(path, "has both %s; keep one of them", strings.Join(given, " and "))
		drop(clean, given[1:])
	case def != "":
		put(clean, def, standIn(find(join(rule, def)).def))
	default:
		d.report(path, "needs %s; add one of them", strings.Join(names, " or "))
	}
}

// fill adds missing values: defaults, and the sections that contain some.
func (d *document) fill(clean *yaml.Node, t reflect.Type, path []any, rule string, present func(string) bool) {
	for _, name := range fieldNames(t, rule) {
		of := fieldType(t, rule, name)
		if present(name) {
			if v, _ := child(clean, name); v != nil || !isSection(of) {
				continue
			}
		}
		k := find(join(rule, name))
		switch {
		case k.required:
			d.reportOnce(under(path, name), "is missing%s", advice(under(path, name), of, k))
		case k.one != "":
		case k.def != "":
			// Defaults have defaults themselves: a limit's window.
			put(clean, name, d.shape(standIn(k.def), of, under(path, name), join(rule, name)))
		case isSection(of):
			empty := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
			put(clean, name, d.mapping(empty, of, under(path, name), join(rule, name)))
		}
	}
}

// isSection reports whether a struct, or the limits of a platform, is always present.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Map || t.Kind() == reflect.Struct && t != reflect.TypeFor[Source]() && t != reflect.TypeFor[yaml.Node]()
}

func advice(path []any, t reflect.Type, k key) string {
	if t == reflect.TypeFor[Source]() {
		name, _ := path[len(path)-1].(string)
		return "; write " + name + ": {env: NAME} or " + name + ": {file: /path}"
	}
	return cmp.Or(example(path, k), "; add at least one entry")
}

func example(path []any, k key) string {
	name, named := path[len(path)-1].(string)
	if !named || k.eg == "" {
		return ""
	}
	return "; write it as in " + name + ": " + k.eg
}

func drop(mapping *yaml.Node, names []string) {
	for i := len(mapping.Content) - 2; i >= 0; i -= 2 {
		if slices.Contains(names, mapping.Content[i].Value) {
			mapping.Content = slices.Delete(mapping.Content, i, i+2)
		}
	}
}

func put(mapping *yaml.Node, name string, value *yaml.Node) {
	mapping.Content = append(mapping.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name}, value)
}

// standIn parses a default into a node.
func standIn(text string) *yaml.Node {
	var n yaml.Node
	if err := yaml.Load([]byte(text), &n); err != nil || len(n.Content) != 1 {
		panic(fmt.Sprintf("config: the default %q in keys.go is not YAML: %v", text, err))
	}
	return n.Content[0]
}
