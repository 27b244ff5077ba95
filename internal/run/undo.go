package run

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/tasks"
)

// Undoable returns all rows of a run with the values that would undo them now, or why
// they cannot be undone.
func (s *Service) Undoable(ctx context.Context, id string) iter.Seq2[Undone, error] {
	return func(yield func(Undone, error) bool) {
		u, err := s.undoer(ctx, id)
		if err != nil {
			yield(Undone{}, err)
			return
		}
		paged(ctx, u.rowResults(ctx, u.head, 0, nil), u.page)(yield)
	}
}

// undoer decides which rows of a run can be undone.
type undoer struct {
	*Service

	head      *head
	revisions revisions
}

// undoer reads a run that was applied.
func (s *Service) undoer(ctx context.Context, id string) (undoer, error) {
	u := undoer{Service: s}
	var err error
	if u.head, err = s.load(ctx, id); err != nil {
		return u, err
	}
	if u.head.fields[fieldApplied] == "" {
		return u, &StateError{ID: id, State: u.head.state(), Reason: "it was not applied", Event: "undo"}
	}
	u.head.read(fieldRevisions, &u.revisions)
	return u, nil
}

// page decides which of some rows can be undone.
func (u undoer) page(ctx context.Context, page []result) ([]Undone, error) {
	all := make([]Undone, len(page))
	var at []int
	var targets []ledger.Target
	for i, r := range page {
		all[i].Result = r.Result
		if all[i].Set, all[i].WhyNot = inverse(r); all[i].WhyNot == "" {
			at, targets = append(at, i), append(targets, r.request.target)
		}
	}
	known, err := u.ledger.Survey(ctx, targets)
	if err != nil {
		return nil, err
	}
	for n, i := range at {
		if all[i].WhyNot, err = u.changed(ctx, page[i], all[i].Set, known[n]); err != nil {
			return nil, err
		}
		if all[i].WhyNot != "" {
			all[i].Set = nil
		}
	}
	return all, nil
}

// inverse returns the values that were there before a row was applied, or why it cannot
// be undone.
func inverse(r result) (map[string]string, string) {
	q := r.request
	switch r.Outcome {
	case OutcomeApplied:
	case OutcomeWaiting, OutcomeOpen:
		return nil, whyNotEnded
	default:
		return nil, fmt.Sprintf(whyNotChanged, r.Outcome)
	}
	kind, ok := kinds.Of(r.Request.Task)
	if !ok || !kind.Restores() {
		_, name := r.Request.Task.Lane()
		return nil, fmt.Sprintf(whyKind, name)
	}
	set := map[string]string{}
	for _, f := range q.fields {
		if f.Mode != ledger.Value {
			return nil, whyMembers
		}
		d, sent := fieldOf(r.detail, f.Name, len(q.fields))
		switch stated := q.plan; {
		case !sent && r.detail.Fields != nil: // it had its value, so the row did not send it
		case d.Known && d.Old != "":
			set[f.Name] = d.Old
		case stated.Stated && stated.Old[f.Name] != "":
			set[f.Name] = stated.Old[f.Name]
		default:
			return nil, whyOldUnknown
		}
	}
	return set, ""
}

// changed returns why a target no longer has what a row gave it, or "" if the last call and
// the current values are those of the row. set are the values that undo the row.
func (u undoer) changed(ctx context.Context, r result, set map[string]string, known ledger.Record) (string, error) {
	q := r.request
	var raised []string
	for _, f := range q.fields {
		if _, undone := set[f.Name]; !undone {
			continue
		}
		state := known.Fields[f.Name]
		d, _ := fieldOf(r.detail, f.Name, len(q.fields))
		switch {
		case len(known.Damaged) > 0:
			return whyRepair, nil
		case state.Unknown != 0:
			return whyLaterUnknown, nil
		case state.Open && state.Latest > state.Applied:
			return fmt.Sprintf(whyLaterWaits, state.TaskID), nil
		case !equals(state, f) && (d.Substitute == "" || state.Value != d.Substitute):
			return whyChangedAfter, nil
		}
		if state.Applied != u.revisions.of(q) {
			raised = append(raised, f.Name)
		}
	}
	if len(raised) == 0 {
		return "", nil
	}
	// A later change wanted the same values, and may have made a call.
	full, err := u.ledger.Look(ctx, q.target)
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(raised, func(field string) bool { return lastCaller(full.Effects, field) != taskID(u.head.id, q.number) }) {
		return "", nil
	}
	return whySameAgain, nil
}

// lastCaller returns the task that made the last call for a field, "" if that is not known.
// Values that were sent again are those of the call before.
func lastCaller(effects []ledger.Event, field string) string {
	for _, e := range effects { // latest first
		if _, set := e.Set[field]; set && e.Did != ledger.DidResend && e.Did != ledger.DidRefresh {
			return e.TaskID
		}
	}
	return ""
}

// Undo makes a run that takes another one back, of the rows that can be undone, and seals
// it. Plan and apply it as any other. The run that is taken back must have ended, or be
// paused. Without a row that can be undone it returns a run without rows.
func (s *Service) Undo(ctx context.Context, id string, draft Draft) (Run, error) {
	h, err := s.load(ctx, id)
	if err != nil {
		return Run{}, err
	}
	if st := h.state(); st.Sends() || !st.Applied() && st != StateDone && st != StateCancelled {
		return Run{}, &StateError{ID: id, State: st, Reason: "it must have ended, or be paused", Event: "undo"}
	}
	draft.UndoOf = id
	r, err := s.Create(ctx, draft)
	if err != nil || r.Sealed {
		return r, err
	}
	in, last := r.Rows, 0 // last is the row that the last one undoes
	if in > 0 {
		blocks, err := s.storedBlocks(ctx, r.ID, []int{(in - 1) / blockRows}, false)
		if err != nil {
			return r, err
		}
		last = blocks[0].rows[(in-1)%blockRows].Of
	}
	var page []Row
	flush := func() error {
		n, err := s.Add(ctx, r.ID, in, page)
		in, page = n, page[:0]
		return err
	}
	for u, err := range s.Undoable(ctx, id) {
		if err != nil {
			return r, err
		}
		if u.Set == nil || u.Number <= last {
			continue
		}
		row, err := u.row()
		if err != nil {
			return r, err
		}
		if page = append(page, row); len(page) == MaxAdd {
			if err := flush(); err != nil {
				return r, err
			}
		}
	}
	if err := flush(); err != nil {
		return r, err
	}
	return s.Seal(ctx, r.ID, in)
}

// row is the row that undoes another one.
func (u Undone) row() (Row, error) {
	kind, _ := kinds.Of(u.Request.Task)
	tenant, _ := u.Request.Task.Lane()
	target, _ := kinds.Change(u.Request.Task, "")
	task, err := kind.Restore(tenant, target.Key, u.Set)
	if err != nil {
		return Row{}, fmt.Errorf("row %d: %w", u.Number, err)
	}
	return Row{Line: u.Line, Of: u.Number, Request: tasks.Request{Task: task, Options: tasks.Options{Urgent: u.Request.Options.Urgent}}}, nil
}
