// Package runview is what people see of the rows of a run: their values, shown or masked, what
// to do about them, page by page and as files.
//
// It must not know who looks, nor how a page is drawn.
package runview

import (
	"cmp"

	"rollcall/internal/kinds"
	"rollcall/internal/privacy"
	"rollcall/internal/run"
	"rollcall/tasks"
)

// Masker shows names and ids of people, or masks them. The zero value masks.
type Masker struct{ Shown bool }

// Values returns the values of a row of a kind.
func (m Masker) Values(kind tasks.Kind, values []run.Value) []run.Value {
	all := make([]run.Value, len(values))
	for i, v := range values {
		if all[i] = v; !m.Shown {
			all[i].Old, all[i].New = privacy.Value(kind, v.Field, v.Old), privacy.Value(kind, v.Field, v.New)
		}
	}
	return all
}

// Place is where the target of a row is. The zero value: the row has no task.
type Place struct {
	Tenant string
	Kind   tasks.Kind
	Target string // key of the target within its organisation
	Key    string // that the row was sent with; it may hold a name
}

// Place returns where the target of a row is.
func (m Masker) Place(row run.Row) Place {
	p := Place{Key: m.one(row.Request.Options.Key)}
	if row.Request.Task == nil {
		return p
	}
	p.Tenant, p.Kind = row.Request.Task.Lane()
	changed, _ := kinds.Change(row.Request.Task, "")
	if p.Target = changed.Key; !m.Shown {
		p.Target = privacy.Target(p.Kind, changed.Key)
	}
	return p
}

// one returns the name or the id of a person.
func (m Masker) one(text string) string {
	if m.Shown {
		return text
	}
	return privacy.Mask(text)
}

// Words returns the first of some texts of ours or of a platform about a row that is not
// empty.
func (m Masker) Words(row run.Row, texts ...string) string {
	text := cmp.Or(texts...)
	if m.Shown || row.Request.Task == nil {
		return text
	}
	return privacy.Redact(text, append(privacy.Words(row.Request.Task), row.Request.Options.Key, row.Previous))
}
