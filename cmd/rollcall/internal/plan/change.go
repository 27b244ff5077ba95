package plan

import (
	"rollcall/internal/run"
	"rollcall/internal/runview"
)

// shown shows names: who works with a run has its list.
var shown = runview.Masker{Shown: true}

// changes returns the values of a row. Of several, each is named.
func changes(row run.Planned) []run.Value {
	all := shown.Changes(row.Row, row.Values)
	if runview.Several(all) {
		for i, c := range all {
			all[i].New = c.Field + ": " + c.New
		}
	}
	return all
}

// old is the value now: "?" if it is not known, and with a "*" if only the file states it.
func old(c run.Value) string {
	switch {
	case !c.Known:
		return "?"
	case c.Stated:
		return c.Old + "*"
	}
	return c.Old
}
