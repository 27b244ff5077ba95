package rollcall_test

import (
	"cmp"
	"flag"
	"slices"
	"strings"
	"testing"

	"rollcall/internal/hold"
	"rollcall/internal/manual"
	"rollcall/internal/outcome"
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

func quoted(word string) string { return "`" + strings.ReplaceAll(word, "`", "") + "`" }
