package handler_test

import (
	"context"
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
)

// plans makes a row of a run: it takes the revision of the run, and is fed later, in a feed
// step or at the end. A row whose value the target holds is not fed but raised. A row of a
// target that is above the run takes a revision of its own.
func (w *world) plans(t *rapid.T, subjects []string) {
	task := drawTask(t, subjects)
	target, fields := kinds.Change(task, school)
	for _, f := range fields {
		if f.Mode != ledger.Value {
			t.Skip("it has a revision of its own")
		}
	}
	rev, err := w.ledger.RunRevision(context.Background(), target.Organisation, target.API)
	if err != nil {
		w.fatalf("take a revision for a run: %v", err)
	}
	if w.model.last[target.API+" "+target.Key] >= rev {
		w.enqueue(task, stores)
		return
	}
	w.model.last[target.API+" "+target.Key] = rev
	typ, payload, err := kinds.Encode(task, rev)
	if err != nil {
		w.fatalf("%v", err)
	}
	w.rows++
	s := &stored{
		deed: deed{rev: rev, before: len(w.box.Effects())}, id: fmt.Sprint("r", w.rows), task: task, typ: typ, payload: payload,
	}
	for _, f := range fields {
		p := position(target, f.Name)
		w.model.changes[p] = append(w.model.changes[p], newChange(s, f.Value))
	}
	raised, err := w.ledger.Raise(context.Background(), []ledger.Raise{{Target: target, Fields: fields, Revision: rev}})
	switch {
	case err != nil:
		w.fatalf("raise: %v", err)
	case raised[0]:
		w.log("a run finds %s at %d", changeOf(task), rev)
	default:
		w.log("a run plans %s: %s at %d", s.id, changeOf(task), rev)
		w.planned = append(w.planned, s)
	}
}

// feeds stores a row of a run.
func (w *world) feeds(s *stored, how string) {
	w.log("the feeder %s: %s", how, s.id)
	if how == doesNotStore {
		return
	}
	w.planned = slices.DeleteFunc(w.planned, func(p *stored) bool { return p == s })
	s.before = len(w.box.Effects())
	w.tasks = append(w.tasks, s)
	if how == stores {
		w.mark(s)
	}
}
