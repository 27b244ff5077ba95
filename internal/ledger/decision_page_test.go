package ledger_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"rollcall/internal/ledger"
	"rollcall/internal/manual"
)

var update = flag.Bool("update", false, "rewrite the tables of docs/ledger.md")

// TestThePageHoldsTheTablesOfTheCode compares what stands between the markers of
// docs/ledger.md with the rules that the other tests hold the scripts to.
func TestThePageHoldsTheTablesOfTheCode(t *testing.T) {
	t.Parallel()
	manual.Parts(t, "../../docs/ledger.md", map[string]string{
		"rules": rulesTables(), "decisions": decisionsTable(), "states": statesTable(), "parts": partsTable(), "layout": layoutTable(),
	}, *update)
}

func partsTable() string {
	var b strings.Builder
	b.WriteString("| part | value | meaning |\n|---|---|---|\n")
	before := ""
	for _, m := range meanings {
		part := m.part
		if part == before {
			part = ""
		}
		before = m.part
		fmt.Fprintf(&b, "| %s | %s | %s |\n", part, m.value, m.meaning)
	}
	return b.String()
}

func decisionsTable() string {
	var b strings.Builder
	b.WriteString("| decision | what follows |\n|---|---|\n")
	for _, d := range decisions {
		fmt.Fprintf(&b, "| `%s` | %s |\n", d.name, d.does)
	}
	return b.String()
}

// rulesTables has a table for each mode, with the number of states that each rule
// decides.
func rulesTables() string {
	var tables []string
	for _, mode := range modes {
		count := map[int]int{}
		all := states(mode)
		for _, s := range all {
			n, _ := decide(s)
			count[n]++
		}
		var b strings.Builder
		fmt.Fprintf(&b, "### Mode %s\n\n%d states.\n\n| | if | decision | states |\n|---|---|---|---|\n", mode, len(all))
		for i, r := range rules[mode] {
			fmt.Fprintf(&b, "| %d | %s | `%s` | %d |\n", i+1, r, r.then.name, count[i])
		}
		tables = append(tables, b.String())
	}
	return strings.Join(tables, "\n")
}

func (r rule) String() string {
	if len(r.when) == 0 {
		return "else"
	}
	names := make([]string, len(r.when))
	for i, c := range r.when {
		names[i] = c.name
	}
	return strings.Join(names, "; ")
}

// statesTable has a row for what is known of a field and a column for each mode.
// Parts that only some modes have, and rows that an earlier one decides, are folded.
func statesTable() string {
	var b strings.Builder
	b.WriteString("| lease | latest | applied | value | outcome | late | value | effect | once | edit | resend | refresh |\n" + strings.Repeat("|---", 12) + "|\n")
	add := func(lease, latest, applied, value, outcome, late string) {
		var cells []string
		for _, mode := range modes {
			cells = append(cells, decided(mode, lease, latest, applied, value, outcome, late))
		}
		line := strings.Join(cells, " | ")
		if strings.Trim(line, "–| ") != "" {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", lease, latest, applied, value, outcome, late, line)
		}
	}
	add("running", "any", "any", "any", "any", "any")
	add("free", "later", "any", "any", "any", "any")
	add("free", "none", "later", "any", "any", "any")
	for _, applied := range applieds[:3] {
		for _, value := range values {
			for _, outcome := range outcomes {
				late := lates
				if outcome != "known" { // decides already
					late = []string{"any"}
				}
				for _, l := range late {
					add("free", "none", applied, value, outcome, l)
				}
			}
		}
	}
	for _, value := range values[1:] {
		add("expired", "none", "earlier", value, "known", "no")
	}
	return b.String()
}

// decided are the decisions of all states of a mode that are so; – for none.
func decided(mode ledger.Mode, parts ...string) string {
	var found []string
	for _, s := range states(mode) {
		is := []string{s.lease, s.latest, s.applied, s.value, s.outcome, s.late}
		matches := true
		for i, part := range parts {
			matches = matches && (part == "any" || part == is[i])
		}
		if _, d := decide(s); matches && !slices.Contains(found, "`"+d.name+"`") {
			found = append(found, "`"+d.name+"`")
		}
	}
	if len(found) == 0 {
		return "–"
	}
	return strings.Join(found, ", ")
}
