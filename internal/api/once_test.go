package api_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"rollcall/internal/api"
	"rollcall/internal/redistest"
	"rollcall/internal/wire"
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
		if as[wire.Stored](t, first) != as[wire.Stored](t, again) || again.Header.Get("Idempotency-Replayed") != "true" || first.Header.Get("Idempotency-Replayed") != "" {
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

// Headers of some clients are Latin-1.
func TestKeysThatAreNoUTF8AreDifferentKeys(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), options{})
	for _, key := range []string{"Sch\xfcler-1", "Sch\xfcler-2", "Sch\xe4ler-1"} {
		a := r.do(call{method: http.MethodPost, path: "/v1/tasks", token: producer, body: oneTask, headers: map[string]string{"Idempotency-Key": key}, odd: true})
		if stored := as[wire.Stored](t, r.want(a, http.StatusCreated)); stored.Outcome != "stored" {
			t.Errorf("%q: %+v", key, stored)
		}
	}
}

func TestADamagedRecordOfAKeyIsNoInternalError(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), options{})
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
	r := newRig(t, redistest.One(t), options{})
	r.want(r.keyed("/v1/tasks", "a", "", oneTask), http.StatusCreated)
	keys, err := r.rdb.Keys(t.Context(), "rollcall:api:key:producer:*").Result()
	if err != nil || len(keys) != 1 || r.rdb.Del(t.Context(), keys[0]).Err() != nil {
		t.Fatal(keys, err)
	}
	again := as[wire.Stored](t, r.want(r.keyed("/v1/tasks", "a", "", oneTask), http.StatusOK))
	if again.Outcome != "already_there" {
		t.Errorf("%+v", again)
	}
}

// A worker may die between making a run and remembering its answer.
func TestARunIsMadeOnceAlsoIfItsAnswerWasNotRemembered(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s, options{})
		forget := func() { // the answers, which are JSON; not the ids of runs
			keys, err := r.rdb.Keys(t.Context(), "rollcall:api:key:producer:*").Result()
			if err != nil {
				t.Fatal(err)
			}
			for _, key := range keys {
				if held, err := r.rdb.Get(t.Context(), key).Result(); err != nil || strings.HasPrefix(held, "{") && r.rdb.Del(t.Context(), key).Err() != nil {
					t.Fatal(held, err)
				}
			}
		}
		twice := func(path, kind, body string) wire.Run {
			first := as[wire.Run](t, r.want(r.keyed(path, "a", kind, body), http.StatusCreated))
			forget()
			again := as[wire.Run](t, r.want(r.keyed(path, "a", kind, body), http.StatusCreated))
			if again.ID != first.ID || again.Rows != first.Rows || !again.Created.Equal(first.Created) {
				t.Errorf("%s: %+v, again %+v", path, first, again)
			}
			forget()
			return again
		}
		twice("/v1/runs", "", "")
		made := twice("/v1/runs", "application/x-ndjson", nicknames(1, 300))
		if plan := r.plan(producer, made.ID); plan.Run.Rows != 300 || plan.Run.Plan.Counts["new"] != 300 {
			t.Errorf("%+v", plan.Run)
		}
		r.want(r.post(producer, "/v1/runs/"+made.ID+"/apply", `{"digest":"`+r.plan(producer, made.ID).Run.Plan.Digest+`"}`), http.StatusOK)
		r.want(r.post(producer, "/v1/runs/"+made.ID+"/cancel", "{}"), http.StatusOK)
		twice("/v1/runs/"+made.ID+"/undo", "", "")
		if page := as[wire.RunPage](t, r.get(producer, "/v1/runs")); len(page.Runs) != 3 {
			t.Errorf("%d runs", len(page.Runs))
		}
	})
}

// A request that failed while its rows were stored continues when it is repeated.
func TestARequestThatIsRepeatedContinuesItsRun(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		var fails atomic.Bool
		proxy := redistest.NewProxy(t, s.Addr, func(request []byte) redistest.Fault {
			if strings.Contains(string(request), ":rows:16") && fails.Load() {
				return redistest.Refuse
			}
			return redistest.Pass
		}, nil)
		r := newRig(t, &redistest.Server{Addr: proxy.Addr()}, options{})
		rows := nicknames(1, 5000)
		fails.Store(true)
		if a := r.keyed("/v1/runs", "a", "application/x-ndjson", rows); a.StatusCode < http.StatusInternalServerError {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		fails.Store(false)
		left := as[wire.RunPage](t, r.get(producer, "/v1/runs")).Runs
		made := as[wire.Run](t, r.want(r.keyed("/v1/runs", "a", "application/x-ndjson", rows), http.StatusCreated))
		if len(left) != 1 || left[0].Rows != 4096 || made.ID != left[0].ID || made.Rows != 5000 || !made.Sealed {
			t.Errorf("%+v\n%+v", left, made)
		}
	})
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
					ids[as[wire.Run](t, a).ID] = true
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
		last := as[wire.Run](t, r.want(r.keyed("/v1/runs", "term", "application/x-ndjson", body), http.StatusCreated))
		ids[last.ID] = true
		page := as[wire.RunPage](t, r.get(producer, "/v1/runs"))
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

func TestAKeyIsTakenAlsoIfTheAnswerOfRedisWasLost(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		var lost atomic.Bool
		proxy := redistest.NewProxy(t, s.Addr, func(request []byte) redistest.Fault {
			if strings.Contains(string(request), "rollcall:api:key:") && lost.CompareAndSwap(false, true) {
				return redistest.LoseReply
			}
			return redistest.Pass
		}, nil)
		r := newRig(t, &redistest.Server{Addr: proxy.Addr()}, options{})
		r.want(r.keyed("/v1/tasks", "a", "", oneTask), http.StatusCreated)
		if !lost.Load() {
			t.Error("no answer was lost")
		}
	})
}
