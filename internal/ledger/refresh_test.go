package ledger_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

func refresh() ledger.Delivery {
	return ledger.Delivery{
		Target: ann, ResentBy: "dt", Resend: true, Refresh: true,
		Fields: []ledger.Field{{Name: "nickname", Value: "A", Mode: ledger.Refresh}},
	}
}

// toRefresh are the targets of nicknames whose values are to be confirmed at a time.
func toRefresh(t *testing.T, l *ledger.Ledger, now time.Time) []string {
	t.Helper()
	found := l.LateTargets(t.Context(), now, 10, ledger.Sender{Organisation: ann.Organisation, API: ann.API, Tenant: "dt"})[0]
	if found.Err != nil || found.Waiting != 0 || len(found.Due) != 0 {
		t.Errorf("%+v; nothing may have been overwritten", found)
	}
	var keys []string
	for _, target := range found.Refresh {
		keys = append(keys, target.Key)
	}
	return keys
}

func setRefresh(t *testing.T, l *ledger.Ledger, from time.Time, targets ...ledger.Target) {
	t.Helper()
	sender := ledger.Sender{Organisation: ann.Organisation, API: ann.API, Tenant: "dt"}
	if err := l.SetRefresh(t.Context(), sender, targets, from, time.Hour); err != nil {
		t.Fatal(err)
	}
}

func TestAValueIsConfirmedAtItsRevision(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		rev := revise(t, l, ann)
		lease := begin(t, l, ann, rev, nick("A"))
		gate(t, lease)
		release(t, lease, ledger.Answered)
		apply(t, l, ann, rev, nick("A"))
		if record, err := l.Look(t.Context(), ann); err != nil || record.Fields["nickname"].Evidence != "doubt" {
			t.Errorf("after an unknown outcome: %+v, %v", record, err)
		}
		now := rdb.Time(t.Context()).Val()
		setRefresh(t, l, now, bob)
		setRefresh(t, l, now, ann, bob)
		if diff := cmp.Diff([]string{ann.Key}, toRefresh(t, l, now)); diff != "" {
			t.Errorf("due at once (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{ann.Key, bob.Key}, toRefresh(t, l, now.Add(time.Second))); diff != "" {
			t.Errorf("due a second later (-want +got):\n%s", diff)
		}

		lease, decided, err := l.Begin(t.Context(), refresh())
		if err != nil || lease == nil || decided[0] != ledger.Send {
			t.Fatalf("%v, %v", decided, err)
		}
		gate(t, lease)
		settle(t, lease, false)
		record, err := l.Look(t.Context(), ann)
		state := record.Fields["nickname"]
		if err != nil || state.Applied != rev || state.Evidence != "" || record.Tried.IsZero() || record.Effects[0].Did != ledger.DidRefresh {
			t.Errorf("%+v, %v", record, err)
		}
		if diff := cmp.Diff([]string{bob.Key}, toRefresh(t, l, now.Add(time.Minute))); diff != "" {
			t.Errorf("then due (-want +got):\n%s", diff)
		}
		wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.Unchanged)
		setRefresh(t, l, now)
		if left := toRefresh(t, l, now.Add(time.Minute)); len(left) != 0 {
			t.Errorf("still due: %v", left)
		}
	})
}

func TestAWaitingChangeIsNotSupersededByARefresh(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		apply(t, l, ann, revise(t, l, ann), nick("A"))
		now := rdb.Time(t.Context()).Val()
		setRefresh(t, l, now, ann)
		lease, _, err := l.Begin(t.Context(), refresh())
		if err != nil || lease == nil {
			t.Fatal(lease, err)
		}
		waiting := storedTask(ann, revise(t, l, ann), nick("B"))
		if err := l.Stored(t.Context(), waiting); err != nil {
			t.Fatal(err)
		}
		if err := lease.Check(t.Context()); !errors.Is(err, ledger.ErrStale) {
			t.Errorf("the last check before the send: %v, want ErrStale", err)
		}
		release(t, lease, ledger.Untouched)

		setRefresh(t, l, now, ann)
		lease, decided, err := l.Begin(t.Context(), refresh())
		if err != nil || lease != nil || decided[0] != ledger.Superseded {
			t.Errorf("%v, %v", decided, err)
		}
		if left := toRefresh(t, l, now.Add(time.Hour)); len(left) != 0 {
			t.Errorf("it is tried again: %v", left)
		}
		apply(t, l, ann, waiting.Revision, nick("B"))
	})
}

func TestARefreshThatFailsWaits(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	l := ledger.New(s.Client(t))
	now := time.Unix(1_790_000_000, 0)
	s.Mini.SetTime(now)
	apply(t, l, ann, revise(t, l, ann), nick("A"))
	setRefresh(t, l, now, ann)
	lease, _, err := l.Begin(t.Context(), refresh())
	if err != nil || lease == nil {
		t.Fatal(lease, err)
	}
	gate(t, lease)
	release(t, lease, ledger.Untouched)
	if left := toRefresh(t, l, now.Add(time.Minute)); len(left) != 0 {
		t.Errorf("it is due at once: %v", left)
	}
	if left := toRefresh(t, l, now.Add(10*time.Minute)); len(left) != 1 {
		t.Errorf("%d are due later, want 1", len(left))
	}
	if err := l.EndRefresh(t.Context(), ann, "dt"); err != nil {
		t.Fatal(err)
	}
	if left := toRefresh(t, l, now.Add(time.Hour)); len(left) != 0 {
		t.Errorf("after its end: %v", left)
	}
	wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.Unchanged)
}
