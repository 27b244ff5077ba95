package run_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/redistest"
	"rollcall/internal/run"
	"rollcall/tasks"
)

func members2(add, del []string) tasks.GroupUpdate {
	return tasks.GroupUpdate{Tenant: tenant, ChatID: "chat1", AddUserIDs: add, DelUserIDs: del}
}

func TestEditsOfMembersKeepTheirOrder(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s, 6)
		var rows []run.Row
		times := 10
		if testing.Short() {
			times = 2
		}
		for range times { // the same member leaves and comes back
			rows = append(rows,
				run.Row{Request: tasks.Request{Task: members2(nil, []string{"u3"})}},
				run.Row{Request: tasks.Request{Task: members2([]string{"u3"}, nil)}})
		}
		p := r.apply(free(), rows)
		r.worker()
		done := r.await(p.ID, run.StateDone)
		if diff := cmp.Diff(map[run.Outcome]int{run.OutcomeApplied: len(rows)}, done.Outcomes); diff != "" {
			t.Fatalf("outcomes (-want +got):\n%s", diff)
		}
		for i, e := range r.box.Effects() {
			if joined := e.Changes[0].New != ""; joined != (i%2 == 1) {
				t.Errorf("effect %d: the member joined: %v", i+1, joined)
			}
		}
	})
}

func TestAnEditWhoseAttributeHasALaterChangeIsAConflict(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 3)
	edit := members2(nil, []string{"u3"})
	edit.Name = "Class 2"
	p := r.plan(free(), []run.Row{{Request: tasks.Request{Task: edit}}})
	r.must(r.service.Apply(t.Context(), p.ID, p.Plan.Digest, "ann"))
	// The run was compared again, but its row was not fed when another name was enqueued.
	if err := r.feeder().Prepare(t.Context(), p.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := r.producer().Enqueue(t.Context(), tasks.GroupUpdate{Tenant: tenant, ChatID: "chat1", Name: "Class 9"}, tasks.Options{}); err != nil {
		t.Fatal(err)
	}
	r.worker()
	r.await(p.ID, run.StateDone)
	if diff := cmp.Diff([]run.Outcome{run.OutcomeConflict}, r.outcomes(p.ID)); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

func TestOptionsOfRowsKeepTheirMeaning(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 6)
	producer := r.producer()
	if _, err := producer.Enqueue(t.Context(), nickname(1, "A").Request.Task, tasks.Options{Source: "hr", Number: 7}); err != nil {
		t.Fatal(err)
	}
	if _, err := producer.Enqueue(t.Context(), nickname(3, "C").Request.Task, tasks.Options{Key: "k1"}); err != nil {
		t.Fatal(err)
	}
	rows := nicknames("A2", "B2", "C", "D2")
	rows[0].Request.Options = tasks.Options{Source: "hr", Number: 5} // an older state of the source
	rows[1].Request.Options = tasks.Options{Source: "hr", Number: 8, Urgent: true}
	rows[2].Request.Options = tasks.Options{Key: "k1"} // stored before
	rows[3].Request.Options = tasks.Options{At: time.Now().Add(3 * time.Second)}
	began := time.Now()
	p := r.apply(free(), rows)
	r.worker()
	r.await(p.ID, run.StateDone)
	want := []run.Outcome{run.OutcomeConflict, run.OutcomeApplied, run.OutcomeUnchanged, run.OutcomeApplied}
	if diff := cmp.Diff(want, r.outcomes(p.ID)); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	for _, e := range r.box.Effects() {
		if e.Target.User == "u4" && e.Time.Before(began.Add(2*time.Second)) {
			t.Errorf("the row with a time was sent after %s", e.Time.Sub(began))
		}
	}
}
