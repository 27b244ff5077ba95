package run_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/ledger"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/internal/run"
	"rollcall/internal/sandbox"
	"rollcall/tasks"
)

// onItsWay is how long a call may need from a busy worker to a busy platform, once it has
// left.
const onItsWay = 2 * time.Second

func TestTheCanaryEndsBeforeTheRestIsSent(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 60)
	// The platform refuses the member of row 3 at first; the rest waits for it.
	if _, err := r.box.Arm(sandbox.Fault{API: sandbox.APIGroupNick, User: "u3", First: 2, Kind: sandbox.FaultAnswer, Code: "-1"}); err != nil {
		t.Fatal(err)
	}
	draft := free()
	draft.Settings.Canary = 5
	p := r.apply(draft, nicknames(many(60, "n")...))
	r.worker()
	r.await(p.ID, run.StateDone)
	// All effects on the first five members come before all others.
	canary := []string{"u1", "u2", "u3", "u4", "u5"}
	for i, e := range r.box.Effects() {
		if first := slices.Contains(canary, e.Target.User); first != (i < 5) {
			t.Errorf("effect %d is on %s", i+1, e.Target.User)
		}
	}
}

func TestACanaryOfChatsIsTheFirstRowOfEachChat(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 40)
	// Chat c<n> does not exist: its row fails, and the run stops before the rest is sent.
	rows := nicknames(many(40, "n")...)
	for i := range rows {
		task := rows[i].Request.Task.(tasks.NicknameSync)
		task.ChatID = []string{"chat1", "c2", "c3", "c4"}[i/10]
		rows[i].Request.Task = task
	}
	draft := free()
	draft.Settings.CanaryChats = true
	p := r.apply(draft, rows)
	r.worker()
	paused := r.await(p.ID, run.StatePaused)
	want := map[run.Outcome]int{run.OutcomeApplied: 1, run.OutcomeFailed: 3, run.OutcomeWaiting: 36}
	if diff := cmp.Diff(want, paused.Outcomes); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	for i, o := range r.outcomes(p.ID) {
		if sent := o != run.OutcomeWaiting; sent != (i%10 == 0) {
			t.Errorf("row %d is %s", i+1, o)
		}
	}
}

func TestAfterACanaryOfChatsEveryRowIsSentOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 20)
	rows := nicknames(many(20, "n")...)
	for _, user := range []string{"u1", "u2", "u3"} { // without a chat
		rows = append(rows, run.Row{Request: tasks.Request{Task: tasks.IDChange{Tenant: tenant, UserID: user, DingTalkID: "lakeside" + user}}})
	}
	draft := free()
	draft.Settings.CanaryChats = true
	p := r.apply(draft, rows)
	r.worker()
	done := r.await(p.ID, run.StateDone)
	if diff := cmp.Diff(map[run.Outcome]int{run.OutcomeApplied: 23}, done.Outcomes); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	effects := r.box.Effects()
	if len(effects) != 23 {
		t.Fatalf("%d effects, want 23", len(effects))
	}
	for i, e := range effects[:2] { // the canary: rows 1 and 21
		if e.Target.User != "u1" {
			t.Errorf("effect %d is on %s", i+1, e.Target.User)
		}
	}
}

func TestTooManyFailuresPauseARun(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 30)
	r.limits = []pace.Limit{{Calls: 20, Per: time.Second}}
	rows := nicknames(many(200, "n")...) // u31 to u200 do not exist
	p := r.apply(free(), rows)
	r.worker()
	paused := r.await(p.ID, run.StatePaused)
	if !strings.Contains(paused.Reason, "failed") || !strings.Contains(paused.Reason, "rejected") {
		t.Errorf("the reason is %q", paused.Reason)
	}
}

// Somebody who resumes a run has seen the failures: only later ones pause it again.
func TestAResumedRunIsPausedByLaterFailuresAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 3)
	draft := free()
	draft.Settings.Canary = -1
	p := r.apply(draft, nicknames(many(30, "n")...))
	feeder := r.feeder()
	r.turn(feeder, p.ID)
	fails := func(from, to int) run.State {
		t.Helper()
		for n := from; n <= to; n++ {
			target := ledger.Target{Organisation: organisation, API: "nickname", Key: fmt.Sprint("chat1/u", n)}
			if err := r.ledger.Close(t.Context(), target, fmt.Sprint(p.ID, ":", n), ledger.Row{Tenant: tenant, Run: p.ID, Row: n}); err != nil {
				t.Fatal(err)
			}
		}
		_, _, _ = feeder.Turn(t.Context(), p.ID) // a turn that pauses the run ends with an error
		return r.must(r.service.Get(t.Context(), p.ID)).State
	}
	if state := fails(1, 12); state != run.StatePaused {
		t.Fatalf("the run is %s", state)
	}
	r.must(r.service.Resume(t.Context(), p.ID, "ann"))
	if state := fails(13, 13); state != run.StateApplying {
		t.Errorf("the resumed run is %s", state)
	}
	if state := fails(14, 26); state != run.StatePaused {
		t.Errorf("after more failures the run is %s", state)
	}
}

func TestAPausedRunWaitsAndGoesOn(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for seconds: make test-long")
	}
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s, 300)
		r.limits = []pace.Limit{{Calls: 50, Per: time.Second}}
		p := r.apply(free(), nicknames(many(300, "n")...))
		r.worker()
		r.until(p.ID, func(got run.Run) bool { return got.Outcomes[run.OutcomeApplied] > 30 })
		r.must(r.service.Pause(t.Context(), p.ID, "ann", "lunch"))
		acknowledged := time.Now()
		<-time.After(3 * time.Second)
		for _, c := range r.box.Calls() {
			if c.Time.After(acknowledged.Add(time.Second + onItsWay)) {
				t.Errorf("a call arrived %s after the pause", c.Time.Sub(acknowledged))
			}
		}
		got := r.must(r.service.Get(t.Context(), p.ID))
		if got.State != run.StatePaused || got.Reason != "lunch" || got.Outcomes[run.OutcomeFailed] > 0 {
			t.Errorf("the run is %s (%s): %v", got.State, got.Reason, got.Outcomes)
		}
		r.must(r.service.Resume(t.Context(), p.ID, "ann"))
		done := r.await(p.ID, run.StateDone)
		if diff := cmp.Diff(map[run.Outcome]int{run.OutcomeApplied: 300}, done.Outcomes); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		if n := len(r.box.Effects()); n != 300 {
			t.Errorf("%d effects, want 300", n)
		}
	})
}

func TestNoCallLeavesASecondAfterACancel(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for seconds: make test-long")
	}
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s, 300)
		r.limits = []pace.Limit{{Calls: 50, Per: time.Second}}
		p := r.apply(free(), nicknames(many(300, "n")...))
		r.worker()
		r.until(p.ID, func(got run.Run) bool { return got.Outcomes[run.OutcomeApplied] > 30 })
		r.must(r.service.Cancel(t.Context(), p.ID, "ann", "wrong file"))
		acknowledged := time.Now()
		done := r.until(p.ID, func(got run.Run) bool { return got.Outcomes[run.OutcomeOpen]+got.Outcomes[run.OutcomeWaiting] == 0 })
		<-time.After(2 * time.Second)
		for _, c := range r.box.Calls() {
			if c.Time.After(acknowledged.Add(time.Second + onItsWay)) {
				t.Errorf("a call arrived %s after the cancel", c.Time.Sub(acknowledged))
			}
		}
		applied := done.Outcomes[run.OutcomeApplied]
		if diff := cmp.Diff(map[run.Outcome]int{run.OutcomeApplied: applied, run.OutcomeCancelled: 300 - applied}, done.Outcomes); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		if n := len(r.box.Effects()); n != applied {
			t.Errorf("%d effects, but %d rows were applied", n, applied)
		}
		if n := r.rdb.HLen(t.Context(), "rollcall:{"+tenant+".nickname}:dead:letters").Val(); n != 0 {
			t.Errorf("%d dead letters", n)
		}
	})
}

func TestRowsThatWereNotFedAreCancelledWithTheirRun(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 3)
	p := r.apply(free(), nicknames("A", "B", "C"))
	r.must(r.service.Cancel(t.Context(), p.ID, "ann", "wrong file"))
	if diff := cmp.Diff([]run.Outcome{run.OutcomeCancelled, run.OutcomeCancelled, run.OutcomeCancelled}, r.outcomes(p.ID)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if got := r.must(r.service.Get(t.Context(), p.ID)); got.Outcomes[run.OutcomeCancelled] != 3 || got.Reason != "wrong file" {
		t.Errorf("the run counts %v, because of %q", got.Outcomes, got.Reason)
	}
	r.turn(r.feeder(), p.ID)
	if n := r.rdb.LLen(t.Context(), "asynq:{"+nicknameQueue+"}:pending").Val(); n != 0 {
		t.Errorf("%d rows were fed", n)
	}
}

func TestAResumedRunWakesItsRows(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 3)
	draft := free()
	draft.Settings.Canary = -1
	p := r.apply(draft, nicknames("A", "B", "C"))
	feeder := r.feeder()
	r.turn(feeder, p.ID)
	r.must(r.service.Pause(t.Context(), p.ID, "ann", ""))
	// The rows have waited so long that their next look is minutes away.
	queue, late := "asynq:{"+nicknameQueue+"}:", float64(time.Now().Add(time.Hour).Unix())
	for _, id := range []string{p.ID + ":1", p.ID + ":2", p.ID + ":3"} {
		state := map[string]string{p.ID + ":1": "retry", p.ID + ":2": "retry", p.ID + ":3": "scheduled"}[id]
		r.rdb.LRem(t.Context(), queue+"pending", 1, id)
		r.rdb.HSet(t.Context(), queue+"t:"+id, "state", state)
		r.rdb.ZAdd(t.Context(), queue+state, redis.Z{Score: late, Member: id})
	}
	r.must(r.service.Resume(t.Context(), p.ID, "ann"))
	r.turn(feeder, p.ID)
	if pending := r.rdb.LRange(t.Context(), queue+"pending", 0, -1).Val(); len(pending) != 2 || slices.Contains(pending, p.ID+":3") {
		t.Errorf("pending are %v", pending)
	}
}
