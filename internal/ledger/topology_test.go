package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"rollcall/internal/ledger"
	"rollcall/internal/redisdb"
	"rollcall/internal/redistest"
)

// on returns a ledger as a worker has it, and waits until it can write.
func on(t *testing.T, d *redistest.Deployment) *ledger.Ledger {
	t.Helper()
	rdb := redisdb.New(d.Options())
	t.Cleanup(func() { rdb.Close() })
	return ledger.New(rdb)
}

// awaitMaster asks until the ledger has found the new master.
func awaitMaster(t *testing.T, l *ledger.Ledger) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		err := l.Revise(ctx, ledger.Change{Target: ann})[0].Err
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("the new master is not found: %v", err)
		}
	}
}

// Targets of several organisations and APIs lie on different nodes; every
// script and transaction keeps to one slot, and what the replica has received
// survives the master.
func TestTheRecordIsKeptOnEveryTopologyAndThroughAFailover(t *testing.T) {
	t.Parallel()
	redistest.EachTopology(t, func(t *testing.T, d *redistest.Deployment) {
		l := on(t, d)
		var targets []ledger.Target
		for i := range 12 {
			targets = append(targets, ledger.Target{Organisation: fmt.Sprintf("school%d", i), API: "nickname", Key: "chat1/ann"})
		}
		targets = append(targets, ann)
		for _, target := range targets {
			apply(t, l, target, revise(t, l, target), nick("ann"))
			wantDecision(t, l, target, revise(t, l, target), nick("ann"), ledger.Unchanged)
			for want := 1; want <= 2; want++ {
				if n, _, err := l.CountAttempt(t.Context(), target.Organisation, "transient", time.Now()); err != nil || n != want {
					t.Fatalf("attempt %d is counted as %d: %v", want, n, err)
				}
			}
		}
		unclear := ledger.Target{Organisation: ann.Organisation, API: ann.API, Key: "chat1/bob"}
		gate(t, begin(t, l, unclear, revise(t, l, unclear), nick("B"))) // never settled
		if d.Name == "single" {
			return
		}
		d.Settle(t)
		d.FailOver(t, "rollcall:{lakeside/nickname}:target:chat1/ann")
		awaitMaster(t, l)
		wantDecision(t, l, ann, revise(t, l, ann), nick("ann"), ledger.Unchanged)
		_, _, err := l.Begin(t.Context(), delivery(unclear, revise(t, l, unclear), nick("C")))
		if _, ok := errors.AsType[*ledger.BusyError](err); !ok {
			t.Errorf("Begin() at a target that is taken = %v, want a *BusyError", err)
		}
		if n, _, err := l.CountAttempt(t.Context(), ann.Organisation, "transient", time.Now()); err != nil || n != 3 {
			t.Errorf("the third attempt is counted as %d: %v", n, err)
		}
	})
}

// What docs/guarantees.md says of a failover: the last writes are lost, and
// with them what each of them stood for.
func TestWhatAFailoverMayLose(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) *redistest.Deployment{"sentinel": redistest.Sentinel, "cluster": redistest.Cluster} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := start(t)
			l := on(t, d)
			person := ledger.Target{Organisation: ann.Organisation, API: ann.API, Key: "chat1/bob"}
			taken := ledger.Target{Organisation: ann.Organisation, API: ann.API, Key: "chat1/eve"}
			apply(t, l, ann, revise(t, l, ann), nick("old"))
			d.Settle(t)
			d.Part(t)
			last := revise(t, l, ann)
			apply(t, l, ann, last, nick("new"))
			gate(t, begin(t, l, person, revise(t, l, person), nick("B"))) // from now on its outcome is unknown
			held := begin(t, l, taken, revise(t, l, taken), nick("E"))
			d.FailOver(t, "rollcall:{lakeside/nickname}:target:chat1/ann")
			awaitMaster(t, l)

			// The lease is lost, and its owner finds that before it sends.
			if err := held.Check(t.Context()); !errors.Is(err, ledger.ErrLeaseLost) {
				t.Errorf("Gate() after the lease was lost = %v, want ErrLost", err)
			}
			begin(t, l, taken, revise(t, l, taken), nick("F"))
			// The unknown outcome is lost: nothing shows that B may have been applied.
			wantDecision(t, l, person, revise(t, l, person), nick("C"), ledger.Send)
			// The settled value is the one before: equal to it counts as unchanged,
			// though the platform has the newer; equal to the newer is sent again.
			rev := revise(t, l, ann)
			if rev <= last {
				t.Errorf("revision %d is handed out after %d was", rev, last)
			}
			lease, decided, err := l.Begin(t.Context(), delivery(ann, rev, nick("new")))
			if err != nil || decided[0] != ledger.Send {
				t.Fatalf("the newer value is decided as %v, %v; want it sent again", decided, err)
			}
			release(t, lease, ledger.Untouched)
			wantDecision(t, l, ann, revise(t, l, ann), nick("old"), ledger.Unchanged)
		})
	}
}
