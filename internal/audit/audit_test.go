package audit_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/audit"
	"rollcall/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

func TestTheLastEventsAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		if events, err := audit.Read(t.Context(), rdb, 5); len(events) != 0 || err != nil {
			t.Errorf("before anything happened: %+v, %v", events, err)
		}
		first := audit.Event{Event: "dead.discarded", Level: audit.Lane, Name: "dt.id", Class: "rejected", Reason: "left", By: "ann", More: map[string]string{"count": "2"}}
		second := audit.Event{Event: "hold.left", Level: "tenant", Name: "dt", Class: "refused", By: "worker-1"}
		for _, e := range []audit.Event{{Event: "old"}, first, second} {
			if err := audit.Write(t.Context(), rdb, e); err != nil {
				t.Fatal(err)
			}
		}
		events, err := audit.Read(t.Context(), rdb, 2)
		if diff := cmp.Diff([]audit.Event{first, second}, events, cmpopts.IgnoreFields(audit.Event{}, "Time")); diff != "" || err != nil {
			t.Fatalf("%v; -want +got:\n%s", err, diff)
		}
		if age := time.Since(events[1].Time); age < -time.Minute || age > time.Hour {
			t.Errorf("an event that was just written is %s old", age)
		}
	})
}

func TestTheKnownFieldsOfANewerVersionsEventAreRead(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		if err := rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: audit.Stream, Values: []any{"event", "hold.paused", "colour", "red"}}).Err(); err != nil {
			t.Fatal(err)
		}
		events, err := audit.Read(t.Context(), rdb, 5)
		want := []audit.Event{{Event: "hold.paused", More: map[string]string{"colour": "red"}}}
		if diff := cmp.Diff(want, events, cmpopts.IgnoreFields(audit.Event{}, "Time")); diff != "" || err != nil {
			t.Errorf("%v; -want +got:\n%s", err, diff)
		}
	})
}

func TestAnEventThatIsNotWrittenIsNamed(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		if err := rdb.Set(t.Context(), audit.Stream, "text", 0).Err(); err != nil {
			t.Fatal(err)
		}
		err := audit.Write(t.Context(), rdb, audit.Event{Event: "dead.closed", Level: audit.Lane, Name: "dt.id"})
		if err == nil || !strings.Contains(err.Error(), "event dead.closed of lane dt.id") {
			t.Errorf("error: %v", err)
		}
	})
}
