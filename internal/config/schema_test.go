package config_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"rollcall/internal/config"
	"rollcall/internal/manual"
)

func TestTheSchemaIsGeneratedFromTheKeys(t *testing.T) {
	t.Parallel()
	root := schema(reflect.TypeFor[config.Config](), "")
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "rollcall's configuration"
	root["$defs"] = map[string]any{
		"secret": object(reflect.TypeFor[config.Source](), "secret"),
		"limit":  object(reflect.TypeFor[config.Limit](), "limit"),
		"limits": map[string]any{"oneOf": []any{
			map[string]any{"$ref": "#/$defs/limit"},
			bounded(map[string]any{"type": "array", "items": map[string]any{"$ref": "#/$defs/limit"}}, config.Find("limit")),
		}},
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(root); err != nil {
		t.Fatal(err)
	}
	manual.Page(t, schemaFile, b.String(), *update)
}

func schema(of reflect.Type, rule string) map[string]any {
	k := config.Find(rule)
	switch of {
	case reflect.TypeFor[config.Source]():
		return map[string]any{"$ref": "#/$defs/secret"}
	case reflect.TypeFor[config.Limits]():
		return map[string]any{"$ref": "#/$defs/limits"}
	case reflect.TypeFor[yaml.Node]():
		return map[string]any{"type": "object"}
	case reflect.TypeFor[config.Duration]():
		return map[string]any{"type": "string", "pattern": config.DurationPattern}
	}
	switch of.Kind() {
	case reflect.Pointer:
		return schema(of.Elem(), rule)
	case reflect.Struct, reflect.Map:
		return object(of, rule)
	case reflect.Slice:
		s := map[string]any{"type": "array", "items": schema(of.Elem(), rule+"[]")}
		if of.Elem().Kind() == reflect.String {
			s["items"] = text(k)
		}
		return bounded(s, k)
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int:
		s := map[string]any{"type": "integer", "minimum": k.Min()}
		if k.Max() > 0 {
			s["maximum"] = k.Max()
		}
		return s
	default:
		return text(k)
	}
}

// bounded adds the bounds of a list's length.
func bounded(s map[string]any, k config.Key) map[string]any {
	if k.Min() > 0 {
		s["minItems"] = k.Min()
	}
	if k.Max() > 0 {
		s["maxItems"] = k.Max()
	}
	return s
}

func text(k config.Key) map[string]any {
	s := map[string]any{"type": "string"}
	switch {
	case len(k.Enum()) > 0:
		s["enum"] = k.Enum()
	case k.Pattern() != "":
		s["pattern"] = k.Pattern()
	default:
		s["minLength"] = 1
	}
	return s
}

func object(of reflect.Type, rule string) map[string]any {
	properties := map[string]any{}
	var required, one []string
	optional := false // the group may be absent
	for name, of := range keysOf(of, rule) {
		path := strings.TrimPrefix(rule+"."+name, ".")
		k := config.Find(path)
		p := schema(of, path)
		if k.Doc() != "" {
			p["description"] = k.Doc()
		}
		if k.Default() != "" {
			var def any
			if err := yaml.Load([]byte(k.Default()), &def); err != nil {
				panic(err)
			}
			p["default"] = def
		}
		properties[name] = p
		if k.Required() {
			required = append(required, name)
		}
		if k.One() != "" {
			one = append(one, name)
			optional = optional || k.Default() != ""
		}
	}
	s := map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
	if len(required) > 0 {
		slices.Sort(required)
		s["required"] = required
	}
	if len(one) > 0 {
		var choices []any
		for _, name := range one {
			choices = append(choices, map[string]any{"required": []string{name}})
		}
		if optional {
			choices = append(choices, map[string]any{"not": map[string]any{"anyOf": slices.Clone(choices)}})
		}
		s["oneOf"] = choices
	}
	return s
}
