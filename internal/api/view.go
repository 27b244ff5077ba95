package api

import (
	"slices"

	"rollcall/internal/access"
	"rollcall/internal/privacy"
	"rollcall/internal/roster"
	"rollcall/internal/run"
	"rollcall/internal/runview"
	"rollcall/internal/wire"
	"rollcall/tasks"
)

// masker makes rows for clients that may see names and ids of people, or not.
type masker struct{ runview.Masker }

func (c caller) masker() masker { return c.maskerUnless(false) }

// maskerUnless returns that, or one that masks if the client wants it.
func (c caller) maskerUnless(masked bool) masker {
	return masker{runview.Masker{Shown: c.May(access.Names) && !masked}}
}

func (m masker) values(kind tasks.Kind, values []run.Value) []wire.Value {
	all := make([]wire.Value, len(values))
	for i, v := range m.Values(kind, values) {
		all[i] = wire.Value(v)
	}
	return all
}

// columns returns a row as the columns of a file.
func (m masker) columns(row run.Row) map[string]string {
	request, previous := row.Request, row.Previous
	if !m.Shown {
		if request.Task != nil {
			request.Task = privacy.Task(request.Task)
		}
		request.Options.Key, previous = privacy.Mask(request.Options.Key), privacy.Mask(previous)
	}
	return roster.Cells(request, previous)
}

// problems are why a row is impossible.
func (m masker) problems(row run.Row) (all []string) {
	for _, text := range row.Problems {
		all = append(all, m.Words(row, text))
	}
	return all
}

func (m masker) planned(p run.Planned) wire.PlannedRow {
	at := m.Place(p.Row)
	return wire.PlannedRow{
		Row: p.Number, Line: p.Line, Place: wire.Place(at), Decision: p.Decision, Values: m.values(at.Kind, p.Values),
		Why: m.Words(p.Row, p.Why), Suspicious: m.Words(p.Row, p.Suspicious), Problems: m.problems(p.Row), Undoable: p.Undoable,
	}
}

func (m masker) result(r run.Result) wire.ResultRow {
	at := m.Place(r.Row)
	return wire.ResultRow{
		Row: r.Number, Line: r.Line, Place: wire.Place(at), Outcome: r.Outcome, Values: m.values(at.Kind, r.Values),
		Class: r.Class, Code: r.Code, Message: m.Words(r.Row, r.Message, r.Why), Todo: r.Advice, RequestID: m.Words(r.Row, r.RequestID), At: r.At,
		Decision: r.Decision, Why: m.Words(r.Row, r.Why), Problems: m.problems(r.Row),
	}
}

// mayRow reports whether the caller may see a row.
func (c caller) mayRow(row run.Row) bool {
	if row.Request.Task == nil {
		return true
	}
	tenant, _ := row.Request.Task.Lane()
	return c.MayTenant(tenant)
}

// maySee reports whether the caller may see a run: it made the run, or may use all its
// tenants and read.
func (c caller) maySee(r run.Run) bool {
	if c.owns(r) {
		return true
	}
	if len(c.Tenants) == 0 {
		return true
	}
	return r.Plan != nil && len(r.Plan.Lanes) > 0 &&
		!slices.ContainsFunc(r.Plan.Lanes, func(l run.Lane) bool { return !c.MayTenant(l.Tenant) })
}

// owns reports whether the caller made a run.
func (c caller) owns(r run.Run) bool { return r.Author == c.by() }
