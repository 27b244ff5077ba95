package handler_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/handler"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/sandbox"
	"rollcall/providers"
	"rollcall/tasks"
)

func change(user, id string, alternatives ...string) tasks.IDChange {
	return tasks.IDChange{Tenant: dt, UserID: user, DingTalkID: id, Alternatives: alternatives}
}

func TestTheNextIDIsTriedOnlyIfAnotherUserHasTheOneBefore(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		report := r.must(change("ann", "zhangsan01", "zhangsan02", "zhangsan03", "zhangsan04"), handler.Applied)
		if report.Took != "zhangsan03" || report.Sends != 3 {
			t.Errorf("report %+v, want zhangsan03 after 3 sends", report)
		}
		r.changes(sandbox.Change{Field: "dingTalkId", New: "zhangsan03"})
		r.calls(3)
		// The ledger records the ID that the platform accepted.
		r.must(change("ann", "zhangsan03"), handler.Unchanged)
		// For a year the handler does not send another ID.
		report, err := r.run(change("ann", "lisi0001"))
		if e, ok := errors.AsType[*providers.Error](err); !ok || e.Kind != providers.Rejected || e.Code != "locked" || report.Sends != 0 {
			t.Errorf("another ID within the year: %+v, %v", report, err)
		}
		r.calls(3)
	})
}

func TestATaskIsRejectedWithAKnownOutcomeWhenAllIDsAreTaken(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		report, err := r.run(change("ann", "zhangsan01", "zhangsan02"))
		if providers.KindOf(err) != providers.Rejected || report.Sends != 2 {
			t.Fatalf("%+v, %v", report, err)
		}
		r.must(change("ann", "zhangsan03"), handler.Applied)
	})
}

// Since then the wanted ID may have become free, not only the last alternative.
func TestAReplayAfterAllIDsWereTakenStartsWithTheWantedID(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		task := change("ann", "zhangsan01", "zhangsan02")
		revision := r.requestChange(task)
		for range 2 {
			if report, err := r.attempt(task, revision); providers.KindOf(err) != providers.Rejected || report.Sends != 2 {
				t.Fatalf("%+v, %v; want both refused", report, err)
			}
		}
		r.calls(4)
	})
}

func TestAnyOtherRefusalEndsTheSearchForAnID(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		report, err := r.run(change("cat", "zhangsan03", "zhangsan04"))
		if providers.KindOf(err) != providers.Rejected || report.Sends != 1 {
			t.Fatalf("%+v, %v", report, err)
		}
		r.calls(1)
	})
}

// unknownID is an ID change whose answer is lost, at a platform that may have made it.
type unknownID struct {
	*rig
	clock    time.Time
	task     tasks.IDChange
	revision int64
}

func newUnknownID(t *testing.T, fault sandbox.Fault, repeated sandbox.RepeatedID) *unknownID {
	t.Helper()
	s := redistest.Mini(t)
	rig := newRig(t, s, func(c *sandbox.Config) { c.RepeatedID = repeated })
	d := &unknownID{rig: rig, clock: time.Now(), task: change("ann", "zhangsan03", "zhangsan04")}
	s.Mini.SetTime(d.clock)
	fault.API, fault.At = sandbox.APIChangeID, 1
	d.arm(fault)
	d.revision = d.requestChange(d.task)
	d.again(4*time.Minute, 6*time.Minute)
	d.calls(1)
	return d
}

// again attempts the task, which must be retried after a wait.
func (d *unknownID) again(least, most time.Duration) {
	d.t.Helper()
	_, err := d.attempt(d.task, d.revision)
	again, ok := errors.AsType[*handler.AgainError](err)
	if !ok || again.After < least || again.After > most {
		d.t.Fatalf("error %v, want to send again after %s to %s", err, least, most)
	}
}

// unverified attempts a task, which must be given up to a person.
func (d *unknownID) unverified(task tasks.IDChange, revision int64) {
	d.t.Helper()
	if _, err := d.attempt(task, revision); providers.KindOf(err) != providers.Ambiguous || errors.As(err, new(*handler.AgainError)) {
		d.t.Fatalf("error %v, want the change given up as unverified", err)
	}
}

func (d *unknownID) wait(long time.Duration) {
	d.clock = d.clock.Add(long)
	d.redis.Mini.SetTime(d.clock)
}

// sent fails the test unless exactly these IDs were sent, in this order.
func (d *unknownID) sent(want ...string) {
	d.t.Helper()
	var got []string
	for _, c := range d.box.Calls() {
		if c.API == sandbox.APIChangeID {
			got = append(got, c.Target.WantedID)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		d.t.Errorf("IDs sent (-want +got):\n%s", diff)
	}
}

// To the ledger, a crash before the answer is the same as a lost answer: only the
// recorded intent is left.
func TestAnIDWithUnknownOutcomeIsSentAgainAndNoOtherIDIs(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]sandbox.Fault{
		"reset":  {Kind: sandbox.FaultReset, Applied: true},
		"odd":    {Kind: sandbox.FaultOddBody, Applied: true},
		"outage": {Kind: sandbox.FaultOutage},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newUnknownID(t, fault, sandbox.RepeatAccepted)
			d.wait(2 * time.Minute)
			d.again(2*time.Minute, 4*time.Minute)
			d.must(change("bob", "lisi0001"), handler.Applied) // other users are not affected
			d.wait(4 * time.Minute)
			if report, err := d.attempt(d.task, d.revision); err != nil || report.Outcome != handler.Applied || report.Took != "" {
				t.Fatalf("sent again: %+v, %v", report, err)
			}
			if report, err := d.attempt(d.task, d.revision); err != nil || report.Outcome != handler.Settled {
				t.Errorf("delivered again: %+v, %v", report, err)
			}
			d.sent("zhangsan03", "lisi0001", "zhangsan03")
		})
	}
}

func TestAnIDWithUnknownOutcomeIsSentAtMostThreeTimes(t *testing.T) {
	t.Parallel()
	d := newUnknownID(t, sandbox.Fault{Kind: sandbox.FaultOutage}, "")
	d.arm(sandbox.Fault{API: sandbox.APIChangeID, First: 2, Kind: sandbox.FaultOutage})
	d.wait(6 * time.Minute)
	d.again(4*time.Minute, 6*time.Minute)
	d.wait(6 * time.Minute)
	d.unverified(d.task, d.revision)
	d.wait(time.Hour)
	d.unverified(d.task, d.revision)
	d.unverified(d.task, d.requestChange(d.task))
	d.sent("zhangsan03", "zhangsan03", "zhangsan03")
	d.waitingForAPerson("ann")
}

func (d *unknownID) waitingForAPerson(users ...string) {
	d.t.Helper()
	unknown, err := d.ledger.UnknownTargets(d.t.Context(), school, "id")
	if err != nil {
		d.t.Fatal(err)
	}
	var got []string
	for _, target := range unknown {
		got = append(got, target.Key)
	}
	if diff := cmp.Diff(users, got); diff != "" {
		d.t.Errorf("users with unknown outcome (-want +got):\n%s", diff)
	}
}

// The platform reports the user as locked, or the ID as taken. The cause is our first
// send or another change. Only a person can find out.
func TestARefusalOfAnIDWithUnknownOutcomeIsForAPersonToSettle(t *testing.T) {
	t.Parallel()
	for _, answer := range []sandbox.RepeatedID{sandbox.RepeatLocked, sandbox.RepeatReserved} {
		t.Run(string(answer), func(t *testing.T) {
			t.Parallel()
			d := newUnknownID(t, sandbox.Fault{Kind: sandbox.FaultReset, Applied: true}, answer)
			d.wait(6 * time.Minute)
			d.unverified(d.task, d.revision)
			d.unverified(change("ann", "zhangsan05"), d.requestChange(change("ann", "zhangsan05")))
			d.sent("zhangsan03", "zhangsan03")
			d.waitingForAPerson("ann")

			target, _ := kinds.Change(d.task, school)
			if value, _, err := d.ledger.Confirm(t.Context(), target, "id", "somebody"); err != nil || value != "zhangsan03" {
				t.Fatalf("confirmed %q, %v", value, err)
			}
			d.waitingForAPerson()
			d.must(d.task, handler.Unchanged)
			if _, err := d.run(change("ann", "zhangsan05")); providers.KindOf(err) != providers.Rejected {
				t.Errorf("another ID after that: %v, want locked", err)
			}
			d.sent("zhangsan03", "zhangsan03")
		})
	}
}

func TestAnIDThatAPersonRejectedMayBeSentAgain(t *testing.T) {
	t.Parallel()
	d := newUnknownID(t, sandbox.Fault{Kind: sandbox.FaultOutage}, "")
	// Another change for the user is not sent while the outcome of the first is
	// unknown. The first is not sent again either, because the other supersedes it.
	other := change("ann", "zhangsan05")
	revision := d.requestChange(other)
	d.unverified(other, revision)
	if report, err := d.attempt(d.task, d.revision); err != nil || report.Outcome != handler.Superseded {
		t.Fatalf("the earlier change: %+v, %v", report, err)
	}
	target, _ := kinds.Change(d.task, school)
	if value, _, err := d.ledger.Reject(t.Context(), target, "id", "somebody"); err != nil || value != "zhangsan03" {
		t.Fatalf("rejected %q, %v", value, err)
	}
	if _, _, err := d.ledger.Reject(t.Context(), target, "id", "somebody"); !errors.Is(err, ledger.ErrNothingUnknown) {
		t.Errorf("rejected twice: %v", err)
	}
	if report, err := d.attempt(other, revision); err != nil || report.Outcome != handler.Applied {
		t.Fatalf("the other change: %+v, %v", report, err)
	}
	d.sent("zhangsan03", "zhangsan05")
}

// A refusal that would have applied to the first send as well shows that the first send
// changed nothing.
func TestAClearRefusalOfAnIDSettlesItsUnknownOutcome(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	d := &unknownID{rig: newRig(t, s), clock: time.Now(), task: change("cat", "zhangsan03")}
	s.Mini.SetTime(d.clock)
	d.arm(sandbox.Fault{API: sandbox.APIChangeID, At: 1, Kind: sandbox.FaultOutage})
	d.revision = d.requestChange(d.task)
	d.again(4*time.Minute, 6*time.Minute)
	d.wait(6 * time.Minute)
	_, err := d.attempt(d.task, d.revision)
	if e, ok := errors.AsType[*providers.Error](err); !ok || e.Kind != providers.Rejected || e.Code != "internalenterpriseaccount.limit" {
		t.Fatalf("error %v, want the true cause", err)
	}
	target, _ := kinds.Change(d.task, school)
	if _, _, err := d.ledger.Confirm(t.Context(), target, "id", "somebody"); !errors.Is(err, ledger.ErrNothingUnknown) {
		t.Errorf("the outcome is still unknown: %v", err)
	}
}

// A person changed the ID by hand within the year.
func TestNoIDIsSentForAMonthForAUserWhomThePlatformCallsLocked(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	r := newRig(t, s)
	s.Mini.SetTime(time.Now())
	r.must(change("ann", "zhangsan03"), handler.Applied)
	if err := s.Client(t).FlushAll(t.Context()).Err(); err != nil { // as if another tool had changed the ID
		t.Fatal(err)
	}
	for _, code := range []string{"have.been.set", "locked"} {
		_, err := r.run(change("ann", "zhangsan05"))
		if e, ok := errors.AsType[*providers.Error](err); !ok || e.Kind != providers.Rejected || e.Code != code {
			t.Fatalf("error %v, want code %s", err, code)
		}
	}
	r.calls(2)
	s.Mini.SetTime(time.Now().Add(31 * 24 * time.Hour))
	if _, err := r.run(change("ann", "zhangsan05")); providers.KindOf(err) != providers.Rejected {
		t.Errorf("a month later: %v", err)
	}
	r.calls(3)
}

// The first candidate is known to be taken; the send of the second was refused for its
// rate.
func TestACandidateThatIsTakenIsNotSentTwice(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		r.arm(sandbox.Fault{API: sandbox.APIChangeID, At: 2, Kind: sandbox.FaultAnswer, Code: "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"})
		task := change("ann", "zhangsan01", "zhangsan03")
		revision := r.requestChange(task)
		if _, err := r.attempt(task, revision); providers.KindOf(err) != providers.Throttled {
			t.Fatalf("error %v", err)
		}
		if report, err := r.attempt(task, revision); err != nil || report.Took != "zhangsan03" || report.Sends != 1 {
			t.Fatalf("%+v, %v, want the second candidate with one send", report, err)
		}
		r.calls(3)
	})
}
