package rollcall_test

import (
	"cmp"
	"flag"
	"slices"
	"strings"
	"testing"

	"rollcall/internal/hold"
	"rollcall/internal/kinds"
	"rollcall/internal/manual"
	"rollcall/internal/outcome"
	"rollcall/internal/roster"
)

var update = flag.Bool("update", false, "rewrite the generated pages and parts of docs")

// The advice for the dead letters of a class is the same in the command and on the page.
func TestThePageOfDeadLettersHasTheAdvice(t *testing.T) {
	t.Parallel()
	var rows [][]string
	for _, class := range outcome.OfDeadLetters() {
		rows = append(rows, []string{quoted(string(class)), class.Rule().Advice})
	}
	manual.Parts(t, "docs/dead-letters.md", map[string]string{"advice": manual.Table([]string{"class", "what to do"}, rows)}, *update)
}

func TestThePageOfOutcomesHasTheRules(t *testing.T) {
	t.Parallel()
	var rows [][]string
	seen := map[string]bool{}
	for _, err := range wrong() {
		class, rule := ruleOf(err)
		if !seen[class] {
			rows = append(rows, append([]string{quoted(class)}, rule...))
		}
		seen[class] = true
	}
	for _, class := range outcome.Classes() {
		if class.OfAttempt() && !seen[string(class)] {
			t.Errorf("no error here is of class %s: add one", class)
		}
	}
	// Those that are counted first, then those that are not, then those that end at once.
	group := func(row []string) int { return slices.Index([]string{"not counted", "–"}, row[1]) }
	slices.SortStableFunc(rows, func(a, b []string) int { return cmp.Compare(group(a), group(b)) })
	head := []string{"class", "attempts", "within", "first wait", "longest wait", "dead letter"}
	manual.Parts(t, "docs/outcomes.md", map[string]string{"classes": manual.Table(head, rows)}, *update)
}

func TestThePageOfHoldsHasTheWaitsBetweenProbes(t *testing.T) {
	t.Parallel()
	var rows [][]string
	for _, h := range []hold.Hold{
		{Class: hold.Refused, Probe: hold.ByToken},
		{Class: hold.Refused, Probe: hold.ByTask},
		{Class: hold.Refused, Probe: hold.ByAddress},
		{Class: hold.Failing, Probe: hold.ByTask},
		{Class: hold.Suspected, Probe: hold.ByAddress},
		{Class: hold.Suspected, Probe: hold.ByTask},
		{Class: hold.Banned, Probe: hold.ByAddress},
		{Class: hold.Banned, Probe: hold.ByTask},
	} {
		rows = append(rows, []string{quoted(string(h.Class)), quoted(string(h.Probe)), inWords(h.Wait(0)), inWords(h.Wait(30))})
	}
	manual.Parts(t, "docs/holds.md", map[string]string{"probes": manual.Table([]string{"class", "probe", "first", "longest"}, rows)}, *update)
}

// The manual of the sandbox has the comments of the code that reads a scenario.
func TestTheManualOfTheSandboxExplainsFaults(t *testing.T) {
	t.Parallel()
	var fields, kinds [][]string
	for _, f := range jsonFields(t, jsonObject{dir: "internal/sandbox", typename: "Fault"}, "yaml") {
		if f.meaning == "" {
			t.Errorf("the key %s of a fault has no comment", f.name)
		}
		fields = append(fields, []string{quoted(f.name), f.meaning})
	}
	for _, c := range constantsOf(t, "internal/sandbox/scenario.go", "FaultKind") {
		kinds = append(kinds, []string{quoted(c.value), c.meaning})
	}
	manual.Parts(t, "docs/sandbox.md", map[string]string{
		"faults": manual.Table([]string{"key", "meaning"}, fields),
		"kinds":  manual.Table([]string{"kind", "effect"}, kinds),
	}, *update)
}

func TestThePageOfRollcallExplainsTheConclusions(t *testing.T) {
	t.Parallel()
	var rows [][]string
	for _, c := range constantsOf(t, "internal/explain/conclude.go", "Word") {
		rows = append(rows, []string{quoted(c.value), c.meaning})
	}
	manual.Parts(t, "docs/rollcall.md", map[string]string{"conclusions": manual.Table([]string{"conclusion", "meaning"}, rows)}, *update)
}

func TestThePageOfTasksListsTheKinds(t *testing.T) {
	t.Parallel()
	var rows [][]string
	for _, k := range kinds.All() {
		rows = append(rows, []string{quoted(string(k.Name)), quoted(k.Type), k.About})
	}
	manual.Parts(t, "docs/tasks.md", map[string]string{
		"kinds":   manual.Table([]string{"kind", "asynq type", "sets"}, rows),
		"payload": manual.Table([]string{"field", "kinds", "meaning"}, payloadRows(t)),
	}, *update)
}

// payloadRows are the fields of all types of tasks, each with its first comment.
func payloadRows(t *testing.T) [][]string {
	var rows [][]string
	for _, k := range []struct{ name, typename string }{
		{"nickname", "NicknameSync"}, {"course", "CourseSync"}, {"group", "GroupUpdate"}, {"options", "GroupOptions"}, {"id", "IDChange"}, {"student", "StudentSync"},
	} {
		for _, f := range jsonFields(t, jsonObject{dir: "tasks", typename: k.typename}, "json") {
			i := slices.IndexFunc(rows, func(row []string) bool { return row[0] == quoted(f.name) })
			switch {
			case i >= 0:
				rows[i][1] += ", " + k.name
			case f.meaning == "":
				t.Errorf("the field %s of tasks.%s has no comment", f.name, k.typename)
			default:
				rows = append(rows, []string{quoted(f.name), k.name, f.meaning})
			}
		}
	}
	return rows
}

func TestThePageOfFilesListsTheColumns(t *testing.T) {
	t.Parallel()
	var columns []string
	of := map[string][]string{} // the kinds that have a column
	for _, column := range roster.CommonColumns() {
		columns, of[column] = append(columns, column), []string{"all"}
	}
	for _, k := range kinds.All() {
		for _, column := range k.ColumnNames() {
			if of[column] == nil {
				columns = append(columns, column)
			}
			of[column] = append(of[column], quoted(string(k.Name)))
		}
	}
	var rows [][]string
	for _, column := range columns {
		rows = append(rows, []string{quoted(column), strings.Join(of[column], ", "), strings.Join(roster.Synonyms(column), ", ")})
	}
	manual.Parts(t, "docs/files.md", map[string]string{"columns": manual.Table([]string{"column", "kinds", "other names"}, rows)}, *update)
}

func quoted(word string) string { return "`" + strings.ReplaceAll(word, "`", "") + "`" }
