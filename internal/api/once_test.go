package api_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"rollcall/internal/api"
	"rollcall/internal/logtest"
	"rollcall/internal/redistest"
)

const oneTask = `{"kind":"nickname","tenant":"lakeside-dt","chat_id":"chat1","user_id":"u1","nickname":"王芳"}`

func (r *rig) keyed(path, key, kind, body string) answer {
	r.t.Helper()
	return r.do(call{method: http.MethodPost, path: path, token: producer, kind: kind, body: body, headers: map[string]string{"Idempotency-Key": key}})
}

func TestARequestWithAKeyIsCarriedOutOnce(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s, options{})
		first := r.want(r.keyed("/v1/tasks", "a", "", oneTask), http.StatusCreated)
		again := r.want(r.keyed("/v1/tasks", "a", "", oneTask), http.StatusCreated)
		if as[api.Stored](t, first) != as[api.Stored](t, again) || again.Header.Get("Idempotency-Replayed") != "true" || first.Header.Get("Idempotency-Replayed") != "" {
			t.Errorf("%s\n%s", first.body, again.body)
		}
		r.problem(r.keyed("/v1/tasks", "a", "", `{"kind":"nickname","tenant":"lakeside-dt","chat_id":"chat1","user_id":"u2","nickname":"王芳"}`), "key-reused")
		r.problem(r.keyed("/v1/tasks", "b", "", `{"kind":"nickname","tenant":"lakeside-dt"}`), "invalid-rows")
		r.want(r.keyed("/v1/tasks", "b", "", oneTask), http.StatusCreated) // the refused request stored nothing
		pending, err := s.Client(t).LLen(t.Context(), "asynq:{lakeside-dt.nickname}:pending").Result()
		if err != nil || pending != 2 {
			t.Errorf("%d tasks, %v", pending, err)
		}
	})
}

func TestADamagedRecordOfAKeyIsNoInternalError(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.Mini(t), options{})
	r.want(r.keyed("/v1/tasks", "a", "", oneTask), http.StatusCreated)
	keys, err := r.rdb.Keys(t.Context(), "rollcall:api:key:producer:*").Result()
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	for _, damage := range []func() error{
		func() error { return r.rdb.Set(t.Context(), keys[0], "oops", 0).Err() },
		func() error { return r.rdb.LPush(t.Context(), keys[0], "oops").Err() },
	} {
		if err := errors.Join(r.rdb.Del(t.Context(), keys[0]).Err(), damage()); err != nil {
			t.Fatal(err)
		}
		if a := r.keyed("/v1/tasks", "a", "", oneTask); r.problem(a, "damaged").Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
			t.Errorf("%s %v", a.body, a.Header)
		}
	}
}

// A worker that dies between storing a task and remembering its answer leaves the key of
// the task, which is derived from that of the request.
func TestATaskIsStoredOnceAlsoIfItsAnswerWasNotRemembered(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.Mini(t), options{})
	r.want(r.keyed("/v1/tasks", "a", "", oneTask), http.StatusCreated)
	keys, err := r.rdb.Keys(t.Context(), "rollcall:api:key:producer:*").Result()
	if err != nil || len(keys) != 1 || r.rdb.Del(t.Context(), keys[0]).Err() != nil {
		t.Fatal(keys, err)
	}
	again := as[api.Stored](t, r.want(r.keyed("/v1/tasks", "a", "", oneTask), http.StatusOK))
	if again.Outcome != "already_there" {
		t.Errorf("%+v", again)
	}
}

func TestConcurrentRequestsWithOneKeyMakeOneRun(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s, options{})
		body := nicknames(1, 300)
		var mu sync.Mutex
		ids := map[string]bool{}
		var sending sync.WaitGroup
		for range 12 {
			sending.Go(func() {
				a := r.keyed("/v1/runs", "term", "application/x-ndjson", body)
				mu.Lock()
				defer mu.Unlock()
				switch a.StatusCode {
				case http.StatusCreated:
					ids[as[api.Run](t, a).ID] = true
				case http.StatusTooManyRequests: // more uploads than may be read at once
				default:
					r.problem(a, "key-in-use")
					if a.Header.Get("Retry-After") == "" {
						t.Error("no Retry-After")
					}
				}
			})
		}
		sending.Wait()
		last := as[api.Run](t, r.want(r.keyed("/v1/runs", "term", "application/x-ndjson", body), http.StatusCreated))
		ids[last.ID] = true
		page := as[api.RunPage](t, r.get(producer, "/v1/runs"))
		if len(ids) != 1 || len(page.Runs) != 1 {
			t.Errorf("%v; %d runs", ids, len(page.Runs))
		}
	})
}

func TestAKeyIsFreeAgainAfterAPanicOfItsRequest(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		func() {
			defer func() { _ = recover() }()
			_, _, _ = api.CarryOut(t.Context(), rdb, "grades", "k", func() (*string, error) { panic("a defect") })
		}()
		done := "done"
		out, replayed, err := api.CarryOut(t.Context(), rdb, "grades", "k", func() (*string, error) { return &done, nil })
		if err != nil || replayed || out == nil || *out != done {
			t.Errorf("the request that was sent again: %v, replayed %t, %v", out, replayed, err)
		}
	})
}

func TestAPanicOfAPlanDoesNotEndTheWorker(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		var log logtest.Buffer
		rdb := s.Client(t)
		if err := api.PlanWithoutService(t.Context(), rdb, log.Logger()); err == nil || !strings.Contains(err.Error(), "defect") {
			t.Errorf("the plan ended with %v", err)
		}
		if n := rdb.Exists(t.Context(), "rollcall:api:plan:r4uso2arutn5qyh5s").Val(); n != 0 || len(log.Lines("plan ended by a panic")) != 1 {
			t.Errorf("the lease is kept (%d), or the panic is not logged:\n%s", n, log.String())
		}
	})
}
