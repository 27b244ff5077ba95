package redisdb_test

import (
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
