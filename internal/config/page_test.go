package config_test

import (
	"bytes"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"rollcall/internal/config"
	"rollcall/internal/kinds"
	"rollcall/internal/manual"
)

const (
	pageFile   = "../../docs/config.md"
	schemaFile = "../../docs/rollcall.schema.json"
	sampleFile = "../../docs/rollcall.sample.yaml"
)

// described walks through the types as the file shows them and calls visit for each key
// and section.
func described(t reflect.Type, path string, visit func(path string, of reflect.Type)) {
	switch t.Kind() {
	case reflect.Pointer:
		described(t.Elem(), path, visit)
		return
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			described(t.Elem(), path+"[]", visit)
		}
		return
	case reflect.Struct, reflect.Map:
	default:
		return
	}
	for name, of := range keysOf(t, path) {
		here := strings.TrimPrefix(path+"."+name, ".")
		visit(here, of)
		switch of {
		case reflect.TypeFor[config.Source](), reflect.TypeFor[config.Limits](), reflect.TypeFor[yaml.Node]():
		default:
			described(of, here, visit)
		}
	}
}

// keysOf yields the keys of a section: the fields of a struct, or the kinds of task of a
// platform.
func keysOf(t reflect.Type, path string) iter.Seq2[string, reflect.Type] {
	return func(yield func(string, reflect.Type) bool) {
		if t.Kind() == reflect.Map {
			for _, k := range kinds.All() {
				if strings.HasSuffix(path, "."+k.Platform+".limits") && !yield(string(k.Name), t.Elem()) {
					return
				}
			}
			return
		}
		for field := range t.Fields() {
			if name := field.Tag.Get("yaml"); name != "-" && !yield(name, field.Type) {
				return
			}
		}
	}
}

// types returns the types of all keys, by path.
func types() map[string]reflect.Type {
	all := map[string]reflect.Type{}
	visit := func(path string, of reflect.Type) { all[path] = of }
	described(reflect.TypeFor[config.Config](), "", visit)
	described(reflect.TypeFor[config.Source](), "secret", visit)
	described(reflect.TypeFor[config.Limit](), "limit", visit)
	return all
}

func TestEveryKeyHasItsRowAndEveryRowItsKey(t *testing.T) {
	t.Parallel()
	all := types()
	seen := map[string]bool{}
	for _, k := range config.Keys() {
		of, exists := all[k.Path()]
		if pseudo := k.Path() == "" || k.Path() == "secret" || k.Path() == "limit"; !exists && !pseudo {
			t.Errorf("keys.go describes %q, which no struct has", k.Path())
		}
		if seen[k.Path()] {
			t.Errorf("keys.go describes %q twice", k.Path())
		}
		seen[k.Path()] = true
		if exists && k.Doc() == "" && !isSection(of) {
			t.Errorf("keys.go has no text for %q", k.Path())
		}
	}
	for path := range all {
		if !seen[path] {
			t.Errorf("keys.go has no row for %q", path)
		}
	}
}

// isSection reports whether a key has a heading of its own on the page.
func isSection(of reflect.Type) bool {
	switch of {
	case nil:
		return true // top level, secret, limit
	case reflect.TypeFor[config.Source](), reflect.TypeFor[config.Limits](), reflect.TypeFor[config.Duration](), reflect.TypeFor[yaml.Node]():
		return false
	}
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	return of.Kind() == reflect.Struct || of.Kind() == reflect.Map
}

func word(of reflect.Type) string {
	switch of {
	case reflect.TypeFor[config.Source]():
		return "[secret](#a-secret)"
	case reflect.TypeFor[config.Limits]():
		return "[limit](#a-limit) or list of them"
	case reflect.TypeFor[config.Duration]():
		return "duration"
	case reflect.TypeFor[yaml.Node]():
		return "section"
	}
	switch of.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "whole number"
	case reflect.Slice:
		return "list of texts"
	default:
		return "text"
	}
}

func heading(k config.Key, of reflect.Type) string {
	switch k.Path() {
	case "":
		return "Top level"
	case "secret":
		return "A secret"
	case "limit":
		return "A limit"
	}
	if of.Kind() == reflect.Slice {
		return "`" + k.Path() + "[]`"
	}
	return "`" + k.Path() + "`"
}

func defaultOf(k config.Key) string {
	switch {
	case k.Required():
		return "required"
	case k.Default() != "":
		return "`" + k.Default() + "`"
	}
	return "none"
}

const pageTop = `<!-- generated: make update, from internal/config/keys.go -->

# Configuration

One YAML file, named by ` + "`worker run --config`" + `. The worker reads it at the start and prints everything that is wrong with it,
each with its line and what to do; it then exits with code 78. A key that does not exist is an error. ` + "`worker check --config`" + ` does
the same without starting anything, and says what would run.

Lengths of time have a unit: ` + "`500ms`, `15s`, `2m`" + `. "Required" means that there is no default. Relative paths begin at the file's
directory. A value can be repeated with YAML's anchors (` + "`&name`, `*name`" + `).

[A sample](rollcall.sample.yaml) shows every section. Editors that know JSON Schema can check the file while it is written against
[the schema](rollcall.schema.json); only the worker checks secrets, files, tenants and whether timeouts fit together.

On SIGHUP the worker reads the file again, and secrets from their files. Limits, quotas, schedules, tokens, webhooks,
certificates and [rotated secrets](worker.md#signals) take effect at once; of anything else that differs it says
that it needs a restart. A file that is wrong changes nothing.

## Example

` + "```yaml\n"

func page(t *testing.T) string {
	t.Helper()
	example, err := os.ReadFile("testdata/example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString(pageTop)
	b.Write(example)
	b.WriteString("```\n")
	all := types()
	for i, k := range config.Keys() {
		of := all[k.Path()]
		if !isSection(of) || k.Doc() == "" {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", heading(k, of), k.Doc())
		short := k.Path() == "secret" // only texts without defaults
		rows := 0
		for _, other := range config.Keys()[i+1:] {
			name, inside := below(k, other)
			if !inside || isSection(all[other.Path()]) {
				continue
			}
			if rows++; rows == 1 && short {
				b.WriteString("\n| key | meaning |\n|---|---|\n")
			} else if rows == 1 {
				b.WriteString("\n| key | type | default | meaning |\n|---|---|---|---|\n")
			}
			if short {
				fmt.Fprintf(&b, "| `%s` | %s |\n", name, cell(other))
			} else {
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, word(all[other.Path()]), defaultOf(other), cell(other))
			}
		}
	}
	return b.String()
}

// below returns a key's name in a section's table. The name of a section without a text
// of its own is part of the names of its keys.
func below(section, k config.Key) (name string, inside bool) {
	parent := k.Path()
	for {
		i := strings.LastIndexByte(parent, '.')
		parent = strings.TrimSuffix(parent[:max(i, 0)], "[]")
		if config.Find(parent).Doc() != "" || parent == "" {
			break
		}
	}
	name = strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(k.Path(), parent), "[]"), ".")
	return name, parent == section.Path()
}

func cell(k config.Key) string {
	text := k.Doc()
	if enum := k.Enum(); len(enum) > 0 && !strings.Contains(text, enum[0]) {
		text += ": `" + strings.Join(enum[:len(enum)-1], "`, `") + "` or `" + enum[len(enum)-1] + "`"
	}
	return text
}

func TestThePageIsGeneratedFromTheKeys(t *testing.T) {
	t.Parallel()
	manual.Page(t, pageFile, page(t), *update)
}

// inPlace copies a file to a directory that also contains the roster that the file
// names.
func inPlace(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, filepath.Base(file))
	for name, content := range map[string][]byte{path: content, filepath.Join(dir, "roster.csv"): nil} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestTheSampleAndTheExampleAreValid(t *testing.T) {
	t.Parallel()
	for _, file := range []string{sampleFile, "testdata/example.yaml"} {
		if _, err := config.Load(inPlace(t, file), func(string) string { return "s3cret" }); err != nil {
			t.Error(err)
		}
	}
}

// The sample shows every key, also in comments.
func TestTheSampleShowsEveryKey(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(sampleFile)
	if err != nil {
		t.Fatal(err)
	}
	for path := range types() {
		name := path[strings.LastIndexByte(path, '.')+1:]
		if !bytes.Contains(content, []byte(name+":")) {
			t.Errorf("docs/rollcall.sample.yaml does not show %s", path)
		}
	}
}
