package plan

import (
	"rollcall/internal/run"
	"rollcall/internal/runview"
)

// shown shows names: who works with a run has its list.
var shown = runview.Masker{Shown: true}

// Change is one value of a row as the commands print it.
type Change struct {
	New string

	old    string
	known  bool
	stated bool
}

// Old is the value now: "?" if it is not known, and with a "*" if only the file states it.
func (c Change) Old() string {
	switch {
	case !c.known:
		return "?"
	case c.stated:
		return c.old + "*"
	}
	return c.old
}

// Changes returns the values of a row. Of several, each is named.
func Changes(row run.Planned) []Change {
	var all []Change
	values := shown.Changes(row.Row, row.Values)
	for _, v := range values {
		c := Change{New: v.New, old: v.Old, known: v.Known, stated: v.Stated}
		if runview.Several(values) {
			c.New = v.Field + ": " + c.New
		}
		all = append(all, c)
	}
	return all
}

// Target is the key of the target of a row; empty for a row without a task.
func Target(row run.Row) string { return shown.Place(row).Target }
