package api_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/enqueue"
	"rollcall/internal/redistest"
	"rollcall/internal/run"
	"rollcall/internal/schooltest"
	"rollcall/internal/wire"
)

// work starts a worker for the tenant, against a platform with some members.
func (r *rig) work(members int) {
	r.t.Helper()
	producer, err := enqueue.New(enqueue.Config{Redis: &redis.UniversalOptions{Addrs: []string{r.redis.Addr}}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = producer.Close() })
	_, url := schooltest.Start(r.t, members)
	schooltest.Worker{URL: url, Redis: r.redis.Client(r.t), Log: slog.New(slog.NewTextHandler(r.log, nil)), Producer: producer}.Start(r.t)
}

// until waits until a run has a state, with the waiting query.
func (r *rig) until(token, id string, state run.State) wire.Run {
	r.t.Helper()
	last := as[wire.Run](r.t, r.want(r.get(token, "/v1/runs/"+id), http.StatusOK))
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if last.State == state {
			return last
		}
		if last.State.Ended() {
			break
		}
		last = as[wire.Run](r.t, r.want(r.get(token, fmt.Sprintf("/v1/runs/%s?while=%s&wait=10", id, last.State)), http.StatusOK))
	}
	r.t.Fatalf("run %s is %s (%s), want %s", id, last.State, last.Reason, state)
	panic("unreachable")
}

func TestAServiceUploadsAppliesAndReadsResults(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s, options{})
		r.work(30)
		made := r.want(r.upload(producer, "/v1/runs?name=term&canary=5", nicknames(1, 30)), http.StatusCreated)
		id := as[wire.Run](t, made).ID
		if made.Header.Get("Location") != "/v1/runs/"+id {
			t.Errorf("Location %q", made.Header.Get("Location"))
		}
		plan := r.plan(producer, id)
		if plan.Run.State != run.StatePlanned || plan.Run.Plan.Counts[run.RowNew] != 30 || len(plan.Rows) != 30 {
			t.Fatalf("%+v", plan.Run)
		}
		applied := as[wire.Run](t, r.want(r.post(producer, "/v1/runs/"+id+"/apply", `{"digest":"`+plan.Run.Plan.Digest+`"}`), http.StatusOK))
		if applied.State != run.StateCanary || applied.By != "token:producer" {
			t.Fatalf("%+v", applied)
		}
		ended := r.until(producer, id, run.StateDone)
		if ended.Outcomes[run.OutcomeApplied] != 30 {
			t.Fatalf("%v", ended.Outcomes)
		}
		page := as[wire.ResultPage](t, r.want(r.get(producer, "/v1/runs/"+id+"/results?limit=20"), http.StatusOK))
		if len(page.Rows) != 20 || page.Next != 20 || page.Rows[0].Outcome != run.OutcomeApplied || page.Rows[0].RequestID == "" {
			t.Fatalf("%+v", page)
		}
		rest := as[wire.ResultPage](t, r.want(r.get(producer, "/v1/runs/"+id+"/results?limit=20&after=20"), http.StatusOK))
		if len(rest.Rows) != 10 || rest.Next != 0 || rest.Rows[0].Row != 21 {
			t.Fatalf("%+v", rest)
		}
	})
}
