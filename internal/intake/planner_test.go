package intake_test

import (
	"strings"
	"testing"
	"time"

	"rollcall/internal/intake"
	"rollcall/internal/logtest"
	"rollcall/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

func TestAPanicOfAPlanDoesNotEndTheWorker(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		var log logtest.Buffer
		rdb := s.Client(t)
		planner := intake.NewPlanner(nil, rdb, log.Logger()) // without a service
		defer planner.Close()
		if _, err := planner.Await(t.Context(), "r4uso2arutn5qyh5s", time.Minute); err == nil || !strings.Contains(err.Error(), "defect") {
			t.Errorf("the plan ended with %v", err)
		}
		if n := rdb.Exists(t.Context(), "rollcall:api:plan:r4uso2arutn5qyh5s").Val(); n != 0 || len(log.Lines("plan ended by a panic")) != 1 {
			t.Errorf("the lease is kept (%d), or the panic is not logged:\n%s", n, log.String())
		}
	})
}
