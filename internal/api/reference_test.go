package api_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// reference is the part of the document that the page of the reference shows.
type reference struct {
	Paths map[string]map[string]struct {
		Summary, Description string

		Tags       []string
		Parameters []struct {
			Name, In, Description string

			Required bool
			Schema   schema
		}
		RequestBody *struct {
			Content map[string]struct{ Schema schema }
		}
		Responses map[string]struct {
			Description string
			Content     map[string]struct{ Schema schema }
		}
		Security []map[string][]string
	}
	Components struct{ Schemas map[string]schema }
}

type schema struct {
	Ref         string `json:"$ref"`
	Type        any
	Format      string
	Description string
	Enum        []any
	Default     any
	Items       *schema
	Properties  map[string]schema
	Required    []string
}

func (s schema) String() string {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		return fmt.Sprintf("[%s](#%s)", name, strings.ToLower(name))
	}
	text := fmt.Sprint(s.Type)
	if s.Items != nil {
		text = "list of " + s.Items.String()
	}
	if s.Format == "date-time" {
		text = "time"
	}
	return text
}

func (s schema) describe() string {
	text := s.Description
	enum := s.Enum
	if s.Items != nil && len(enum) == 0 {
		enum = s.Items.Enum
	}
	if len(enum) > 0 {
		words := make([]string, len(enum))
		for i, e := range enum {
			words[i] = fmt.Sprintf("`%v`", e)
		}
		text = sentence(text) + "One of " + strings.Join(words, ", ") + "."
	}
	if s.Default != nil {
		text = fmt.Sprintf("%sDefault: `%v`.", sentence(text), s.Default)
	}
	return strings.ReplaceAll(text, "|", "\\|")
}

// sentence ends a text, if there is one, so that another can follow.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	return strings.TrimSuffix(text, ".") + ". "
}

// TestTheReferenceIsCurrent renders docs/api-reference.md from the document.
func TestTheReferenceIsCurrent(t *testing.T) {
	t.Parallel()
	var doc reference
	if err := json.Unmarshal(document(t), &doc); err != nil { //nolint:musttag // the names are those of the document
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("<!-- generated: make update, from openapi.json -->\n# HTTP API reference\n\n[The guide](api.md) has the steps.\n")
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(doc.Paths[path])) {
			op := doc.Paths[path][method]
			fmt.Fprintf(&b, "\n## %s %s\n\n%s\n\n", strings.ToUpper(method), path, strings.TrimSpace(op.Summary+". "+op.Description))
			for _, s := range op.Security {
				fmt.Fprintf(&b, "Scope: %s.\n", strings.Join(s["token"], " or "))
			}
			if len(op.Parameters) > 0 {
				b.WriteString("\n| parameter | in | type | |\n|---|---|---|---|\n")
			}
			for _, p := range op.Parameters {
				s := p.Schema
				s.Description = cmp.Or(p.Description, s.Description)
				if p.Required {
					s.Description = strings.TrimSpace("Required. " + s.Description)
				}
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", p.Name, p.In, s, s.describe())
			}
			b.WriteString("\n")
			if op.RequestBody != nil {
				for _, kind := range slices.Sorted(maps.Keys(op.RequestBody.Content)) {
					fmt.Fprintf(&b, "- Body `%s`: %s\n", kind, describeContent(kind, op.RequestBody.Content[kind].Schema))
				}
			}
			for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
				for _, kind := range slices.Sorted(maps.Keys(op.Responses[status].Content)) {
					if status != "default" {
						fmt.Fprintf(&b, "- %s `%s`: %s\n", status, kind, describeContent(kind, op.Responses[status].Content[kind].Schema))
					}
				}
			}
		}
	}
	b.WriteString("\nErrors of all operations are [Problem](#problem), with the media type `application/problem+json`.\n")
	for _, name := range slices.Sorted(maps.Keys(doc.Components.Schemas)) {
		s := doc.Components.Schemas[name]
		fmt.Fprintf(&b, "\n## %s\n\n| field | type | |\n|---|---|---|\n", name)
		for _, field := range slices.Sorted(maps.Keys(s.Properties)) {
			p := s.Properties[field]
			if !slices.Contains(s.Required, field) {
				p.Description = strings.TrimSpace("Optional. " + p.Description)
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", field, p, p.describe())
		}
	}
	text := b.String()
	for strings.Contains(text, "\n\n\n") {
		text = strings.ReplaceAll(text, "\n\n\n", "\n\n")
	}
	generated(t, referenceFile, []byte(text))
}

func describeContent(kind string, s schema) string {
	if kind == "application/x-ndjson" {
		return "an object a line, with the fields of [Row](#row)"
	}
	if s.Ref != "" {
		return s.String()
	}
	if s.Description != "" {
		return s.Description
	}
	return "a file"
}
