package redisdb_test

import (
	"errors"
	"slices"
	"testing"

	"rollcall/internal/redisdb"
	"rollcall/internal/redistest"
)

func TestEveryProcessDetectsThatRedisLostItsData(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		one, other := redisdb.NewMemory(rdb, "a", "b"), redisdb.NewMemory(rdb, "a", "b")
		looks := func(name string, m *redisdb.Memory, want bool) {
			t.Helper()
			if lost, err := m.Look(t.Context()); lost != want || err != nil {
				t.Errorf("%s: lost %t, %v, want %t", name, lost, err, want)
			}
		}
		looks("the first look of one", one, false)
		looks("the first look of the other", other, false)
		looks("one", one, false)
		if err := rdb.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		looks("one after the loss", one, true)
		looks("the other after the loss", other, true)
		looks("one again", one, false)
		if err := rdb.Del(t.Context(), "b").Err(); err != nil {
			t.Fatal(err)
		}
		looks("one after the loss of a node", one, true)
		one.Forget()
		looks("one that has to publish again", one, true)
		looks("the other after the loss of a node", other, true)
		looks("the other again", other, false)
	})
}

// A marker of another type shows nothing. The others still do.
func TestAMarkerOfAnotherTypeIsNamedAndIsNoLoss(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		m := redisdb.NewMemory(rdb, "a", "b")
		look := func(what string, want bool, damaged ...string) {
			t.Helper()
			lost, err := m.Look(t.Context())
			if lost != want || err != nil || !slices.Equal(m.Damaged(), damaged) {
				t.Errorf("%s: lost %t, damaged %v, %v; want %t and %v", what, lost, m.Damaged(), err, want, damaged)
			}
		}
		spoil := func() {
			if err := errors.Join(rdb.Del(t.Context(), "a").Err(), rdb.HSet(t.Context(), "a", "x", "y").Err()); err != nil {
				t.Fatal(err)
			}
		}
		spoil()
		look("the first look", false, "a")
		rdb.Del(t.Context(), "a")
		look("after the repair", false)
		look("and later", false)
		spoil()
		look("damaged again", false, "a")
		rdb.Del(t.Context(), "b")
		look("the other marker is lost", true, "a")
		rdb.Del(t.Context(), "a")
		look("after the second repair", false)
		rdb.Del(t.Context(), "a")
		look("a loss", true)
	})
}

func TestALookAtAnUnavailableRedisReportsNoLoss(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		m := redisdb.NewMemory(s.Client(t), "a")
		if _, err := m.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Stop(t)
		if lost, err := m.Look(t.Context()); lost || err == nil {
			t.Errorf("lost %t, %v", lost, err)
		}
		s.Start(t)
		var lost bool
		eventually(t, func() (ok bool) {
			var err error
			lost, err = m.Look(t.Context())
			return err == nil
		})
		if lost {
			t.Error("a restart with its data counts as a loss")
		}
	})
}
