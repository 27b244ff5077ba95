package providers_test

import (
	"flag"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/internal/manual"
	"rollcall/providers"
	"rollcall/providers/classin"
	"rollcall/providers/dingtalk"
)

var update = flag.Bool("update", false, "write the tables into docs/providers.md")

// The published page contains the rows that the clients use.
func TestTheDocsContainTheTables(t *testing.T) {
	t.Parallel()
	parts := map[string]string{}
	for name, tables := range map[string][]providers.Table{"dingtalk": dingtalk.Tables(), "classin": classin.Tables()} {
		parts[name] = render(tables)
	}
	manual.Parts(t, "../docs/providers.md", parts, *update)
}

func render(tables []providers.Table) string {
	head := []string{"HTTP", "code", "kind", "scope", "period", "wait", "tries", "counted", "meaning", "what to do"}
	var b strings.Builder
	for _, table := range tables {
		var rows [][]string
		for _, row := range table.Codes {
			rows = append(rows, []string{
				or(row.HTTP, "any"), code(row), row.Kind.String(), row.Scope.String(), span(row.Period), wait(row), tries(row), counted(row),
				meaning(row), row.Fix,
			})
		}
		b.WriteString("\n### " + table.Name + "\n\n" + manual.Table(head, rows))
	}
	return b.String()
}

func or(text, empty string) string {
	if text == "" {
		return empty
	}
	return text
}

func code(row providers.Code) string {
	if row.Code == "" {
		return "(none)"
	}
	return "`" + row.Code + "`"
}

func meaning(row providers.Code) string {
	if row.Doc == "" {
		return row.Meaning
	}
	return "[" + row.Meaning + "](" + row.Doc + ")"
}

func wait(row providers.Code) string {
	if row.Daily {
		return "until midnight in Beijing"
	}
	return span(row.Wait)
}

func span(d time.Duration) string {
	if d == 0 {
		return ""
	}
	text := strings.TrimSuffix(d.String(), "m0s")
	if text != d.String() {
		return text + " min"
	}
	return strings.TrimSuffix(text, "s") + " s"
}

func tries(row providers.Code) string {
	var words []string
	if row.Tries > 0 {
		words = append(words, strconv.Itoa(row.Tries))
	}
	if row.Quick {
		words = append(words, "quick")
	}
	return strings.Join(words, ", ")
}

func counted(row providers.Code) string {
	if row.Unmetered {
		return "no"
	}
	return ""
}

// Every row that a person may have to act on has advice, links to the vendor over https
// if there is a page, and fits into a table.
func TestRowsCanBeShown(t *testing.T) {
	t.Parallel()
	hosts := []string{"https://open.dingtalk.com/document/development/", "https://help.dingtalk.io/", "https://docs.eeo.cn/api/"}
	for _, row := range slices.Concat(dingtalk.Codes(), classin.Codes()) {
		if row.Meaning == "" || strings.ContainsAny(row.Meaning+row.Fix+row.Code, "|\n") {
			t.Errorf("%s %q: meaning %q, fix %q", row.HTTP, row.Code, row.Meaning, row.Fix)
		}
		acts := row.Kind == providers.Misconfigured || row.Kind == providers.Rejected || row.Kind == providers.QuotaSpent ||
			row.Kind == providers.Ambiguous || row.Kind == providers.Partial || row.Kind == providers.TokenRejected
		if acts && row.Fix == "" {
			t.Errorf("%s %q is %v and does not say what to do", row.HTTP, row.Code, row.Kind)
		}
		if row.Doc != "" && !slices.ContainsFunc(hosts, func(host string) bool { return strings.HasPrefix(row.Doc, host) }) {
			t.Errorf("%s %q links to %s", row.HTTP, row.Code, row.Doc)
		}
		if row.Kind == providers.Throttled && row.Period == 0 && row.Wait == 0 && !row.Daily {
			t.Errorf("%s %q is throttled for no time", row.HTTP, row.Code)
		}
		if row.Unmetered && row.Kind != providers.Throttled && row.Kind != providers.QuotaSpent {
			t.Errorf("%s %q is %v and is said not to be counted", row.HTTP, row.Code, row.Kind)
		}
		if (row.Period != 0 || row.Kind == providers.QuotaSpent) && !row.Unmetered {
			t.Errorf("%s %q refuses for the rate or the month, and is said to be counted", row.HTTP, row.Code)
		}
		if row.Period != 0 && (row.Kind != providers.Throttled || row.Wait != 0 || row.Daily) {
			t.Errorf("%s %q is %v, with a window of %v and a wait of %v: a window is a rate's, and is the wait",
				row.HTTP, row.Code, row.Kind, row.Period, row.Wait)
		}
	}
}
