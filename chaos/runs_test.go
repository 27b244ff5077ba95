package main

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"rollcall/internal/ledger"
	"rollcall/internal/sandbox"
	"rollcall/runs"
	"rollcall/tasks"
)

func runsOf(n int, seed uint64) (school, *runPlan) {
	s := newSchool(n)
	s.runs = newRunSchool(n)
	return s, planRuns(s, seed)
}

// An uploader that continues another one draws the same rows.
func TestEqualSeedsGiveEqualRows(t *testing.T) {
	t.Parallel()
	draw := func(seed uint64) []runs.Row { _, p := runsOf(2000, seed); return rows(p.long) }
	if diff := cmp.Diff(draw(7), draw(7)); diff != "" {
		t.Errorf("two files of one seed:\n%s", diff)
	}
	if cmp.Equal(draw(7), draw(8)) {
		t.Error("two seeds give one file")
	}
}

// The tasks of the plan must not change what the rows of runs change, and single changes
// only what the long run does.
func TestRowsAreValidAndHaveTargetsOfTheirOwn(t *testing.T) {
	t.Parallel()
	const n = 2000
	s, p := runsOf(n, 1)
	if len(p.long) != n || len(p.cancelled) != leastCancelled {
		t.Errorf("%d and %d rows", len(p.long), len(p.cancelled))
	}
	if _, err := sandbox.New(sandbox.Config{World: s.world()}); err != nil {
		t.Fatal(err)
	}
	of, kinds := map[ledger.Target]string{}, map[string]int{}
	for _, w := range plan(s, n, 1) {
		of[w.target] = "plan"
	}
	for name, list := range map[string][]*change{"long": p.long, "cancelled": p.cancelled} {
		for i, w := range list {
			if err := w.task.Validate(tasks.Limits{}); err != nil {
				t.Errorf("row %d: %v", i+1, err)
			}
			if other := of[w.target]; other != "" && other != name {
				t.Errorf("row %d of the %s run changes a target of the %s", i+1, name, other)
			}
			of[w.target] = name
			kinds[w.target.API]++
		}
	}
	for _, kind := range []tasks.Kind{tasks.KindNickname, tasks.KindGroup, tasks.KindCourse, tasks.KindID} {
		if kinds[string(kind)] < n/50 {
			t.Errorf("%d rows of kind %s", kinds[string(kind)], kind)
		}
	}
	for _, list := range [][]*change{p.before, p.between, p.after} {
		seen := map[ledger.Target]bool{}
		for _, w := range list {
			if of[w.target] != "long" || seen[w.target] {
				t.Errorf("%s is no single change of a row", w)
			}
			seen[w.target] = true
		}
		if len(list) < n/100 {
			t.Errorf("%d single changes", len(list))
		}
	}
}

// sending is a run of three rows and a cancelled one of one row, without any error. The
// second row of the first is a conflict with a change after its plan.
type sending struct {
	runner *runner
	ev     *evidence
}

func newSending() *sending {
	row := func(number int, chat, user, name string) *change {
		w := rowOf(tasks.NicknameSync{Tenant: dingtalk, ChatID: chat, UserID: user, Nickname: name})
		w.row, w.outcome, w.rev = number, tasks.Stored, 10
		return w
	}
	other := row(0, "chat", "bob", "other")
	other.id, other.rev = "other", 5
	s := &sending{runner: &runner{plan: &runPlan{
		long:      []*change{row(1, "chat", "ann", "a"), row(2, "chat", "bob", "b"), row(3, "chat", "cat", "c")},
		cancelled: []*change{row(1, "short", "ann", "d")}, between: []*change{other},
	}}}
	acknowledged := time.Unix(1000, 0)
	s.runner.long.applied, s.runner.cancelled.applied = acknowledged, acknowledged
	s.runner.claim(&s.runner.long, "long", s.runner.plan.long)
	s.runner.claim(&s.runner.cancelled, "short", s.runner.plan.cancelled)
	s.runner.long.stops = []stop{{acknowledged: acknowledged, resumed: acknowledged.Add(5 * time.Second)}}
	s.runner.cancelled.stops = []stop{{acknowledged: acknowledged}}
	s.ev = &evidence{
		tasks: map[string]found{"other": {state: asynq.TaskStateCompleted, outcome: "applied"}},
		dead:  map[string]ledger.DeadLetter{}, records: map[ledger.Target]map[string]string{},
		state: sandbox.OrganisationState{Organisation: sandbox.Organisation{Name: organisation, Chats: []sandbox.Chat{
			{ID: "chat", Members: []sandbox.Member{{UserID: "ann", Nick: "a"}, {UserID: "bob", Nick: "other"}, {UserID: "cat", Nick: "c"}}},
			{ID: "short", Members: []sandbox.Member{{UserID: "ann"}}},
		}}},
		sent: &sent{rows: map[string]runs.Result{
			"long:1": {Outcome: runs.OutcomeApplied}, "long:2": {Outcome: runs.OutcomeConflict}, "long:3": {Outcome: runs.OutcomeApplied},
			"short:1": {Outcome: runs.OutcomeCancelled},
		}},
	}
	s.call(1, "chat", "ann", 6*time.Second)
	s.call(2, "short", "ann", 900*time.Millisecond)
	return s
}

// call adds a call that arrived some time after the acknowledgement of the stops.
func (s *sending) call(number int64, chat, user string, after time.Duration) {
	s.ev.calls = append(s.ev.calls, sandbox.Call{
		Number: number, API: sandbox.APIGroupNick, Target: sandbox.Target{Chat: chat, User: user}, Time: time.Unix(1000, 0).Add(after),
	})
}

func (s *sending) outcome(id string, outcome runs.Outcome) {
	s.ev.sent.rows[id] = runs.Result{Outcome: outcome}
}

func (s *sending) rules() (rules []string) {
	v := consult(s.ev, s.runner.plan.all(), always)
	for _, x := range append(v.violations, s.runner.violations(s.ev)...) {
		if !slices.Contains(rules, x.rule) {
			rules = append(rules, x.rule)
		}
	}
	return rules
}

func TestBrokenPromisesOfRunsAreNamed(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		spoil func(*sending)
		want  []string
	}{
		"nothing":             {func(*sending) {}, nil},
		"a row has not ended": {func(s *sending) { s.outcome("long:1", runs.OutcomeOpen) }, []string{ruleLimbo}},
		"a row has no result": {func(s *sending) { delete(s.ev.sent.rows, "long:1") }, []string{ruleLost}},
		"a task of a row that has ended waits": {func(s *sending) {
			s.ev.tasks["long:1"] = found{state: asynq.TaskStateRetry}
		}, []string{ruleLimbo}},
		"a failed row has no dead letter": {func(s *sending) { s.outcome("long:1", runs.OutcomeFailed) }, []string{ruleLimbo}},
		"a valid row is impossible":       {func(s *sending) { s.outcome("long:1", runs.OutcomeImpossible) }, []string{rulePlan}},
		"the run wins over a later change": {func(s *sending) {
			s.runner.plan.between[0].rev = 11
			s.runner.plan.after, s.runner.plan.between = s.runner.plan.between, nil
			s.outcome("long:2", runs.OutcomeApplied)
			s.ev.state.Chats[0].Members[1].Nick = "b"
		}, []string{ruleValue}},
		"a later change has a lower revision": {func(s *sending) {
			s.runner.plan.after, s.runner.plan.between = s.runner.plan.between, nil
		}, []string{ruleOrder}},
		"a change after the plan is overwritten": {func(s *sending) {
			s.outcome("long:2", runs.OutcomeApplied)
			s.ev.state.Chats[0].Members[1].Nick = "b"
		}, []string{ruleConflict}},
		"a conflict with nothing": {func(s *sending) {
			s.outcome("long:3", runs.OutcomeConflict)
		}, []string{ruleConflict}},
		"a call during a pause":   {func(s *sending) { s.call(3, "chat", "cat", 2*time.Second) }, []string{ruleStopped}},
		"a call of somebody else": {func(s *sending) { s.call(3, "chat", "bob", 2*time.Second) }, nil},
		"a call after the cancel": {func(s *sending) { s.call(3, "short", "ann", time.Minute) }, []string{ruleStopped}},
		"a value is sent again after the cancel": {func(s *sending) {
			s.call(3, "short", "ann", time.Minute)
			s.ev.history = map[ledger.Target]history{
				s.runner.plan.cancelled[0].target: {entries: []string{`1 {"late":true}`, `2 {"did":"resend"}`}},
			}
		}, nil},
		"a cancelled row is dead":  {func(s *sending) { s.ev.dead["short:1"] = ledger.DeadLetter{} }, []string{ruleDeadLetter, ruleRun}},
		"a cancelled row has lost": {func(s *sending) { s.outcome("short:1", runs.OutcomeConflict) }, []string{ruleRun}},
		"a cancelled row is applied": {func(s *sending) {
			s.ev.state.Chats[1].Members[0].Nick = "d"
		}, []string{ruleRun}},
		"a cancelled row is unknown": {func(s *sending) {
			s.ev.state.Chats[1].Members[0].Nick = "d"
			s.ev.records[s.runner.plan.cancelled[0].target] = map[string]string{"d:nickname": "10"}
		}, nil},
		"the counts are wrong":  {func(s *sending) { s.ev.sent.faults = []string{"x"} }, []string{ruleRun}},
		"a run was not applied": {func(s *sending) { s.runner.cancelled.applied = time.Time{} }, []string{ruleRun}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSending()
			x.spoil(s)
			if diff := cmp.Diff(x.want, s.rules()); diff != "" {
				t.Errorf("violated rules (-want +got):\n%s", diff)
			}
		})
	}
}
