package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/sandbox"
	"rollcall/tasks"
)

func TestEqualSeedsGiveEqualPlans(t *testing.T) {
	t.Parallel()
	draw := func(seed uint64) []tasks.Task {
		var drawn []tasks.Task
		for _, w := range plan(newSchool(2000), 2000, seed) {
			drawn = append(drawn, w.task)
		}
		return drawn
	}
	if diff := cmp.Diff(draw(7), draw(7)); diff != "" {
		t.Errorf("two plans of one seed:\n%s", diff)
	}
	if cmp.Equal(draw(7), draw(8)) {
		t.Error("two seeds give one plan")
	}
}

// Each change is valid for every producer, and each kind has targets that are changed
// repeatedly.
func TestAPlanIsValidAndRepeatsItsTargets(t *testing.T) {
	t.Parallel()
	school := newSchool(2000)
	for _, variant := range variants {
		if _, err := sandbox.New(sandbox.Config{World: school.world(), Scenario: sandbox.Scenario{Faults: faults(variant)}}); err != nil {
			t.Fatalf("%s: the platforms do not take the world or the faults: %v", variant, err)
		}
	}
	changes, targets, times := map[string]int{}, map[string]int{}, map[ledger.Target]int{}
	for _, w := range plan(school, 2000, 1) {
		if err := w.task.Validate(tasks.Limits{}); err != nil {
			t.Errorf("%s: %v", w, err)
		}
		changes[w.target.API]++
		if times[w.target]++; times[w.target] == 1 {
			targets[w.target.API]++
		}
	}
	for _, kind := range kinds.Names() {
		if n, of := changes[string(kind)], targets[string(kind)]; n < 3*of/2 {
			t.Errorf("%d %s tasks for %d targets: none meets another", n, kind, of)
		}
	}
}

// All kinds of faults that the sandbox knows but a ban strike, 5 % of calls.
func TestFaultsOfEveryKindOccur(t *testing.T) {
	t.Parallel()
	kinds := map[sandbox.FaultKind]bool{}
	share := 0.0
	for _, f := range faults(always) {
		kinds[f.Kind] = true
		if f.API == "" || f.API == sandbox.APIGroupNick {
			share += f.Share
		}
	}
	for _, kind := range []sandbox.FaultKind{
		sandbox.FaultLatency, sandbox.FaultAnswer, sandbox.FaultHang, sandbox.FaultReset, sandbox.FaultOutage,
		sandbox.FaultRefused, sandbox.FaultTruncated, sandbox.FaultOddBody, sandbox.FaultExpiredToken,
	} {
		if !kinds[kind] {
			t.Errorf("no fault is of kind %s", kind)
		}
	}
	if share < 0.045 || share > 0.055 {
		t.Errorf("%.4f of all calls are struck, want 0.05", share)
	}
}

func TestChangesOfOneTargetAreNotEnqueuedTogether(t *testing.T) {
	t.Parallel()
	changes := plan(newSchool(100), 100, 1)
	second := *changes[0]
	shard := []*change{changes[0], &second, changes[1]}
	now := func(*change) time.Duration { return 0 }
	if n := ready(shard, now); n != 1 {
		t.Errorf("%d changes are enqueued together, want 1: the next has the same target", n)
	}
	if n := ready(shard[1:], now); n != 2 {
		t.Errorf("%d changes are enqueued together, want 2", n)
	}
	later := func(w *change) time.Duration { return time.Duration(w.n) * time.Hour }
	if n := ready(shard[1:], later); n != 1 {
		t.Errorf("%d changes are enqueued, want the one that is due", n)
	}
}

// The roster is the latest state of everything: each attribute of a group separately,
// and the result of all edits.
func TestTheRosterSumsUpAllChanges(t *testing.T) {
	t.Parallel()
	group := func(g tasks.GroupUpdate) tasks.Task {
		g.Tenant, g.ChatID = dingtalk, "chat"
		return g
	}
	var changes []*change
	for _, task := range []tasks.Task{
		group(tasks.GroupUpdate{Name: "first", AddUserIDs: []string{"ann", "bob"}}),
		tasks.NicknameSync{Tenant: dingtalk, ChatID: "chat", UserID: "ann", Nickname: "old"},
		group(tasks.GroupUpdate{Icon: "@icon", DelUserIDs: []string{"ann"}, AddUserIDs: []string{noUser}}),
		tasks.NicknameSync{Tenant: dingtalk, ChatID: "chat", UserID: "ann", Nickname: "new"},
		group(tasks.GroupUpdate{Name: "last", AddUserIDs: []string{"cat"}}),
	} {
		w := &change{n: len(changes), task: task}
		w.target, w.fields = kinds.Change(task, organisation)
		changes = append(changes, w)
	}
	var got []tasks.Task
	for _, w := range roster(changes) {
		got = append(got, w.task)
	}
	want := []tasks.Task{
		group(tasks.GroupUpdate{Name: "last", Icon: "@icon", AddUserIDs: []string{"bob", "cat"}, DelUserIDs: []string{"ann"}}),
		tasks.NicknameSync{Tenant: dingtalk, ChatID: "chat", UserID: "ann", Nickname: "new"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the roster (-want +got):\n%s", diff)
	}
}

func TestTheFaultsOfAGatewayStrikeInTheSharesThatAreDocumented(t *testing.T) {
	t.Parallel()
	got := map[string]float64{}
	for _, f := range faults(gateway) {
		if f.API == "" || f.API == sandbox.APIChangeID {
			got[f.Name] = f.Share
		}
	}
	want := map[string]float64{
		"HTML page before the effect": 0.005, "HTML page after the effect": 0.005, "busy": 0.02,
		"reset before the effect": 0.02, "reset after the effect": 0.02, "expired token": 0.005, "valid token refused": 0.001,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("shares of an API's calls (-want +got):\n%s", diff)
	}
}
