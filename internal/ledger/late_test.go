package ledger_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

// leaveUnknown sends B to ann and leaves its outcome unknown. It returns the revision of B.
func leaveUnknown(t *testing.T, l *ledger.Ledger, left ledger.Left) int64 {
	t.Helper()
	rev := revise(t, l, ann)
	lease := begin(t, l, ann, rev, nick("B"))
	gate(t, lease)
	release(t, lease, left)
	return rev
}

// B timed out and A was sent after it. B may still overwrite A, so the next change to A
// is sent. That ends once no earlier send can be carried out any more.
func TestAfterASendThatMayStillBeCarriedOutAnEqualChangeIsSent(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	l := ledger.New(s.Client(t))
	now := time.Now()
	s.Mini.SetTime(now)
	leaveUnknown(t, l, ledger.Unanswered)
	apply(t, l, ann, revise(t, l, ann), nick("A"))
	// Within the time that it may take, sending again proves nothing.
	apply(t, l, ann, revise(t, l, ann), nick("A"))
	wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.SendAgain)

	s.Mini.SetTime(now.Add(6 * time.Minute))
	apply(t, l, ann, revise(t, l, ann), nick("A"))
	wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.Unchanged)
}

// A was sent within the time, and its answer came after: B may have landed in
// between, on top of it.
func TestALateSendIsOverByTheTimeOfTheNextSendAndNotOfItsAnswer(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	l := ledger.New(s.Client(t))
	now := time.Now()
	s.Mini.SetTime(now)
	leaveUnknown(t, l, ledger.Unanswered)
	apply(t, l, ann, revise(t, l, ann), nick("A"))

	slow := begin(t, l, ann, revise(t, l, ann), nick("A"))
	gate(t, slow)
	s.Mini.SetTime(now.Add(6 * time.Minute))
	settle(t, slow, false)
	wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.SendAgain)
}

// The platform was busy and said so: nothing of that send is under way any more.
func TestAnUnknownOutcomeThatWasAnsweredEndsWithTheNextSend(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		leaveUnknown(t, l, ledger.Answered)
		wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.SendAgain)
		apply(t, l, ann, revise(t, l, ann), nick("A"))
		wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.Unchanged)
	})
}

// The record shows whether an answer is outstanding, and when the target was last
// settled. Each in a Redis of its own: a send without an answer leaves its trace in
// the next.
func TestLookReturnsWhetherASendWasAnsweredAndTheLastSettle(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		left     ledger.Left
		answered bool
	}{"answered": {ledger.Answered, true}, "unanswered": {ledger.Unanswered, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Mini(t)
			l := ledger.New(s.Client(t))
			settledAt := time.Unix(1_780_000_000, 0)
			s.Mini.SetTime(settledAt)
			apply(t, l, ann, revise(t, l, ann), nick("A"))
			s.Mini.SetTime(settledAt.Add(time.Hour))
			rev := leaveUnknown(t, l, test.left)
			record, err := l.Look(t.Context(), ann)
			if err != nil {
				t.Fatal(err)
			}
			state := record.Fields["nickname"]
			if state.Unknown != rev || state.Answered != test.answered || !record.Settled.Equal(settledAt) {
				t.Errorf("%+v, settled at %v; want an unknown outcome, answered %t, and settled an hour before", state, record.Settled, test.answered)
			}
		})
	}
}

// Of two sends of one attempt the first had no answer.
func TestSettleNotesThatAnEarlierSendMayStillBeCarriedOut(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		lease := begin(t, l, ann, revise(t, l, ann), nick("A"))
		gate(t, lease)
		settle(t, lease, true)
		wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.SendAgain)
	})
}

// Redis lost its power: it kept the lease of a worker, and lost the unknown outcome that
// the worker noted a moment later.
func TestAnEqualValueIsSentAfterTheLeaseOfADeadWorkerHasExpired(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	rdb := s.Client(t)
	l := ledger.New(rdb)
	now := time.Now()
	s.Mini.SetTime(now)
	apply(t, l, ann, revise(t, l, ann), nick("A"))
	gate(t, begin(t, l, ann, revise(t, l, ann), nick("B")))
	keys := rdb.Keys(t.Context(), "*target:*").Val()
	if n := rdb.HDel(t.Context(), keys[0], "d:"+nick("B")[0].Name).Val(); n != 1 {
		t.Fatalf("%d unknown outcomes were lost", n)
	}
	s.Mini.SetTime(now.Add(21 * time.Second))
	wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.SendAgain)
	apply(t, l, ann, revise(t, l, ann), nick("A")) // which is not refused: it stays so until it was sent
	wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.Unchanged)
}

// A crash before a send that follows at once leaves its outcome unknown.
func TestTheOutcomeOfAPromptSendIsUnknownFromTheBeginning(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		apply(t, l, ann, revise(t, l, ann), nick("A"))
		prompt := delivery(ann, revise(t, l, ann), nick("B"))
		prompt.Prompt = true
		lease, _, err := l.Begin(t.Context(), prompt)
		if err != nil {
			t.Fatal(err)
		}
		record, err := l.Look(t.Context(), ann)
		if err != nil || record.Fields["nickname"].Unknown != prompt.Revision || !record.InFlight {
			t.Errorf("record %+v, %v: want an unknown outcome and a lease", record, err)
		}
		release(t, lease, ledger.Untouched)
		wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.Unchanged)
	})
}

const landsIn = 5 * time.Minute

// clock is that of the Redis in which settledLate left a value.
type clock struct {
	s   *redistest.Server
	now time.Time
	rev int64 // of the value
}

func (c *clock) pass(d time.Duration) {
	c.now = c.now.Add(d)
	c.s.Mini.SetTime(c.now)
}

// settledLate leaves B without an answer and applies A after it, for a tenant that sends
// such values again.
func settledLate(t *testing.T) (*ledger.Ledger, *clock) {
	t.Helper()
	c := &clock{s: redistest.Mini(t), now: time.Unix(1_790_000_000, 0)}
	c.s.Mini.SetTime(c.now)
	l := ledger.New(c.s.Client(t))
	c.rev = settleLate(t, l)
	return l, c
}

// settleLate does that in a ledger, and returns the revision of A.
func settleLate(t *testing.T, l *ledger.Ledger) int64 {
	t.Helper()
	leaveUnknown(t, l, ledger.Unanswered)
	rev := revise(t, l, ann)
	applyBy(t, l, rev, "A", false)
	return rev
}

// applyBy applies a nickname of ann for the tenant dt.
func applyBy(t *testing.T, l *ledger.Ledger, rev int64, value string, mayLand bool) {
	t.Helper()
	d := delivery(ann, rev, nick(value))
	d.ResentBy = "dt"
	lease, _, err := l.Begin(t.Context(), d)
	if err != nil || lease == nil {
		t.Fatalf("lease %v, %v", lease, err)
	}
	gate(t, lease)
	settle(t, lease, mayLand)
}

func resend(value string) ledger.Delivery {
	return ledger.Delivery{
		Target: ann, ResentBy: "dt", Resend: true,
		Fields: []ledger.Field{{Name: "nickname", Value: value, Mode: ledger.Resend}},
	}
}

// wantDue checks how many targets wait to be sent again, and how many of them are due.
func wantDue(t *testing.T, l *ledger.Ledger, now time.Time, waiting int64, due int) {
	t.Helper()
	found := l.LateTargets(t.Context(), now, 10, ledger.Sender{Organisation: ann.Organisation, API: ann.API, Tenant: "dt"})[0]
	if found.Err != nil || found.Waiting != waiting || len(found.Due) != due {
		t.Errorf("%+v; want %d waiting, %d of them due", found, waiting, due)
	}
}

func TestAValueThatMayBeOverwrittenIsSentAgainAtItsRevisionOnceNothingCanLand(t *testing.T) {
	t.Parallel()
	l, c := settledLate(t)
	wantDue(t, l, c.now.Add(landsIn), 1, 0)
	if _, _, err := l.Begin(t.Context(), resend("A")); err == nil {
		t.Error("it is sent before its time")
	}

	c.pass(landsIn + time.Second)
	wantDue(t, l, c.now, 1, 1)
	lease, decided, err := l.Begin(t.Context(), resend("A"))
	if err != nil || decided[0] != ledger.Send {
		t.Fatalf("%v, %v", decided, err)
	}
	wantDue(t, l, c.now, 1, 0) // no other worker takes it
	gate(t, lease)
	before, err := l.Look(t.Context(), ann)
	if err != nil || before.Fields["nickname"].Unknown != c.rev {
		t.Errorf("the outcome of revision %d is unknown, want %d (%v)", before.Fields["nickname"].Unknown, c.rev, err)
	}
	settle(t, lease, false)
	wantDue(t, l, c.now.Add(24*time.Hour), 0, 0)
	record, err := l.Look(t.Context(), ann)
	state := record.Fields["nickname"]
	if err != nil || state.Applied != c.rev || state.Value != "A" || state.Unknown != 0 || !state.Late.IsZero() || record.Effects[0].Did != ledger.DidResend {
		t.Errorf("%+v, %+v, %v", state, record.Effects[0], err)
	}
	wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.Unchanged)
}

// The late send landed on C, so C must be sent again, and A must not.
func TestTheLastAppliedValueIsSentAgain(t *testing.T) {
	t.Parallel()
	l, c := settledLate(t)
	c.pass(time.Minute)
	applyBy(t, l, revise(t, l, ann), "C", false)
	c.pass(landsIn + time.Second)
	wantDue(t, l, c.now, 1, 1)
	lease, decided, err := l.Begin(t.Context(), resend("C"))
	if err != nil || lease == nil || decided[0] != ledger.Send {
		t.Errorf("%v, %v", decided, err)
	}
}

func TestNothingIsSentAgainWhileALaterChangeWaits(t *testing.T) {
	t.Parallel()
	l, c := settledLate(t)
	c.pass(landsIn + time.Second)
	lease, _, err := l.Begin(t.Context(), resend("A"))
	if err != nil {
		t.Fatal(err)
	}
	rev := revise(t, l, ann)
	if err := l.Stored(t.Context(), storedTask(ann, rev, nick("D"))); err != nil {
		t.Fatal(err)
	}
	// The change became known after the resend had begun.
	if err := lease.Check(t.Context()); err == nil {
		t.Error("the resend may leave")
	}
	release(t, lease, ledger.Untouched)
	c.pass(landsIn + time.Second)
	if lease, decided, err := l.Begin(t.Context(), resend("A")); lease != nil || err != nil || decided[0] != ledger.Superseded {
		t.Errorf("%v, %v", decided, err)
	}
	wantDue(t, l, c.now, 0, 0)
	wantDecision(t, l, ann, rev, nick("D"), ledger.SendAgain)
}

// The worker of a resend dies after the send. Its value may land as late as any other.
func TestAResendWithoutAnAnswerIsRepeatedAndIsFollowedByAnother(t *testing.T) {
	t.Parallel()
	l, c := settledLate(t)
	for i, want := range []ledger.Decision{ledger.Send, ledger.SendAgain, ledger.Send} {
		c.pass(landsIn + 2*time.Second)
		wantDue(t, l, c.now, 1, 1)
		lease, decided, err := l.Begin(t.Context(), resend("A"))
		if err != nil || decided[0] != want {
			t.Fatalf("resend %d: %v, %v", i, decided, err)
		}
		gate(t, lease)
		if i == 0 {
			continue
		}
		settle(t, lease, false)
	}
	wantDue(t, l, c.now.Add(24*time.Hour), 0, 0)
}

// Members and IDs are not among the fields that are sent again, nor is a value whose
// tenant sends nothing again.
func TestOnlyValuesOfATenantThatAsksForItAreSentAgain(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		for _, d := range []ledger.Delivery{
			delivery(ann, revise(t, l, ann), nick("A")),
			delivery(chat, revise(t, l, chat), members),
		} {
			if d.Target == chat {
				d.ResentBy = "dt"
			}
			lease, _, err := l.Begin(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			gate(t, lease)
			settle(t, lease, true)
			if at, err := l.ResendAt(t.Context(), d.Target, "dt"); err != nil || !at.IsZero() {
				t.Errorf("%s is sent again at %v, %v", d.Target.Key, at, err)
			}
		}
	})
}

// Another tenant's task, or a former worker, has sent since: nothing is left to do.
func TestAResendWithoutFieldsEndsTheWait(t *testing.T) {
	t.Parallel()
	l, c := settledLate(t)
	c.pass(landsIn + time.Second)
	if err := c.s.Client(t).HDel(t.Context(), annKey, "q:nickname").Err(); err != nil {
		t.Fatal(err)
	}
	if lease, _, err := l.Begin(t.Context(), ledger.Delivery{Target: ann, ResentBy: "dt", Resend: true}); lease != nil || err != nil {
		t.Fatalf("%v, %v", lease, err)
	}
	wantDue(t, l, c.now, 0, 0)
}

// The reply of the settle is lost, and go-redis sends the command again.
func TestAResendThatIsSettledTwiceIsSettled(t *testing.T) {
	t.Parallel()
	l, c := settledLate(t)
	c.pass(landsIn + time.Second)
	lease, _, err := l.Begin(t.Context(), resend("A"))
	if err != nil {
		t.Fatal(err)
	}
	gate(t, lease)
	for range 2 {
		if err := lease.Settle(t.Context(), "req", false, nil); err != nil {
			t.Error(err)
		}
	}
}

// A worker gives up what it has read. A value that was settled in between, while an
// earlier send could still be carried out, is sent again all the same.
func TestGivingUpAResendLeavesWhatWasSettledSince(t *testing.T) {
	t.Parallel()
	l, c := settledLate(t)
	read, err := l.Look(t.Context(), ann)
	if err != nil {
		t.Fatal(err)
	}
	c.pass(time.Minute)
	applyBy(t, l, revise(t, l, ann), "C", true)
	if err := l.GiveUpResend(t.Context(), read, "dt"); err != nil {
		t.Fatal(err)
	}
	wantDue(t, l, c.now.Add(landsIn+time.Second), 1, 1)

	if read, err = l.Look(t.Context(), ann); err != nil {
		t.Fatal(err)
	}
	if err := l.GiveUpResend(t.Context(), read, "dt"); err != nil {
		t.Fatal(err)
	}
	wantDue(t, l, c.now.Add(landsIn+time.Second), 0, 0)
}

// Between the look at a record and the resend a newer value was applied, or is known: the
// resend sends nothing.
func TestAResendOfAValueThatWasReplacedSinceItWasReadSendsNothing(t *testing.T) {
	t.Parallel()
	for name, replace := range map[string]func(t *testing.T, l *ledger.Ledger) ledger.Decision{
		"applied": func(t *testing.T, l *ledger.Ledger) ledger.Decision {
			t.Helper()
			applyBy(t, l, revise(t, l, ann), "C", true)
			return ledger.Settled
		},
		"known": func(t *testing.T, l *ledger.Ledger) ledger.Decision {
			t.Helper()
			if err := l.Stored(t.Context(), storedTask(ann, revise(t, l, ann), nick("C"))); err != nil {
				t.Fatal(err)
			}
			return ledger.Superseded
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, c := settledLate(t)
			want := replace(t, l)
			c.pass(2 * landsIn)
			lease, decided, err := l.Begin(t.Context(), resend("A"))
			if err != nil || lease != nil || decided[0] != want {
				t.Errorf("a lease: %t, decision %v, %v; want %s", lease != nil, decided, err, want)
			}
		})
	}
}

// go-redis sends a command whose reply was lost once more.
func TestAResendThatBeginsTwiceHasItsLease(t *testing.T) {
	t.Parallel()
	l, c := settledLate(t)
	rdb := c.s.Client(t)
	c.pass(landsIn + time.Second)
	rdb.AddHook(twice{})
	if lease, decided, err := l.Begin(t.Context(), resend("A")); err != nil || lease == nil || decided[0] != ledger.Send {
		t.Errorf("%v, %v", decided, err)
	}
}

// twice is a hook that executes each command two times.
type twice struct{}

func (twice) DialHook(next redis.DialHook) redis.DialHook { return next }

func (twice) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (twice) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := next(ctx, cmd); err != nil {
			return err
		}
		return next(ctx, cmd)
	}
}

// A resend that was frozen knows the value from before. One that was applied since, while an
// earlier send could still be carried out, is sent again by the next.
func TestAResendOfAReplacedValueLeavesTheNewOneToTheNext(t *testing.T) {
	t.Parallel()
	l, c := settledLate(t)
	applyBy(t, l, revise(t, l, ann), "C", true)
	c.pass(2 * landsIn)
	if lease, decided, err := l.Begin(t.Context(), resend("A")); err != nil || lease != nil || decided[0] != ledger.Settled {
		t.Fatalf("a lease: %t, decision %v, %v", lease != nil, decided, err)
	}
	c.pass(landsIn + time.Second)
	wantDue(t, l, c.now, 1, 1)
	lease, decided, err := l.Begin(t.Context(), resend("C"))
	if err != nil || lease == nil || decided[0] != ledger.Send {
		t.Fatalf("a lease: %t, decision %v, %v", lease != nil, decided, err)
	}
	gate(t, lease)
	settle(t, lease, false)
	wantDue(t, l, c.now, 0, 0)
}

// A resend that was frozen knows the fields from before: one that became late since is sent
// again by the next.
func TestAResendOfSomeFieldsLeavesTheOthersToTheNext(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		const key, due = "rollcall:{lakeside/group}:target:chat1", "rollcall:{lakeside/group}:late:dt"
		resends := func(isLate, sends, waits bool, fields ...string) {
			t.Helper()
			err := rdb.HSet(t.Context(), key, "rev", "5", "r:name", "5", "v:name", "A", "q:name", "5", "r:icon", "5", "v:icon", "@A", "q:icon", "5", "q:members", "5").Err()
			if err != nil {
				t.Fatal(err)
			}
			if !isLate {
				rdb.HDel(t.Context(), key, "q:icon")
			}
			if err := rdb.Do(t.Context(), "ZADD", due, "5", chat.Key).Err(); err != nil {
				t.Fatal(err)
			}
			d := ledger.Delivery{Target: chat, ResentBy: "dt", Resend: true}
			for _, f := range fields {
				d.Fields = append(d.Fields, ledger.Field{Name: f, Value: map[string]string{"name": "A", "icon": "@A"}[f], Mode: ledger.Resend})
			}
			lease, _, err := l.Begin(t.Context(), d)
			if err != nil || (lease != nil) != sends {
				t.Fatalf("%v: lease %v, %v", fields, lease, err)
			}
			if lease != nil {
				gate(t, lease)
				settle(t, lease, false)
			}
			if got := rdb.ZCard(t.Context(), due).Val() == 1; got != waits {
				t.Errorf("resend of %v, icon late %t: the target waits: %t, want %t", fields, isLate, got, waits)
			}
			rdb.Del(t.Context(), due)
		}
		resends(false, false, true, "icon") // and name has become late since
		resends(true, true, true, "icon")
		resends(true, true, false, "icon", "name")
	})
}
