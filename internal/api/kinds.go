package api

import (
	"fmt"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/internal/kinds"
	"rollcall/tasks"
)

// KindName is a kind of task in a request. Its schema lists the kinds that are declared.
type KindName tasks.Kind

// Schema implements [huma.SchemaProvider].
func (KindName) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString}
	for _, name := range kinds.Names() {
		s.Enum = append(s.Enum, string(name))
	}
	return s
}

// TransformSchema implements [huma.SchemaTransformer]: it adds the columns of the kinds.
func (Row) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	for _, k := range kinds.All() {
		for _, c := range k.Columns {
			property := s.Properties[c.Name]
			if property == nil {
				property = schemaOfColumn(c)
				s.Properties[c.Name] = property
			}
			property.Description = describeColumn(property.Description, k.Name, c.About)
		}
	}
	return s
}

func schemaOfColumn(c kinds.Column) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString}
	switch {
	case c.List:
		return &huma.Schema{Type: huma.TypeArray, Items: s}
	case c.Option:
		s.Type, s.Format = huma.TypeInteger, "int64"
		for n := range c.Choices { // 0 and 1
			s.Enum = append(s.Enum, n)
		}
	default:
		for _, choice := range c.Choices {
			s.Enum = append(s.Enum, choice)
		}
	}
	return s
}

// describeColumn adds a kind to the description of a column: "nickname, group: the chat".
func describeColumn(described string, name tasks.Kind, about string) string {
	if others, same := strings.CutSuffix(described, ": "+about); same {
		return fmt.Sprintf("%s, %s: %s", others, name, about)
	}
	if described != "" {
		described += "; "
	}
	return fmt.Sprintf("%s%s: %s", described, name, about)
}
