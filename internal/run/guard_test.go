package run_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/run"
	"rollcall/tasks"
)

// applied makes the ledger know the names of members, as if they had been applied.
func (r *rig) applied(names ...string) {
	r.t.Helper()
	for i, name := range names {
		target := ledger.Target{Organisation: organisation, API: "nickname", Key: fmt.Sprintf("chat1/u%d", i+1)}
		fields := []ledger.Field{{Name: "nickname", Value: name, Mode: ledger.Value}}
		id := fmt.Sprintf("before-%d-%s", i+1, name)
		revised := r.ledger.Revise(r.t.Context(), ledger.Change{Target: target, Fields: fields, TaskID: id})[0]
		if revised.Err != nil {
			r.t.Fatal(revised.Err)
		}
		lease, _, err := r.ledger.Begin(r.t.Context(), ledger.Delivery{TaskID: id, Target: target, Revision: revised.Revision, Fields: fields})
		if err != nil {
			r.t.Fatalf("begin: %v", err)
		}
		if lease == nil { // the value is there already
			continue
		}
		if err := lease.Settle(r.t.Context(), "request", false, nil); err != nil {
			r.t.Fatal(err)
		}
	}
}

func TestGuardsHoldARunUntilTheirFlagsAreGiven(t *testing.T) {
	t.Parallel()
	id := func(member int) run.Row {
		return run.Row{Request: tasks.Request{Task: tasks.IDChange{Tenant: tenant, UserID: fmt.Sprintf("u%d", member), DingTalkID: "lakeside" + strconv.Itoa(member)}}}
	}
	for _, c := range []struct {
		name  string
		known []string // names of u1, u2 …
		rows  []run.Row
		quota int
		want  []string // flags of the guards
	}{
		{name: "first import", rows: nicknames(many(80, "n")...)},
		{name: "few changes", known: many(80, "o"), rows: nicknames(many(10, "n")...)},
		{name: "a whole chat changes", known: many(12, "o"), rows: nicknames(many(12, "n")...), want: []string{"allow-changes"}},
		{name: "equal names", rows: nicknames("王芳", "王芳"), want: []string{"allow-equal-names"}},
		{name: "equal names that are there", known: []string{"王芳", "王芳"}, rows: nicknames("王芳", "王芳")},
		{name: "Chinese characters are lost", known: []string{"王芳"}, rows: nicknames("wangfang"), want: []string{"allow-lost-chinese"}},
		{name: "a date", rows: nicknames("2026/3/1"), want: []string{"allow-suspicious"}},
		{name: "characters are lost", rows: nicknames("王???"), want: []string{"allow-suspicious"}},
		{name: "too expensive", rows: nicknames(many(30, "n")...), quota: 20, want: []string{"allow-over-quota"}},
		{name: "an ID", rows: []run.Row{id(1)}, want: []string{"allow-id-changes"}},
		{name: "members are removed", rows: []run.Row{{Request: tasks.Request{Task: tasks.GroupUpdate{Tenant: tenant, ChatID: "chat1", DelUserIDs: []string{"u2"}}}}}, want: []string{"prune"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, redistest.One(t), 3)
			r.quota.Calls = c.quota
			r.worker()()
			r.applied(c.known...)
			p := r.plan(run.Draft{Author: "ann"}, c.rows)
			var got []string
			for _, g := range p.Plan.Guards {
				got = append(got, g.Flag)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Fatalf("guards (-want +got):\n%s%+v", diff, p.Plan)
			}
			applied := r.must(r.service.Apply(t.Context(), p.ID, p.Plan.Digest, "ann"))
			if len(c.want) == 0 {
				if applied.State != run.StateCanary {
					t.Errorf("the run is %s without a guard", applied.State)
				}
				return
			}
			if applied.State != run.StateHeld || !strings.Contains(applied.Reason, "--"+c.want[0]) {
				t.Errorf("the run is %s: %s", applied.State, applied.Reason)
			}
			allowed := r.must(r.service.Allow(t.Context(), p.ID, c.want...))
			if allowed.State != run.StatePlanned {
				t.Errorf("the run is %s after the flags were given", allowed.State)
			}
			if again := r.must(r.service.Apply(t.Context(), p.ID, p.Plan.Digest, "ann")); again.State != run.StateCanary {
				t.Errorf("the run is %s after it was applied", again.State)
			}
		})
	}
}

func TestAHeldRunIsApprovedBySomebodyElse(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 3)
	p := r.plan(run.Draft{Author: "ann", Settings: run.Settings{OtherApprover: true}}, nicknames("王芳", "王芳"))
	r.must(r.service.Apply(t.Context(), p.ID, p.Plan.Digest, "ann"))
	if _, err := r.service.Approve(t.Context(), p.ID, p.Plan.Digest, "ann"); !is[*run.ApproverError](err) {
		t.Errorf("approved by its author: %v", err)
	}
	if _, err := r.service.Approve(t.Context(), p.ID, "00000000", "bob"); !is[*run.DigestError](err) {
		t.Errorf("approved with another digest: %v", err)
	}
	if got := r.must(r.service.Approve(t.Context(), p.ID, p.Plan.Digest[:8], "bob")); got.State != run.StateCanary || got.By != "bob" {
		t.Errorf("the run is %s by %s", got.State, got.By)
	}
}

func TestRowsThatContradictEachOtherAreConflicts(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 3)
	rows := nicknames("Ann", "Bob", "Cat")
	rows = append(rows, nickname(1, "Anna"), nickname(2, "Bob"))
	p := r.plan(run.Draft{}, rows)
	want := []run.Decision{run.RowConflict, run.RowNew, run.RowNew, run.RowConflict, run.RowUnchanged}
	if diff := cmp.Diff(want, r.decisions(p.ID)); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}
	// Reasons and guards name the lines of the file.
	var why []string
	for row, err := range r.service.Rows(t.Context(), p.ID) {
		if err != nil {
			t.Fatal(err)
		}
		why = append(why, row.Why)
	}
	wantWhy := []string{"row 4, line 2 wants another value for the same target", "", "", "row 1, line 2 wants another value for the same target", "the same as row 2, line 3"}
	if diff := cmp.Diff(wantWhy, why); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
	equal := r.plan(run.Draft{}, []run.Row{nickname(1, "Ann"), nickname(2, "Ann")}).Plan.Guards
	if len(equal) != 1 || !slices.Equal(equal[0].Rows, []int{1, 2}) || !slices.Equal(equal[0].Lines, []int{2, 3}) {
		t.Errorf("guards %+v", equal)
	}
}

// A command that leaves rows out of a plan and applies it is killed at any point, and begins
// again with the same plan and the same rows.
func TestLeavingRowsOutGoesOnAfterAKill(t *testing.T) {
	t.Parallel()
	names, out := many(700, "n"), []int{2, 300, 699}
	for killed := range 4 {
		r := newRig(t, redistest.One(t), 5)
		p := r.plan(free(), nicknames(names...))
		dying := run.New(run.Config{Redis: r.dying(killed), Ledger: r.ledger})
		if _, err := dying.Exclude(t.Context(), p.ID, p.Plan.Digest, out); err == nil && killed < 3 {
			t.Errorf("killed after %d writes, and excluded", killed)
		}
		got := r.must(r.service.Exclude(t.Context(), p.ID, p.Plan.Digest, out))
		if n := got.Plan.Counts[run.RowExcluded]; n != 3 || got.Plan.Calls() != 697 {
			t.Errorf("killed after %d writes: %d rows are left out, %d calls", killed, n, got.Plan.Calls())
		}
		if _, err := r.service.Exclude(t.Context(), p.ID, p.Plan.Digest, []int{2, 300}); !is[*run.DigestError](err) {
			t.Errorf("fewer rows of the old plan were accepted: %v", err)
		}
		applied := r.must(r.service.Apply(t.Context(), p.ID, got.Plan.Digest, "ann"))
		again := r.must(r.service.Exclude(t.Context(), p.ID, p.Plan.Digest, out))
		if again = r.must(r.service.Apply(t.Context(), p.ID, again.Plan.Digest, "ann")); !again.Applied.Equal(applied.Applied) {
			t.Errorf("applied at %s, and again at %s", applied.Applied, again.Applied)
		}
	}
}

func TestRowsThatAreLeftOutAreNotSent(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 5)
	r.worker()
	p := r.plan(free(), nicknames("A", "B", "C", "D"))
	second := r.must(r.service.Exclude(t.Context(), p.ID, p.Plan.Digest, []int{2, 3}))
	if second.Plan.Digest == p.Plan.Digest {
		t.Error("the digest stayed the same")
	}
	if _, err := r.service.Apply(t.Context(), p.ID, p.Plan.Digest, "ann"); !is[*run.DigestError](err) {
		t.Errorf("applied with the old digest: %v", err)
	}
	again := r.must(r.service.Plan(t.Context(), p.ID, nil))
	if again.Plan.Digest != second.Plan.Digest {
		t.Error("the same plan has another digest")
	}
	if _, err := r.service.Exclude(t.Context(), p.ID, p.Plan.Digest, []int{2, 3}); !is[*run.DigestError](err) {
		t.Errorf("rows were left out of a plan before the last one: %v", err)
	}
	r.must(r.service.Apply(t.Context(), p.ID, second.Plan.Digest, "ann"))
	r.await(p.ID, run.StateDone)
	want := []run.Outcome{run.OutcomeApplied, run.OutcomeExcluded, run.OutcomeExcluded, run.OutcomeApplied}
	if diff := cmp.Diff(want, r.outcomes(p.ID)); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}
