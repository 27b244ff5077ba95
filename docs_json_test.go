package rollcall_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"rollcall/internal/manual"
)

// jsonObject is an object that a command prints with --json: the type in a directory
// whose fields it has.
type jsonObject struct {
	heading, text string
	dir, typename string
}

// jsonObjects are all objects, in the order of the page.
func jsonObjects() []jsonObject {
	const rollcall = "cmd/rollcall/internal/"
	return []jsonObject{
		{"A task that is enqueued", "`enqueue`, without names of people.", "cmd/enqueue", "record"},
		{"A problem", "", "tasks", "Problem"},

		{"A run", "`plan`, `apply`, `run list`, `run show`, `run watch` and the commands that change a run.", "internal/run", "Run"},
		{"The settings of a run", "", "internal/run", "Settings"},
		{"The file of a run", "", "internal/run", "File"},
		{"A step of a run", "", "internal/run", "Step"},
		{"A plan", "", "internal/run", "Plan"},
		{"A guard", "", "internal/run", "Guard"},
		{"A lane of a plan", "", "internal/run", "Lane"},
		{"A cost", "", "internal/run", "Cost"},
		{"A row", "`run results`.", rollcall + "runs", "record"},
		{"A value", "", "internal/run", "Value"},
		{"Tasks that were enqueued directly", "`run list`, `run show`.", "internal/run", "Direct"},

		{"A lane", "`lanes`.", rollcall + "lanes", "Record"},
		{"A month", "", rollcall + "lanes", "monthRecord"},
		{"A day", "", rollcall + "lanes", "dayRecord"},
		{"A hold", "", rollcall + "lanes", "holdRecord"},
		{"What was seen", "", "internal/hold", "Seen"},
		{"A changed hold", "`lanes hold`, `lanes release`.", rollcall + "lanes", "step"},
		{"An ended pause", "`lanes release`.", rollcall + "lanes", "stepResumed"},
		{"An event", "`lanes events`.", rollcall + "lanes", "eventRecord"},

		{"A target", "`explain`.", rollcall + "explain", "explainRecord"},
		{"A field", "", rollcall + "explain", "fieldRecord"},
		{"An intent", "", rollcall + "explain", "intentRecord"},
		{"A task", "", rollcall + "explain", "taskRecord"},
		{"An edit", "", rollcall + "explain", "editRecord"},
		{"An effect", "", rollcall + "explain", "effectRecord"},

		{"A cause", "`dead list`, before the dead letters.", rollcall + "dead", "causeRecord"},
		{"A dead letter", "`dead list`, `dead show`, `dead export`, which alone have the payload.", rollcall + "dead", "Record"},
		{"A settled dead letter", "`dead replay`, `dead discard`.", rollcall + "dead", "settledRecord"},
		{"A closed dead letter", "`dead list --closed`.", "internal/ledger", "ClosedDeadLetter"},

		{"An ID with an unknown outcome", "`ids list`.", rollcall + "ids", "unknownRecord"},
		{"A settled ID", "`ids confirm`, `ids reject`.", rollcall + "ids", "settledID"},

		{"An example of a rule", "`template test`.", rollcall + "template", "exampleRecord"},
		{"A name", "`template test --people`.", rollcall + "template", "nameRecord"},

		{"A damaged key", "`repair`.", rollcall + "repair", "found"},

		{"A schedule", "`schedule list`.", rollcall + "schedule", "entryRecord"},
		{"A pause of a schedule", "", rollcall + "schedule", "pauseRecord"},
		{"A tick", "`schedule history`.", rollcall + "schedule", "tickRecord"},
		{"A report of a night", "`schedule report`.", "internal/night", "Report"},
		{"A forecast", "", "internal/night", "Forecast"},
		{"A changed schedule", "`schedule run`, `schedule pause`, `schedule resume`.", rollcall + "schedule", "steered"},
	}
}

// sharedFields are the fields that mean the same in every object, so that only this page
// explains them.
var sharedFields = []struct{ names, meaning string }{
	{"lane", "`<tenant>.<kind>`"},
	{"organisation, tenant, kind", "parts of a lane"},
	{"target", "what a task changes: `chat/user`, a course, a chat, a user or a student"},
	{"task_id", "of the task in asynq"},
	{"queue, type", "of the task in asynq"},
	{"run, row, line", "[the run](tasks.md#runs), the row in it from 0, the line in the file"},
	{"key", "the producer's key"},
	{"revision", "orders the changes of a target: microseconds of Redis' clock"},
	{"class", "[of an outcome](outcomes.md#classes) or [of a hold](holds.md#classes)"},
	{"code, message, request_id", "the platform's answer; [codes](providers.md)"},
	{"todo", "what to do"},
	{"level, name", "[what is held](holds.md#levels)"},
	{"reason, by", "why, and who did it: a person, or a worker's `<host>/<process id>`"},
	{"at, since, until", "times in UTC"},
}

const jsonTop = `<!-- generated: make update, from the comments of the Go types -->

# JSON

Look up what a command prints with ` + "`--json`" + `: one object per line. Fields are added, never changed. Fields without a
value are left out, or are 0, false or null.

## Fields of many objects

`

func TestThePageOfJSONExplainsEveryField(t *testing.T) {
	t.Parallel()
	links := map[string]string{} // by type
	for _, o := range jsonObjects() {
		links[path.Base(o.dir)+"."+o.typename] = fmt.Sprintf("[%s](#%s)", strings.ToLower(o.heading[:1])+o.heading[1:], anchor(o.heading))
	}
	known := map[string]bool{}
	var rows [][]string
	for _, w := range sharedFields {
		for name := range strings.SplitSeq(w.names, ", ") {
			known[name] = true
		}
		rows = append(rows, []string{"`" + strings.ReplaceAll(w.names, ", ", "`, `") + "`", w.meaning})
	}
	var b strings.Builder
	b.WriteString(jsonTop + manual.Table([]string{"field", "meaning"}, rows))
	for _, o := range jsonObjects() {
		fmt.Fprintf(&b, "\n## %s\n\n", o.heading)
		if o.text != "" {
			b.WriteString(o.text + "\n\n")
		}
		var rows [][]string
		for _, f := range jsonFields(t, o, "json") {
			of := typeName(f.of, path.Base(o.dir), links)
			switch {
			case f.name == "":
				rows = append(rows, []string{"", "", "the fields of " + of})
				continue
			case f.meaning == "" && !known[f.name] && !strings.Contains(of, "]("):
				t.Errorf("%s: field %s of %s has no comment, and is none of the fields that are explained for all", o.dir, f.name, o.typename)
			}
			rows = append(rows, []string{"`" + f.name + "`", of, f.meaning})
		}
		b.WriteString(manual.Table([]string{"field", "type", "meaning"}, rows))
	}
	manual.Page(t, "docs/json.md", b.String(), *update)
}

// jsonField is a field of an object. name is empty for one that is embedded.
type jsonField struct {
	name, meaning string
	of            ast.Expr
}

// jsonFields returns the fields of an object, by the names that a tag gives them.
func jsonFields(t *testing.T, o jsonObject, tag string) []jsonField {
	t.Helper()
	files, err := filepath.Glob(filepath.FromSlash(o.dir) + "/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var fields []jsonField
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || spec.Name.Name != o.typename {
				return true
			}
			structure, ok := spec.Type.(*ast.StructType)
			if !ok {
				t.Fatalf("%s in %s is no struct", o.typename, file)
			}
			for _, f := range structure.Fields.List {
				if of, ok := f.Type.(*ast.SelectorExpr); ok && len(f.Names) == 0 {
					fields = append(fields, jsonFields(t, jsonObject{dir: "internal/" + of.X.(*ast.Ident).Name, typename: of.Sel.Name}, tag)...)
					continue
				}
				if len(f.Names) == 0 {
					fields = append(fields, jsonField{of: f.Type})
					continue
				}
				if f.Tag == nil {
					continue
				}
				name, _, _ := strings.Cut(reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get(tag), ",")
				fields = slices.DeleteFunc(fields, func(f jsonField) bool { return f.name == name }) // of an embedded type
				fields = append(fields, jsonField{name, meaningOf(f), f.Type})
			}
			return false
		})
	}
	if len(fields) == 0 {
		t.Fatalf("%s has no type %s: has it moved?", o.dir, o.typename)
	}
	return fields
}

// meaningOf is the comment of a field, without its name at the beginning.
func meaningOf(f *ast.Field) string {
	text := f.Comment.Text()
	if text == "" {
		text = f.Doc.Text()
	}
	text = strings.Join(strings.Fields(text), " ")
	for _, cut := range []string{" is ", " are ", " reports ", " has ", " "} {
		if rest, found := strings.CutPrefix(text, f.Names[0].Name+cut); found {
			text = rest
			break
		}
	}
	return strings.TrimSuffix(text, ".")
}

// typeName is a type as a reader of JSON knows it.
func typeName(of ast.Expr, pkg string, links map[string]string) string {
	switch of := of.(type) {
	case *ast.StarExpr:
		return typeName(of.X, pkg, links)
	case *ast.ArrayType:
		return "list of " + plural(typeName(of.Elt, pkg, links))
	case *ast.MapType:
		return "object of " + plural(typeName(of.Value, pkg, links))
	case *ast.SelectorExpr:
		name := of.X.(*ast.Ident).Name + "." + of.Sel.Name
		switch {
		case links[name] != "":
			return links[name]
		case name == "time.Time":
			return "time"
		case name == "jsontext.Value":
			return "object"
		}
	case *ast.Ident:
		numbers := []string{"int", "int64", "float64"}
		switch {
		case links[pkg+"."+of.Name] != "":
			return links[pkg+"."+of.Name]
		case slices.Contains(numbers, of.Name):
			return "number"
		case of.Name == "bool":
			return "true or false"
		}
	}
	return "text" // a string, or a type that is one
}

func plural(name string) string {
	if name == "text" || name == "number" {
		return name + "s"
	}
	return name
}
