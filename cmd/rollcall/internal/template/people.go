package template

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/kinds"
	"rollcall/internal/naming"
	"rollcall/internal/roster"
	"rollcall/internal/sheet"
	"rollcall/internal/table"
	"rollcall/tasks"
)

// nameRecord is a person's name as --json prints it. Its names are stable.
type nameRecord struct {
	At           string     `json:"at"`                     // where the person is in the file
	Person       string     `json:"person,omitzero"`        // user id, or UID of a student
	Kind         tasks.Kind `json:"kind"`                   // of the rule
	Chat         string     `json:"chat,omitzero"`          // of a nickname
	Old          string     `json:"old,omitzero"`           // the value in the column of old names
	New          string     `json:"new,omitzero"`           // the value that the rule gives
	Cut          bool       `json:"cut,omitzero"`           // the name was too long, and was cut
	Alternatives []string   `json:"alternatives,omitempty"` // IDs to try if it is taken
	After        string     `json:"after,omitzero"`         // the person whose ID must be changed before
	Swapped      bool       `json:"swapped,omitzero"`       // a numbered ID, because people cannot exchange theirs
	Problem      string     `json:"problem,omitzero"`       // why there is no name
}

// note is the rest of a record in one cell.
func (r nameRecord) note() string {
	var notes []string
	add := func(is bool, note string) {
		if is {
			notes = append(notes, note)
		}
	}
	add(r.Problem != "", r.Problem)
	add(r.Cut, "cut")
	add(r.After != "", "after "+r.After)
	add(r.Swapped, "cannot exchange IDs")
	add(len(r.Alternatives) > 0, "or "+strings.Join(r.Alternatives, ", "))
	return strings.Join(notes, "; ")
}

// people are the rows of a file.
type people struct {
	rows  []naming.Person
	old   []string // the old name of each row
	known bool     // a row has a column of old names
}

func readPeople(path, old string, kind tasks.Kind) (p people, err error) {
	in, err := table.OpenFile(path)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	t, err := table.Open(in, table.Options{})
	if err != nil {
		return p, err
	}
	for record, fault := range t.Records() {
		if fault != nil {
			return p, fault
		}
		had := ""
		if at := oldColumn(record.Names, old, kind); at >= 0 {
			p.known = true
			if at < len(record.Cells) {
				had = strings.TrimSpace(record.Cells[at])
			}
		}
		p.old = append(p.old, had)
		p.rows = append(p.rows, naming.Person{At: fmt.Sprintf("line %d", record.Line), Columns: record.Names, Fields: record.Cells})
	}
	if old != "" && !p.known {
		return p, fmt.Errorf("--old: the file has no column %.40s", old)
	}
	return p, nil
}

// oldColumn finds the column of the old names.
func oldColumn(columns []string, old string, kind tasks.Kind) int {
	k, _ := kinds.Named(kind)
	return slices.IndexFunc(columns, func(column string) bool {
		if old != "" {
			return naming.Fold(column) == naming.Fold(old)
		}
		known, _ := roster.Column(column)
		return known == k.Value || known == kinds.Previous
	})
}

// had is what the file says that people have.
func (p people) had(rule *naming.Rule) naming.Had {
	if !p.known {
		return nil
	}
	of := map[[2]string]string{}
	if rule.Kind() == tasks.KindID { // also of people whom the filter leaves out
		for row, person := range p.rows {
			of[[2]string{rule.PersonOf(person), ""}] = p.old[row]
		}
	} else {
		for _, n := range rule.Apply(p.rows, nil).Named {
			of[[2]string{n.Person, n.Chat}] = p.old[n.Row]
		}
	}
	return func(person, chat string) string { return of[[2]string{person, chat}] }
}

// names prints the names of the people in a file.
func (f flags) names(a *cli.App, rule *naming.Rule) error {
	p, err := readPeople(f.people, f.old, rule.Kind())
	if err != nil {
		return cli.BadInput("%s: %w", f.people, err)
	}
	if len(p.rows) > 0 {
		if err := rule.Check(p.rows[0].Columns); err != nil {
			return cli.BadInput("%s: %w", f.people, err)
		}
	}
	result := rule.Apply(p.rows, p.had(rule))
	records := p.records(rule, result)
	if f.out != "" {
		if err := write(f.out, records); err != nil {
			return cli.BadInput("-o %w", err)
		}
	}
	if a.JSON {
		return cli.PrintAll(a, records)
	}
	f.print(a.NewPrinter(), rule, result, records, len(p.rows))
	return nil
}

// records are the names in the order of the rule, then the problems.
func (p people) records(rule *naming.Rule, result naming.Result) []nameRecord {
	records := make([]nameRecord, 0, len(result.Named)+len(result.Problems))
	for _, n := range result.Named {
		records = append(records, nameRecord{
			At: p.rows[n.Row].At, Person: n.Person, Kind: rule.Kind(), Chat: n.Chat, Old: p.old[n.Row], New: n.Value, Cut: n.Cut,
			Alternatives: n.Alternatives, After: n.After, Swapped: n.Swapped,
		})
	}
	for _, problem := range result.Problems {
		records = append(records, nameRecord{
			At: p.rows[problem.Row].At, Person: problem.Person, Kind: rule.Kind(), Old: p.old[problem.Row], Problem: problem.What,
		})
	}
	return records
}

func write(path string, records []nameRecord) error {
	w, err := sheet.Create(path, []string{"at", "person", "chat", "old", "new", "note"})
	if err != nil {
		return err
	}
	defer w.Discard()
	for _, r := range records {
		if err := w.Row([]string{r.At, r.Person, r.Chat, r.Old, r.New, r.note()}); err != nil {
			return err
		}
	}
	return w.Close()
}

func (f flags) print(p *cli.Printer, rule *naming.Rule, result naming.Result, records []nameRecord, rows int) {
	p.Text(console.Bold, 0, fmt.Sprintf("rule %s: %s, %s, %d left out, %s", rule.Version(),
		console.Count(rows, "row"), console.Count(len(result.Named), "name"), result.Excluded, console.Count(len(result.Problems), "problem")))
	// What a person must correct comes first.
	problems := records[len(result.Named):]
	for _, r := range problems[:min(len(problems), f.n)] {
		p.Text(console.Yellow, 0, strings.TrimSpace(r.At+" "+r.Person)+": "+r.Problem)
	}
	for _, unused := range result.Unused {
		p.Text(console.Yellow, 0, "no one has this value, is it misspelt? "+unused)
	}
	names := records[:len(result.Named)]
	if len(names) > 0 {
		t := console.Table{Width: p.Width, Columns: []console.Column{
			{Head: "AT", Most: 12}, {Head: "PERSON", Most: 24}, {Head: "CHAT", Most: 20}, {Head: "OLD"}, {Head: "NEW"}, {Head: "NOTE"},
		}}
		for _, r := range names[:min(len(names), f.n)] {
			t.Add(r.At, r.Person, r.Chat, r.Old, r.New, r.note())
		}
		t.Print(p.Out)
	}
	if more := max(len(names), len(problems)) - f.n; more > 0 {
		p.Text(console.Plain, 0, "and more; use -n to show more, or -o to write all to a file")
	}
	if f.out != "" {
		p.Text(console.Plain, 0, "written: "+f.out)
	}
}
