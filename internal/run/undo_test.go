package run_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/run"
	"rollcall/tasks"
)

// done applies a run and waits for its end.
func (r *rig) done(p run.Run) run.Run {
	r.t.Helper()
	r.must(r.service.Apply(r.t.Context(), p.ID, p.Plan.Digest, "ann"))
	return r.await(p.ID, run.StateDone)
}

// undo undoes a run, and returns the undo when it has ended.
func (r *rig) undo(id string) run.Run {
	r.t.Helper()
	undo := r.must(r.service.Undo(r.t.Context(), id, free()))
	return r.done(r.must(r.service.Plan(r.t.Context(), undo.ID, nil)))
}

// verdicts returns what Verify says of each row, with the reason.
func (r *rig) verdicts(undo string) []string {
	r.t.Helper()
	var all []string
	for v, err := range r.service.Verify(r.t.Context(), undo) {
		if err != nil {
			r.t.Fatal(err)
		}
		text := string(v.Verdict)
		if v.Why != "" {
			text += ": " + v.Why
		}
		all = append(all, text)
	}
	return all
}

func TestAnUndoLeavesAloneWhatIsNotTheRunsOwn(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s, 6)
		r.worker()
		r.done(r.plan(free(), nicknames("A", "B", "C")))
		rows := nicknames("A2", "B2", "C", "D2", "E2")
		rows[4].Previous = "E"
		rows = append(rows, run.Row{Request: tasks.Request{Task: tasks.GroupUpdate{Tenant: tenant, ChatID: "chat1", DelUserIDs: []string{"u6"}}}})
		p := r.plan(free(), rows)
		if p.Plan.Undoable != 3 { // A, B and E, of which the file states the name
			t.Errorf("%d rows could be undone, want 3", p.Plan.Undoable)
		}
		r.done(p)
		r.done(r.plan(free(), []run.Row{nickname(2, "B9")}))
		undo := r.undo(p.ID)
		want := []string{
			"restored", "skipped: it was changed since", "nothing: the run did not change it: unchanged",
			"impossible: the old value is not known", "restored",
			"impossible: added or removed members cannot be undone: add or remove them by hand",
		}
		if diff := cmp.Diff(want, r.verdicts(undo.ID)); diff != "" {
			t.Errorf("verdicts (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[string]string{"u1": "A", "u2": "B9", "u3": "C", "u4": "D2", "u5": "E"}, r.names()); diff != "" {
			t.Errorf("names (-want +got):\n%s", diff)
		}
		// The undo of the undo brings back what the run had set.
		r.undo(undo.ID)
		if diff := cmp.Diff(map[string]string{"u1": "A2", "u2": "B9", "u3": "C", "u4": "D2", "u5": "E2"}, r.names()); diff != "" {
			t.Errorf("names after the undo of the undo (-want +got):\n%s", diff)
		}
	})
}

// Of an undo whose caller died, one row is in.
func TestAnUndoThatIsRepeatedContinuesItsRun(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s, 3)
		r.worker()
		r.done(r.plan(free(), nicknames("A", "B", "C")))
		p := r.done(r.plan(free(), nicknames("A2", "B2", "C2")))
		draft := free()
		draft.ID, draft.UndoOf = ledger.NewRunID(), p.ID
		r.must(r.service.Create(t.Context(), draft))
		first := nickname(1, "A")
		first.Of = 1
		if in, err := r.service.Add(t.Context(), draft.ID, 0, []run.Row{first}); in != 1 || err != nil {
			t.Fatal(in, err)
		}
		for range 2 {
			if undo := r.must(r.service.Undo(t.Context(), p.ID, draft)); undo.ID != draft.ID || undo.Rows != 3 || !undo.Sealed {
				t.Errorf("%+v", undo)
			}
		}
		r.done(r.must(r.service.Plan(t.Context(), draft.ID, nil)))
		if diff := cmp.Diff([]string{"restored", "restored", "restored"}, r.verdicts(draft.ID)); diff != "" {
			t.Errorf("verdicts (-want +got):\n%s", diff)
		}
	})
}

func TestAnUndoSeesThroughLaterChangesToTheSameValue(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 3)
	r.worker()
	r.done(r.plan(free(), nicknames("A", "B")))
	p := r.done(r.plan(free(), nicknames("A2", "B2")))
	r.done(r.plan(free(), nicknames("A2", "B2"))) // the same file again: no call, so the last call is still the run's
	r.done(r.plan(free(), []run.Row{nickname(2, "B9")}))
	r.done(r.plan(free(), []run.Row{nickname(2, "B2")})) // changed, and changed back
	undo := r.undo(p.ID)
	want := []string{"restored", "impossible: it was changed since, and then to the same value"}
	if diff := cmp.Diff(want, r.verdicts(undo.ID)); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
}

// Two rows of a file change one group, and the same file raises the revision of both. An
// option that a row leaves as it was needs no call of the row.
func TestAnUndoKnowsTheLastCallOfEachField(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 3)
	r.worker()
	file := func(name, owner string) []run.Row {
		return []run.Row{
			{Request: tasks.Request{Task: tasks.GroupUpdate{
				Tenant: tenant, ChatID: "chat1", Name: name, Options: tasks.GroupOptions{Searchable: new(1)},
			}}},
			{Request: tasks.Request{Task: tasks.GroupUpdate{Tenant: tenant, ChatID: "chat1", Owner: owner, OwnerType: tasks.OwnerEmployee}}},
		}
	}
	r.done(r.plan(free(), file("Class 1", "u1")))
	p := r.done(r.plan(free(), file("Class 10", "u2")))
	r.done(r.plan(free(), file("Class 10", "u2")))
	undo := r.undo(p.ID)
	if diff := cmp.Diff([]string{"restored", "restored"}, r.verdicts(undo.ID)); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
}

func TestAttributesOfAGroupAreUndone(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 3)
	r.worker()
	group := func(name, owner string) []run.Row {
		return []run.Row{{Request: tasks.Request{Task: tasks.GroupUpdate{
			Tenant: tenant, ChatID: "chat1", Name: name, Owner: owner, OwnerType: tasks.OwnerEmployee, Options: tasks.GroupOptions{Searchable: new(len(name) % 2)},
		}}}}
	}
	r.done(r.plan(free(), group("Class 1", "u1")))
	p := r.done(r.plan(free(), group("Class 10", "u2")))
	undo := r.undo(p.ID)
	if diff := cmp.Diff([]string{"restored"}, r.verdicts(undo.ID)); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
	effects := r.box.Effects()
	got := map[string]string{}
	for _, c := range effects[len(effects)-1].Changes {
		got[c.Field] = c.New
	}
	if got["name"] != "Class 1" || got["owner"] != "u1" {
		t.Errorf("the undo set %v", got)
	}
}

func TestAVerificationIsReadPageByPage(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 5)
	r.worker()
	r.done(r.plan(free(), nicknames("A", "B", "C", "D", "E")))
	p := r.done(r.plan(free(), nicknames("A2", "B2", "C2", "D2", "E2")))
	r.done(r.plan(free(), []run.Row{nickname(2, "B9"), nickname(4, "D9")}))
	undo := r.undo(p.ID)
	want := []string{"restored", "skipped: it was changed since", "restored", "skipped: it was changed since", "restored"}
	if diff := cmp.Diff(want, r.verdicts(undo.ID)); diff != "" {
		t.Fatalf("verdicts (-want +got):\n%s", diff)
	}
	undoRow := 0
	for after := range 5 {
		rest := want[after:]
		for v, err := range r.service.VerifyAfter(t.Context(), undo.ID, after, undoRow) {
			if err != nil || len(rest) == 0 {
				t.Fatal(v.Number, err)
			}
			text := string(v.Verdict)
			if v.Why != "" {
				text += ": " + v.Why
			}
			if text != rest[0] || v.Number != 6-len(rest) {
				t.Errorf("after %d: row %d is %s, want %s", after, v.Number, text, rest[0])
			}
			if len(rest) == len(want)-after { // the first of the page
				undoRow = max(undoRow, v.UndoRow)
			}
			rest = rest[1:]
		}
		if len(rest) > 0 {
			t.Errorf("after %d: %d rows are missing", after, len(rest))
		}
	}
}
