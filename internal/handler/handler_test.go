package handler_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"rollcall/internal/handler"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/sandbox"
	"rollcall/providers"
	"rollcall/tasks"
)

func TestANameThatIsKnownToBeAppliedCostsNoCall(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		report := r.must(nickname("A"), handler.Applied)
		r.changes(sandbox.Change{Field: "nick", New: "A"})
		if report.Sends != 1 || report.RequestID == "" || report.Target != "chat1/ann" || report.Revision == 0 {
			t.Errorf("report of the call: %+v", report)
		}
		report = r.must(nickname("A"), handler.Unchanged)
		if report.Sends != 0 || report.RequestID != "" || report.Call != 0 {
			t.Errorf("report without a call: %+v", report)
		}
		r.calls(1)
	})
}

func TestAnEarlierChangeMakesNoCallOnceALaterOneIsKnownOrApplied(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		older, newer := r.requestChange(nickname("old")), r.requestChange(nickname("new"))
		for _, calls := range []int{0, 1} {
			if report, err := r.attempt(nickname("old"), older); err != nil || report.Outcome != handler.Superseded {
				t.Fatalf("earlier change: %+v, %v", report, err)
			}
			r.calls(calls)
			if calls == 0 {
				if _, err := r.attempt(nickname("new"), newer); err != nil {
					t.Fatal(err)
				}
			}
		}
		r.changes(sandbox.Change{Field: "nick", New: "new"})
	})
}

// A course task carries no value of ours, so the same change again is a call. The same
// task again, as after a lost reply, is not.
func TestATaskThatIsDeliveredTwiceIsCarriedOutOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		revision := r.requestChange(course)
		for i, want := range []handler.Outcome{handler.Applied, handler.Settled, handler.Settled} {
			if report, err := r.attempt(course, revision); err != nil || report.Outcome != want {
				t.Fatalf("delivery %d: %+v, %v, want %s", i+1, report, err, want)
			}
		}
		r.calls(1)
		r.must(course, handler.Applied)
		r.calls(2)
	})
}

// The slot may be a second away, and the ledger may change before it. A slot that is
// then not used goes to another task.
func TestTheLedgerIsCheckedAgainAfterTheSlot(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		revision := r.requestChange(nickname("old"))
		r.slot = func(context.Context) error {
			r.requestChange(nickname("new"))
			return nil
		}
		if _, err := r.attempt(nickname("old"), revision); !errors.Is(err, ledger.ErrStale) {
			t.Errorf("error %v, want %v", err, ledger.ErrStale)
		}
		r.calls(0)
		if n := r.unused.Load(); n != 1 {
			t.Errorf("%d slots returned, want the one whose send did not leave", n)
		}
	})
}

func TestWithoutASlotNothingIsSentAndTheLeaseIsReleased(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		r.must(nickname("A"), handler.Applied)
		stopping := errors.New("no slot")
		r.slot = func(context.Context) error { return stopping }
		if report, err := r.run(nickname("B")); !errors.Is(err, stopping) || report.Sends != 0 {
			t.Errorf("%+v, %v", report, err)
		}
		// No request left, so the outcome is known: A is still applied.
		r.must(nickname("A"), handler.Unchanged)
		r.calls(1)
	})
}

// Quick retries are sends like any other: each waits for its own slot.
func TestEverySendPassesTheGate(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		slots := 0
		r.slot = func(context.Context) error { slots++; return nil }
		r.arm(sandbox.Fault{API: sandbox.APIGroupNick, First: 2, Kind: sandbox.FaultAnswer, Code: "-1"})
		if report := r.must(nickname("A"), handler.Applied); report.Sends != 3 || slots != 3 {
			t.Errorf("%d sends through %d slots, want 3 through 3", report.Sends, slots)
		}
		if n := r.unused.Load(); n != 0 {
			t.Errorf("%d used slots were returned", n)
		}
	})
}

func TestAClearRefusalIsAKnownOutcome(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		r.must(nickname("A"), handler.Applied)
		r.arm(sandbox.Fault{API: sandbox.APIGroupNick, At: 1, Kind: sandbox.FaultAnswer, Code: "60124"})
		report, err := r.run(nickname("B"))
		if providers.KindOf(err) != providers.Rejected || report.Sends != 1 || report.RequestID == "" {
			t.Fatalf("refused call: %+v, %v", report, err)
		}
		r.must(nickname("A"), handler.Unchanged)
		r.calls(2)
	})
}

// A was applied, B may have been: when A is requested again, it is sent.
func TestALostAnswerIsAnUnknownOutcomeAndTheNextChangeIsSent(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		r.must(nickname("A"), handler.Applied)
		r.arm(sandbox.Fault{API: sandbox.APIGroupNick, First: 3, Kind: sandbox.FaultReset, Applied: true})
		if _, err := r.run(nickname("B")); providers.KindOf(err) != providers.Transient {
			t.Fatalf("error %v, want a transient one", err)
		}
		r.must(nickname("A"), handler.Applied)
		r.changes(sandbox.Change{Field: "nick", Old: "B", New: "A"})
	})
}

func TestOnlyOneTaskHoldsTheLeaseOfATarget(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		var second error
		r.during = func() { _, second = r.run(nickname("B")) }
		r.must(nickname("A"), handler.Applied)
		if busy, ok := errors.AsType[*ledger.BusyError](second); !ok || busy.For <= 0 {
			t.Errorf("the second: %v, want a *ledger.BusyError", second)
		}
		r.calls(1)
	})
}

func TestAnAttemptThatHangsEndsAtItsDeadlineWithUnknownOutcome(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		r.must(nickname("A"), handler.Applied)
		r.arm(sandbox.Fault{API: sandbox.APIGroupNick, At: 1, Kind: sandbox.FaultHang})
		r.env.Deadline = 3 * time.Second // time for a busy machine to reach the call
		r.slot = func(ctx context.Context) error {
			// The attempt's own deadline applies, not the longer one of an exchange.
			if end, bounded := ctx.Deadline(); !bounded || time.Until(end) > r.env.Deadline {
				t.Errorf("the attempt ends at %v (bounded: %t)", end, bounded)
			}
			return nil
		}
		if _, err := r.run(nickname("B")); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("error %v, want %v", err, context.DeadlineExceeded)
		}
		r.env.Deadline = inFlight
		r.must(nickname("A"), handler.Applied)
		r.calls(3)
	})
}

func TestAnInvalidPayloadIsRejectedBeforeAnyCommand(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		long := strings.Repeat("n", tasks.DefaultNicknameMax+1)
		nick := r.handle(nickname("A"))
		_, err := nick(t.Context(), handler.Delivery{Type: kinds.TypeGroupUpdate})
		if _, ok := errors.AsType[*handler.MisplacedError](err); !ok {
			t.Errorf("another kind: %v", err)
		}
		_, err = nick(t.Context(), handler.Delivery{Type: kinds.TypeNicknameSync, Payload: []byte(`{"v":1,"rev":1,"who":"ann"}`)})
		if _, ok := errors.AsType[*kinds.PayloadError](err); !ok {
			t.Errorf("unknown field: %v", err)
		}
		_, err = nick(t.Context(), handler.Delivery{Type: kinds.TypeNicknameSync, Payload: []byte(`{"v":99,"rev":1,"mood":"new"}`)})
		if _, ok := errors.AsType[*kinds.NewerVersionError](err); !ok {
			t.Errorf("newer version: %v", err)
		}
		_, err = r.attempt(nickname(long), 1)
		if _, ok := errors.AsType[*tasks.ValidationError](err); !ok {
			t.Errorf("longer than the tenant allows: %v", err)
		}
		r.calls(0)
		if n := r.rdb.DBSize(t.Context()).Val(); n != 0 {
			t.Errorf("the ledger holds %d keys, want none", n)
		}
		r.env.Limits = tasks.Limits{NicknameMax: len(long)}
		if _, err = r.run(nickname(long)); providers.KindOf(err) != providers.Rejected {
			t.Errorf("as long as the tenant allows: %v, want the platform's own refusal", err)
		}
	})
}

// The credentials are those of the queue's tenant, so the tenant of a payload is
// compared, never believed.
func TestATaskOfAnotherTenantIsMalformedAndNotCarriedOut(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		for _, task := range []tasks.Task{
			nickname("A"),
			tasks.GroupUpdate{Tenant: dt, ChatID: "chat1", Name: "Class 2"},
			tasks.IDChange{Tenant: dt, UserID: "bob", DingTalkID: "bob000001"},
			course,
			tasks.StudentSync{Tenant: ci, StudentUID: "1", Name: "Ann B"},
		} {
			typename, payload, err := kinds.Encode(task, 7)
			if err != nil {
				t.Fatal(err)
			}
			env := r.env
			env.Tenant = "hillside"
			_, err = r.handleOf(env, task)(t.Context(), handler.Delivery{TaskID: "x", Type: typename, Payload: payload})
			if e, ok := errors.AsType[*kinds.PayloadError](err); !ok || e.Field != "tenant" {
				t.Errorf("%T: %v, want a *kinds.PayloadError of field tenant", task, err)
			}
		}
		r.calls(0)
		if n := r.rdb.DBSize(t.Context()).Val(); n != 0 {
			t.Errorf("the ledger holds %d keys, want none", n)
		}
	})
}
