package ledger_test

import (
	"errors"
	"strings"
	"testing"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

func TestAWorkerNotesItsSchemaAndANewerOneKeepsItsOwn(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		if version, err := l.Fits(t.Context()); version != 0 || err != nil {
			t.Errorf("an empty Redis: schema %d, %v", version, err)
		}
		if err := l.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		own, err := l.Fits(t.Context())
		if own < 2 || err != nil {
			t.Errorf("after a worker: schema %d, %v", own, err)
		}
		// A newer worker that can live with this one was here.
		if err := rdb.HSet(t.Context(), "rollcall:schema", "version", own+1, "oldest", own).Err(); err != nil {
			t.Fatal(err)
		}
		if err := l.Enter(t.Context()); err != nil {
			t.Errorf("together with a newer worker: %v", err)
		}
		if version, err := l.Fits(t.Context()); version != own+1 || err != nil {
			t.Errorf("together with a newer worker: schema %d, %v", version, err)
		}
	})
}

func TestAWorkerThatIsTooOldDoesNotEnter(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		if err := rdb.HSet(t.Context(), "rollcall:schema", "version", 90, "oldest", 80).Err(); err != nil {
			t.Fatal(err)
		}
		l := ledger.New(rdb)
		_, asked := l.Fits(t.Context())
		for _, err := range []error{l.Enter(t.Context()), asked} {
			if old, ok := errors.AsType[*ledger.TooOldError](err); !ok || old.Oldest != 80 || !strings.Contains(err.Error(), "newest version") {
				t.Errorf("%v, want a *TooOldError", err)
			}
		}
		if got := rdb.HGet(t.Context(), "rollcall:schema", "version").Val(); got != "90" {
			t.Errorf("the schema is %s now", got)
		}
	})
}
