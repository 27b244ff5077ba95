package run

import (
	"fmt"
	"time"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
)

// decided returns a record with a decision.
func decided(d Decision, why string) planRecord { return planRecord{Decision: letters[d], Why: why} }

// decide compares a row with the record of its target. It is the only place that decides
// on a row, for the plan and when the run is applied.
func decide(q request, known ledger.Record, trustPrevious bool, now time.Time) planRecord {
	if len(known.Damaged) > 0 {
		return decided(RowImpossible, fmt.Sprintf(whyDamaged, known.Damaged[0]))
	}
	rec := planRecord{Old: map[string]string{}}
	if known.Revision > now.UnixMicro() {
		rec.Ahead = known.Revision
	}
	same, allKnown := true, true
	for _, f := range q.fields {
		state := known.Fields[f.Name]
		rec.Newest = max(rec.Newest, state.Latest, state.Applied)
		if why := forbidden(f, state, now); why != "" {
			return decided(RowImpossible, why)
		}
		waits := state.Open && state.Latest > state.Applied
		if waits && rec.Why == "" {
			rec.Why, rec.replaces = fmt.Sprintf(whyReplaces, state.TaskID), true
		}
		if f.Mode != ledger.Value && f.Mode != ledger.Once {
			same = false
			continue
		}
		if !certain(state) {
			allKnown, rec.uncertain = false, max(rec.uncertain, state.Applied, state.Unknown)
		} else {
			rec.Old[f.Name] = state.Value
		}
		same = same && certain(state) && !waits && equals(state, f)
	}
	// The column previous counts where the ledger does not know the value.
	if q.Previous != "" && !allKnown && len(q.fields) == 1 {
		rec.Old[q.fields[0].Name], rec.Stated, allKnown = q.Previous, true, true
		same = trustPrevious && q.Previous == q.fields[0].Value && rec.Why == ""
	}
	switch {
	case same:
		rec.Decision, rec.Why, rec.replaces = letters[RowUnchanged], "", false
	case allKnown:
		rec.Decision = letters[RowChange]
	default:
		rec.Decision = letters[RowNew]
	}
	return rec
}

// certain reports whether the ledger knows the value that a target has.
func certain(s ledger.State) bool { return s.Applied > 0 && s.Unknown == 0 && s.Late.IsZero() }

func equals(s ledger.State, f ledger.Field) bool { return s.Value == f.Value || s.Wanted == f.Value }

// forbidden returns why no call may be made for a field, or "".
func forbidden(f ledger.Field, s ledger.State, now time.Time) string {
	if f.Mode != ledger.Once {
		return ""
	}
	switch {
	case s.Unknown != 0 || s.Intent != nil:
		return whyUnknownID
	case certain(s) && equals(s, f):
		return ""
	case s.Lock != nil && (s.Lock.Until.IsZero() || s.Lock.Until.After(now)):
		return s.Lock.Error()
	}
	return ""
}

// changedSince reports why a row of the plan is a conflict, compared with the record of
// its target now; "" if it is not. Values and waiting changes count: a change to the same
// value does not.
func changedSince(plan, now planRecord) string {
	if now.Newest <= plan.Newest {
		return ""
	}
	if now.uncertain > plan.Newest {
		return whyChangedLost
	}
	for name, old := range now.Old {
		if before, known := plan.Old[name]; !known || before != old {
			return whyChanged
		}
	}
	for name := range plan.Old {
		if _, known := now.Old[name]; !known && !plan.Stated {
			return whyChangedLost
		}
	}
	if now.replaces {
		return whyWaits
	}
	return ""
}

// undoable reports whether a row could be taken back once it was applied: all its values
// can be set again, and all old ones are known.
func undoable(q request, rec planRecord) bool {
	if !rec.decision().Calls() || q.Request.Task == nil {
		return false
	}
	kind, ok := kinds.Of(q.Request.Task)
	if !ok || !kind.Restores() {
		return false
	}
	for _, f := range q.fields {
		old, known := rec.Old[f.Name]
		if f.Mode != ledger.Value || !known || old == "" {
			return false
		}
	}
	return true
}

// values returns the fields of a row before and after.
func values(fields []ledger.Field, rec planRecord) []Value {
	all := make([]Value, 0, len(fields))
	for _, f := range fields {
		old, known := rec.Old[f.Name]
		all = append(all, Value{Field: f.Name, Old: old, New: f.Value, Known: known, Stated: known && rec.Stated})
	}
	return all
}
