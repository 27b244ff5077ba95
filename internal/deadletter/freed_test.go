package deadletter_test

import (
	"testing"
	"time"

	"rollcall/internal/audit"
	"rollcall/internal/deadletter"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/tasks"
)

const changes = "dt.id"

// wants returns the dead letter of an ID change that died at a time because the ID was
// taken.
func (o *office) wants(id, user, wanted string, at time.Time) ledger.DeadLetter {
	o.t.Helper()
	const revision = 2
	typename, payload, err := kinds.Encode(tasks.IDChange{Tenant: "dt", UserID: user, DingTalkID: wanted}, revision)
	if err != nil {
		o.t.Fatal(err)
	}
	return ledger.DeadLetter{
		ID: id, Lane: changes, Tenant: "dt", Kind: "id", Organisation: "lakeside", Type: typename, Payload: payload, Target: user,
		Revision: revision, Class: "rejected", Code: "incorrect.reserved", Cause: "rejected", First: at, Last: at,
	}
}

// changesID applies an ID change, and returns its time by Redis' clock.
func (o *office) changesID(user, id string) time.Time {
	o.t.Helper()
	target, fields := kinds.Change(tasks.IDChange{Tenant: "dt", UserID: user, DingTalkID: id}, "lakeside")
	mark, _, err := o.ledger.Begin(o.t.Context(), ledger.Delivery{Target: target, Fields: fields, Revision: 1, TaskID: "of " + user})
	if err != nil {
		o.t.Fatal(err)
	}
	mark.Intend(id)
	if err := mark.Check(o.t.Context()); err != nil {
		o.t.Fatal(err)
	}
	if err := mark.Settle(o.t.Context(), "r", false, nil); err != nil {
		o.t.Fatal(err)
	}
	at, err := o.ledger.LastChanged(o.t.Context(), "lakeside", "id")
	if err != nil || at.IsZero() {
		o.t.Fatalf("an ID was changed at %v, %v", at, err)
	}
	return at
}

// frees runs ReplayFreed, and returns how many dead letters it replayed.
func (o *office) frees(after, now time.Time) (int, time.Time) {
	o.t.Helper()
	n, looked, err := o.service.ReplayFreed(o.t.Context(), deadletter.Freed{
		Organisation: "lakeside", Tenant: "dt", Class: "rejected", Code: "incorrect.reserved", After: after, By: "worker-1",
	}, now)
	if err != nil {
		o.t.Fatal(err)
	}
	return n, looked
}

func TestATakenIDIsTriedAgainOnceAnotherIDOfTheOrganisationWasChanged(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		o := open(t, s)
		began := time.Now()
		han := o.wants("han", "han", "alice01", began.Add(-time.Minute))
		old := o.wants("old", "wei", "alice01", began.Add(-8*24*time.Hour))
		malformed := o.wants("format", "mei", "alice-1", began.Add(-time.Minute))
		malformed.Code = "incorrect.format"
		o.adds(han, old, malformed)

		if n, looked := o.frees(time.Time{}, began.Add(time.Hour)); n != 0 || !looked.IsZero() {
			t.Fatalf("%d replayed before any ID was changed, up to %v", n, looked)
		}
		changed := o.changesID("li", "alice02")
		if n, looked := o.frees(time.Time{}, changed.Add(deadletter.FreedAfter-time.Second)); n != 0 || !looked.IsZero() {
			t.Fatalf("%d replayed while IDs are being changed, up to %v", n, looked)
		}
		now := changed.Add(deadletter.FreedAfter)
		n, looked := o.frees(time.Time{}, now)
		if n != 1 || !looked.Equal(changed) {
			t.Fatalf("%d replayed, up to %v; want 1, up to %v", n, looked, changed)
		}
		o.wantLeft("old", "format")
		info, err := o.inspector.GetTaskInfo(changes, "han~1")
		if err != nil || string(info.Payload) != string(han.Payload) {
			t.Errorf("the task that is sent again: %v, %v", info, err)
		}
		events, err := audit.Read(t.Context(), o.rdb, 10)
		if err != nil || len(events) != 1 || events[0].Event != "dead.replayed" || events[0].By != "worker-1" {
			t.Errorf("events: %+v, %v", events, err)
		}
		if n, _ := o.frees(looked, now.Add(time.Hour)); n != 0 {
			t.Errorf("%d replayed again after the same change", n)
		}
	})
}

func TestATakenIDIsNotTriedAgainIfAnotherSendWouldBeWrong(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		o := open(t, s)
		began := time.Now()
		before := began.Add(-time.Minute)
		dead := []ledger.DeadLetter{
			o.wants("corrected", "corrected", "alice01", before),
			o.wants("locked", "locked", "alice01", before),
			o.wants("often~3", "often", "alice01", before),
			o.wants("later", "later", "alice01", began.Add(2*deadletter.FreedAfter)),
			o.wants("due~2", "due", "alice01", before),
		}
		o.adds(dead...)
		newer := tasks.IDChange{Tenant: "dt", UserID: "corrected", DingTalkID: "alice09"}
		target, fields := kinds.Change(newer, "lakeside")
		typename, payload, err := kinds.Encode(newer, 3)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.ledger.Stored(t.Context(), ledger.Open{
			Change: ledger.Change{Target: target, Fields: fields, TaskID: "newer"}, Revision: 3, Queue: changes, Type: typename, Payload: payload,
		}); err != nil {
			t.Fatal(err)
		}
		o.changesID("locked", "alice05") // at revision 1: the user has had this year's change
		changed := o.changesID("li", "alice02")

		if n, _ := o.frees(time.Time{}, changed.Add(deadletter.FreedAfter)); n != 1 {
			t.Errorf("%d replayed, want the one that is due", n)
		}
		o.wantLeft("corrected", "locked", "often~3", "later")
	})
}
