package enqueue_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/enqueue"
	"rollcall/internal/redistest"
	"rollcall/tasks"
)

// patient are options that a busy machine does not exceed.
func patient(addr string) *redis.UniversalOptions {
	return &redis.UniversalOptions{Addrs: []string{addr}, DialTimeout: time.Minute, ReadTimeout: time.Minute, WriteTimeout: time.Minute, PoolTimeout: time.Minute}
}

// The clock panics once, in some step of some request.
func TestAPanicInOneRequestIsTheErrorOfThatRequest(t *testing.T) {
	t.Parallel()
	const n, together = 130, 64
	for _, at := range []int64{1, 2, 100, 200, 300, 390} {
		redistest.Either(t, func(t *testing.T, s *redistest.Server) {
			serve(t, s)
			var calls atomic.Int64
			client, err := enqueue.New(enqueue.Config{Redis: patient(s.Addr), Now: func() time.Time {
				if calls.Add(1) == at {
					panic("a defect")
				}
				return time.Now()
			}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = client.Close() })
			panicked := 0
			for i, r := range client.EnqueueAll(t.Context(), manyNames(n, false)) {
				_, defect := errors.AsType[*enqueue.PanicError](r.Err)
				if defect {
					panicked++
				}
				if stored := r.Outcome == tasks.Stored; stored == defect {
					t.Errorf("call %d, row %d: %+v", at, i, r)
				}
			}
			if panicked == 0 || panicked > together {
				t.Errorf("call %d of %d: %d rows have the panic as their error", at, calls.Load(), panicked)
			}
			if r, err := client.Enqueue(t.Context(), nick("next", "A"), tasks.Options{}); err != nil {
				t.Errorf("the next request: %+v, %v", r, err)
			}
		})
	}
}
