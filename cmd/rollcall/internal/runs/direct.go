package runs

import (
	"strconv"
	"strings"

	"rollcall/cmd/rollcall/internal/session"
	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/run"
)

// stateDirect is shown for tasks that were enqueued directly under the name of a run:
// the ledger keeps the result of each, and nothing else of the run.
const stateDirect = "direct"

// showDirect prints the results of tasks that were enqueued directly, by lane.
func showDirect(s *session.Session, name, tenant string, parts []run.Direct, rows bool) error {
	if len(parts) == 0 {
		return cli.BadInput("run %q has no rows of tenant %q", name, tenant)
	}
	for i := range parts {
		if !rows {
			parts[i].Open, parts[i].Dead = nil, nil
		}
	}
	if s.JSON {
		return cli.PrintAll(s.App, parts)
	}
	return printCounts(s, parts)
}

// printCounts prints a table of lanes, and the numbers of open and dead rows.
func printCounts(s *session.Session, all []run.Direct) error {
	out := console.Columns(s.Stdout)
	head := []string{"LANE", "BEGAN", "ROWS"}
	for _, result := range run.DirectResults() {
		head = append(head, strings.ToUpper(result))
	}
	console.Row(out, head...)
	for _, t := range all {
		row := []string{console.Line(t.Lane), cli.Clock(t.Began), strconv.Itoa(t.Rows)}
		for _, result := range run.DirectResults() {
			row = append(row, strconv.Itoa(t.Results[result]))
		}
		console.Row(out, row...)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	for _, t := range all {
		if len(t.Open) > 0 {
			console.Fprintf(s.Stdout, "\n%s, open: rows %s\n", t.Lane, ranges(t.Open))
		}
		if len(t.Dead) > 0 {
			console.Fprintf(s.Stdout, "\n%s, dead: rows %s\n", t.Lane, ranges(t.Dead))
		}
	}
	return nil
}

// ranges formats sorted numbers as in "2-7, 9".
func ranges(numbers []int) string {
	var parts []string
	for i := 0; i < len(numbers); {
		end := i
		for end+1 < len(numbers) && numbers[end+1] == numbers[end]+1 {
			end++
		}
		part := strconv.Itoa(numbers[i])
		if end > i {
			part += "-" + strconv.Itoa(numbers[end])
		}
		parts, i = append(parts, part), end+1
	}
	return strings.Join(parts, ", ")
}
