package night

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/naming"
	"rollcall/internal/run"
	"rollcall/internal/source"
	"rollcall/tasks"
)

// Names is the rule that names people by filters and templates.
type Names struct {
	Rule *naming.Rule
	// Tenant has the people, and Organisation has the tenant.
	Tenant, Organisation string
	// Ledger knows which names people have. A name that fits the rule is kept.
	Ledger *ledger.Ledger
}

// Version is that of the rule, for its tenant.
func (n Names) Version() string { return "names-" + n.Rule.Version() + "-" + n.Tenant }

// Begin begins a reading.
func (n Names) Begin(context.Context, time.Time) (Maker, error) {
	kind, _ := kinds.Named(n.Rule.Kind())
	return &nameMaker{Names: n, kind: kind, needed: n.Rule.Columns(), seen: map[string]bool{}}, nil
}

// nameMaker collects the people of a reading: only all of them together can be named.
type nameMaker struct {
	Names

	kind    kinds.Kind // of the rule
	needed  []string   // columns that the rule uses
	columns []string   // of the last record
	indices []int      // of needed in columns; -1: there is no such column
	seen    map[string]bool
	people  []naming.Person
}

// Add keeps what the rule uses of a record.
func (m *nameMaker) Add(columns []string, r source.Record) ([]run.Row, error) {
	if m.indices == nil || !slices.Equal(m.columns, columns) {
		m.columns, m.indices = columns, m.indices[:0]
		for _, name := range m.needed {
			m.indices = append(m.indices, naming.IndexOf(columns, name))
		}
		for _, column := range columns {
			m.seen[column] = true
		}
	}
	fields := make([]string, len(m.needed))
	for i, at := range m.indices {
		if at >= 0 && at < len(r.Fields) {
			fields[i] = strings.Clone(r.Fields[at]) // not the whole line of a source
		}
	}
	m.people = append(m.people, naming.Person{At: r.At, Columns: m.needed, Fields: fields})
	return nil, nil
}

// End names the people: a row for each name, IDs in the order in which they must be
// changed, then a row for each problem.
func (m *nameMaker) End(ctx context.Context) ([]run.Row, error) {
	if len(m.people) == 0 {
		return nil, nil
	}
	columns := make([]string, 0, len(m.seen))
	for column := range m.seen { // of an NDJSON file each record has columns of its own
		columns = append(columns, column)
	}
	slices.Sort(columns)
	if err := m.Rule.Check(columns); err != nil {
		return nil, &source.Error{Cause: source.Malformed, Err: err}
	}
	had, err := m.had(ctx)
	if err != nil {
		return nil, err
	}
	result := m.Rule.Apply(m.people, had)
	if len(result.Named)+len(result.Problems) == 0 {
		return nil, m.noOneNamed(result)
	}
	rows := make([]run.Row, 0, len(result.Named)+len(result.Problems))
	for _, n := range result.Named {
		rows = append(rows, run.Row{
			Line:    lineOf(m.people[n.Row].At),
			Request: tasks.Request{Task: m.task(n.Person, n.Chat, n.Value, n.Alternatives)},
		})
	}
	for _, p := range result.Problems {
		at := m.people[p.Row].At
		row := run.Row{Line: lineOf(at), Problems: []string{p.What}}
		if row.Line == 0 && at != "" {
			row.Problems[0] = at + ": " + p.What
		}
		if p.Person != "" { // they are in the roster, so they are not missing
			row.Request.Task = m.task(p.Person, "", "", nil)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// noOneNamed is the error of a rule that leaves out everyone, as one with a misspelt filter.
func (m *nameMaker) noOneNamed(result naming.Result) error {
	what := fmt.Sprintf("the rule leaves out all %d rows: check its filter and chats", len(m.people))
	if len(result.Unused) > 0 {
		what += "; no one has " + strings.Join(result.Unused[:min(len(result.Unused), 5)], ", ")
	}
	return source.Errorf(source.Empty, "%s", what)
}

// task returns what gives a person a value.
func (m *nameMaker) task(person, chat, value string, alternatives []string) tasks.Task {
	return m.kind.Named(m.Tenant, chat, person, value, alternatives)
}

// surveyedTogether is how many targets are read at once.
const surveyedTogether = 8192

// had reads which names, or IDs, people have: the last values that were applied.
func (m *nameMaker) had(ctx context.Context) (naming.Had, error) {
	type holder struct{ person, chat string }
	var all []holder
	if m.Rule.Kind() == tasks.KindID {
		for _, p := range m.people { // also those whom the filter leaves out: their IDs are taken
			if person := m.Rule.PersonOf(p); person != "" {
				all = append(all, holder{person: person})
			}
		}
	} else {
		for _, n := range m.Rule.Apply(m.people, nil).Named {
			all = append(all, holder{n.Person, n.Chat})
		}
	}
	values := make(map[holder]string, len(all))
	for page := range slices.Chunk(all, surveyedTogether) {
		targets := make([]ledger.Target, len(page))
		field := ""
		for i, h := range page {
			target, fields := kinds.Change(m.task(h.person, h.chat, "", nil), m.Organisation)
			if len(fields) != 1 {
				return nil, fmt.Errorf("a %s task has %d fields; this is a fault of rollcall: report it", m.Rule.Kind(), len(fields))
			}
			targets[i], field = target, fields[0].Name
		}
		records, err := m.Ledger.Survey(ctx, targets)
		if err != nil {
			return nil, err
		}
		for i, record := range records {
			if state := record.Fields[field]; state.Applied > 0 {
				values[page[i]] = state.Value
			}
		}
	}
	return func(person, chat string) string { return values[holder{person, chat}] }, nil
}
