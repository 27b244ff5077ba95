package lane_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/internal/handler"
	"rollcall/internal/kinds"
	"rollcall/internal/lane"
	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
	"rollcall/internal/pace"
	"rollcall/providers"
	"rollcall/tasks"
)

var now = time.UnixMilli(1_763_762_142_000)

// nth returns that this is the nth attempt of a task in any class, the first of them a
// minute ago.
func nth(n int) lane.Attempts {
	return func(outcome.Class) (int, time.Time, error) { return n, now.Add(-time.Minute), nil }
}

func kind(k providers.Kind) *providers.Error { return &providers.Error{Kind: k} }

func unsent(cause error) error { return &providers.Error{Kind: providers.Unsent, Err: cause} }

// Each row is an error, its class, its action on the first attempt, and whether that
// attempt is counted.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		err     error
		class   outcome.Class
		action  outcome.Action
		counted bool
	}{
		{"nothing wrong", nil, "", outcome.Done, false},
		{"system busy", kind(providers.Transient), outcome.Busy, outcome.Retry, true},
		{"some members failed", kind(providers.Partial), outcome.Partial, outcome.Retry, true},
		{"an answer in no table", kind(providers.Unknown), outcome.Unlisted, outcome.Retry, true},
		{"too fast", kind(providers.Throttled), outcome.Throttled, outcome.Retry, false},
		{"month spent", kind(providers.QuotaSpent), outcome.Quota, outcome.Retry, false},
		{"stale token", kind(providers.TokenRejected), outcome.Refused, outcome.Retry, false},
		{"no permission", kind(providers.Misconfigured), outcome.Refused, outcome.Retry, false},
		{"have.been.set", kind(providers.Rejected), outcome.Rejected, outcome.Dead, false},
		{"ID change timed out", kind(providers.Ambiguous), outcome.Unverified, outcome.Dead, false},
		{"stopped in the gate", unsent(lane.ErrStopping), outcome.Stopping, outcome.Retry, false},
		{"later change in the gate", unsent(ledger.ErrStale), outcome.Overtaken, outcome.Retry, false},
		{"lease lost in the gate", unsent(ledger.ErrLeaseLost), outcome.Overtaken, outcome.Retry, false},
		{"refused, and the lease lost", errors.Join(kind(providers.Rejected), ledger.ErrLeaseLost), outcome.Overtaken, outcome.Retry, false},
		{"lane held in the gate", unsent(&lane.HeldError{}), outcome.Held, outcome.Retry, false},
		{"run paused in the gate", unsent(&lane.RunHaltedError{}), outcome.Halted, outcome.Retry, false},
		{"run cancelled in the gate", unsent(&lane.RunCancelledError{}), outcome.Cancelled, outcome.Done, false},
		{"run paused", &lane.RunHaltedError{}, outcome.Halted, outcome.Retry, false},
		{"run cancelled", &lane.RunCancelledError{}, outcome.Cancelled, outcome.Done, false},
		{"month spent in the gate", unsent(&pace.SpentError{Why: pace.WhyMonth}), outcome.Quota, outcome.Retry, false},
		{"next slot far away", unsent(&pace.BookedOutError{For: time.Minute}), outcome.Paced, outcome.Retry, false},
		{"no slot in time", unsent(&lane.CrowdedError{}), outcome.Paced, outcome.Retry, false},
		{"no time left", unsent(context.DeadlineExceeded), outcome.Busy, outcome.Retry, true},
		{"Redis unavailable in the gate", unsent(errors.New("dial tcp: connection refused")), outcome.Internal, outcome.Retry, false},
		{"Redis unavailable", errors.New("dial tcp: connection refused"), outcome.Internal, outcome.Retry, false},
		{"mark lost", ledger.ErrLeaseLost, outcome.Overtaken, outcome.Retry, false},
		{"target busy", &ledger.BusyError{For: time.Second}, outcome.Waiting, outcome.Retry, false},
		{"lane held", &lane.HeldError{}, outcome.Held, outcome.Retry, false},
		{"newer payload", &kinds.NewerVersionError{}, outcome.Newer, outcome.Retry, false},
		{"bad payload", &kinds.PayloadError{}, outcome.Malformed, outcome.Dead, false},
		{"bad values", &tasks.ValidationError{}, outcome.Malformed, outcome.Dead, false},
		{"unknown type", &kinds.UnknownTypeError{}, outcome.Malformed, outcome.Dead, false},
		{"a revision of the future", &ledger.FutureError{}, outcome.Malformed, outcome.Dead, false},
		{"a damaged target", fmt.Errorf("begin: %w", &ledger.DamagedError{}), outcome.Internal, outcome.Retry, false},
		{"wrong queue", &handler.MisplacedError{}, outcome.Malformed, outcome.Dead, false},
		{"unreadable message", &lane.UndecodableError{}, outcome.Malformed, outcome.Dead, false},
		{"panic", &lane.PanicError{}, outcome.Panic, outcome.Retry, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			err := row.err
			if err != nil {
				err = fmt.Errorf("wrapped: %w", err)
			}
			v := lane.Judge(err, now, nth(1))
			if v.Class != row.class || v.Action != row.action || v.Counted != row.counted {
				t.Errorf("verdict %s %q counted=%t, want %s %q counted=%t",
					v.Action, v.Class, v.Counted, row.action, row.class, row.counted)
			}
		})
	}
}

func TestEveryKindHasAVerdict(t *testing.T) {
	t.Parallel()
	for _, k := range providers.Kinds() {
		if v := lane.Judge(kind(k), now, nth(1)); v.Class == "" || v.Action == outcome.Done {
			t.Errorf("kind %s: verdict %+v", k, v)
		}
		if v := lane.Judge(kind(k), now, nth(1)); v.Class == outcome.Unlisted && k != providers.Unknown {
			t.Errorf("kind %s is treated as unlisted", k)
		}
	}
}

func TestATaskIsGivenUpAfterItsLastAttempt(t *testing.T) {
	t.Parallel()
	busy := kind(providers.Transient)
	if v := lane.Judge(busy, now, nth(11)); v.Action != outcome.Retry {
		t.Errorf("attempt 11 of 12: %s", v.Action)
	}
	v := lane.Judge(busy, now, nth(12))
	if v.Action != outcome.Dead || !strings.Contains(v.Cause(), "given up after 12 of 12 attempts") {
		t.Errorf("attempt 12 of 12: %s, %q", v.Action, v.Cause())
	}
}

func TestALowerBoundOfThePlatformOnAttemptsApplies(t *testing.T) {
	t.Parallel()
	err := &providers.Error{Kind: providers.Transient, Code: "-1", Tries: 3}
	if v := lane.Judge(err, now, nth(2)); v.Action != outcome.Retry || v.Allowed != 3 {
		t.Errorf("second of 3: %s, allowed %d", v.Action, v.Allowed)
	}
	if v := lane.Judge(err, now, nth(3)); v.Action != outcome.Dead {
		t.Errorf("third of 3: %s", v.Action)
	}
}

func TestATaskIsGivenUpWhenItsHorizonIsReached(t *testing.T) {
	t.Parallel()
	since := func(d time.Duration) lane.Attempts {
		return func(outcome.Class) (int, time.Time, error) { return 2, now.Add(-d), nil }
	}
	busy := kind(providers.Transient)
	if v := lane.Judge(busy, now, since(5*time.Hour)); v.Action != outcome.Retry {
		t.Errorf("after 5 h: %s", v.Action)
	}
	if v := lane.Judge(busy, now, since(7*time.Hour)); v.Action != outcome.Dead {
		t.Errorf("after 7 h: %s", v.Action)
	}
}

// If Redis cannot return how many attempts there were, giving up would be a guess.
func TestAnAttemptIsNotCountedIfTheCountIsUnknown(t *testing.T) {
	t.Parallel()
	unavailable := func(outcome.Class) (int, time.Time, error) { return 0, time.Time{}, errors.New("connection refused") }
	if v := lane.Judge(kind(providers.Transient), now, unavailable); v.Action != outcome.Retry || v.Counted {
		t.Errorf("verdict %s counted=%t", v.Action, v.Counted)
	}
}

func TestWaitsGrowWithJitterUpToTheirLimit(t *testing.T) {
	t.Parallel()
	busy := kind(providers.Transient)
	shortest, longest := time.Hour, time.Duration(0)
	for range 200 {
		first := lane.Judge(busy, now, nth(1)).After
		if first < 500*time.Millisecond || first > 2*time.Second {
			t.Fatalf("first wait %s, want 0.5 s to 2 s", first)
		}
		late := lane.Judge(busy, now, nth(11)).After
		shortest, longest = min(shortest, late), max(longest, late)
	}
	if longest > 10*time.Minute || longest < 5*time.Minute || longest-shortest < time.Minute {
		t.Errorf("late waits are %s to %s, want them spread up to 10 min", shortest, longest)
	}
}

func TestAWaitThatThePlatformAsksForIsKept(t *testing.T) {
	t.Parallel()
	err := &providers.Error{Kind: providers.Throttled, RetryAfter: time.Minute}
	for range 50 {
		if v := lane.Judge(err, now, nth(1)); v.After < time.Minute || v.After > 76*time.Second {
			t.Fatalf("wait %s, want a minute and a little", v.After)
		}
	}
}

// A bare 403 is a rate limit, which passes, or a missing permission, which does not.
// After as many attempts as the platform's documentation allows, a person must check.
func TestARepeatedBare403HoldsTheLane(t *testing.T) {
	t.Parallel()
	bare := &providers.Error{Kind: providers.Throttled, HTTPStatus: 403, Tries: 3}
	if v := lane.Judge(bare, now, nth(2)); v.Class != outcome.Throttled {
		t.Errorf("second: %s", v.Class)
	}
	if v := lane.Judge(bare, now, nth(3)); v.Class != outcome.Refused || v.Action != outcome.Retry {
		t.Errorf("third: %s %s", v.Action, v.Class)
	}
}

// A task that a pause of an hour stops waits in its queue, from which no task is taken
// during the pause. It runs when the lane continues, even if a person ends the pause
// early.
func TestATaskOfAPausedLaneWaitsInItsQueue(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		unsent(&pace.BookedOutError{For: time.Hour}),
		&providers.Error{Kind: providers.Throttled, Scope: providers.ScopeAddress, RetryAfter: time.Hour},
	} {
		if v := lane.Judge(err, now, nth(1)); v.Counted || v.Action != outcome.Retry || v.After > 2*time.Second {
			t.Errorf("%v: verdict %s counted=%t after %s", err, v.Action, v.Counted, v.After)
		}
	}
}

func TestTheCauseNamesWhatHappenedAndWhatToDo(t *testing.T) {
	t.Parallel()
	err := &providers.Error{
		Platform: "dingtalk", API: "updategroupnick", Kind: providers.Rejected, Code: "60124",
		Message: "user not in group", RequestID: "id1aatxt9mco", Fix: "update the roster",
	}
	got := lane.Judge(err, now, nth(1)).Cause()
	want := "rejected: dingtalk updategroupnick: 60124: user not in group [request id1aatxt9mco] · to do: update the roster"
	if got != want {
		t.Errorf("cause\n%s\nwant\n%s", got, want)
	}
}

// The time limits nest: an exchange fits into an attempt, an attempt into asynq's own
// timeout, and a stop waits for an exchange and its settle.
func TestTimeLimitsNestInEachOther(t *testing.T) {
	t.Parallel()
	const asynqTimeout = 30 * time.Minute // stored with each task by its producer
	for _, timeout := range []time.Duration{15 * time.Second, time.Minute, 2 * time.Minute} {
		if d := lane.Deadline(timeout); d < 3*timeout || d >= asynqTimeout {
			t.Errorf("HTTP timeout %s: deadline %s", timeout, d)
		}
		if s := lane.ShutdownTimeout(timeout); s < timeout+25*time.Second {
			t.Errorf("HTTP timeout %s: shutdown timeout %s leaves no time to settle", timeout, s)
		}
	}
}
