package api_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/api"
	"rollcall/internal/enqueue"
	"rollcall/internal/handler"
	"rollcall/internal/lane"
	"rollcall/internal/ledger"
	"rollcall/internal/pace"
	"rollcall/internal/redisdb"
	"rollcall/internal/redistest"
	"rollcall/internal/run"
	"rollcall/internal/sandbox"
	"rollcall/internal/secret"
	"rollcall/internal/sweep"
	"rollcall/providers/dingtalk"
	"rollcall/tasks"
)

// school is an organisation with a chat of n members, u1 to un.
func school(n int) sandbox.World {
	org := sandbox.Organisation{Name: organisation, Apps: []sandbox.App{{Key: "ding-lakeside", Secret: "sesame"}}, Quota: -1}
	chat := sandbox.Chat{ID: "chat1", Name: "Class 1", Owner: "u1"}
	for i := 1; i <= n; i++ {
		id := fmt.Sprintf("u%d", i)
		org.Employees = append(org.Employees, sandbox.Employee{UserID: id, EnterpriseAccount: true})
		chat.Members = append(chat.Members, sandbox.Member{UserID: id})
	}
	org.Chats = []sandbox.Chat{chat}
	return sandbox.World{Organisations: []sandbox.Organisation{org}}
}

// work starts a worker for the nicknames of the tenant, against a platform with some
// members.
func (r *rig) work(members int) {
	r.t.Helper()
	t := r.t
	box, err := sandbox.New(sandbox.Config{World: school(members), Limits: sandbox.Limits{
		Windows: map[string][]sandbox.Window{sandbox.APIGroupNick: {}}, MonthlyQuota: -1, Address: sandbox.Window{Calls: -1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	platform := httptest.NewServer(box)
	t.Cleanup(platform.Close)
	t.Cleanup(box.Close)
	client, err := dingtalk.New(dingtalk.Config{
		Tenant: tenant, AppKey: "ding-lakeside", AppSecret: secret.New("sesame"), API: platform.URL, OAPI: platform.URL, Timeout: 5 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(r.log, nil))
	rdb := r.redis.Client(t)
	shared := redisdb.NewAutopipeline(rdb)
	book := ledger.NewShared(rdb, shared)
	set := lane.NewSet(rdb, shared, book, "worker", log)
	env := handler.Env{Organisation: organisation, Tenant: tenant, Ledger: book, Deadline: lane.Deadline(5 * time.Second)}
	set.Add(lane.Config{
		Organisation: organisation, Tenant: tenant, Platform: "dingtalk", Kind: tasks.KindNickname, Timeout: 5 * time.Second, Metered: true,
		Limits: []pace.Limit{{Calls: 500, Per: time.Second}},
	}, handler.Nickname(env, client))
	watcher := run.NewWatcher(rdb, log)
	set.SetRuns(watcher)
	if err := set.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	feeding, err := enqueue.New(enqueue.Config{Redis: &redis.UniversalOptions{Addrs: []string{r.redis.Addr}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	feeder := run.NewFeeder(run.FeederConfig{Service: run.New(run.Config{Redis: rdb, Ledger: book}), Producer: feeding, Log: log})
	var running sync.WaitGroup
	running.Go(func() { watcher.Run(ctx) })
	sweeper := sweep.New(sweep.Config{Redis: rdb, Ledger: book, Lanes: set, Log: log, Rescue: []string{run.Queue}})
	running.Go(func() { sweeper.Run(ctx) })
	running.Go(func() {
		if err := feeder.Run(ctx); err != nil {
			t.Errorf("feeder: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		set.Stop()
		running.Wait()
		client.Close()
		_ = feeding.Close()
	})
}

// until waits until a run has a state, with the waiting query.
func (r *rig) until(token, id string, state run.State) api.Run {
	r.t.Helper()
	last := as[api.Run](r.t, r.want(r.get(token, "/v1/runs/"+id), http.StatusOK))
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if last.State == state {
			return last
		}
		if last.State.Ended() {
			break
		}
		last = as[api.Run](r.t, r.want(r.get(token, fmt.Sprintf("/v1/runs/%s?while=%s&wait=10", id, last.State)), http.StatusOK))
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
		id := as[api.Run](t, made).ID
		if made.Header.Get("Location") != "/v1/runs/"+id {
			t.Errorf("Location %q", made.Header.Get("Location"))
		}
		plan := r.plan(producer, id)
		if plan.Run.State != run.StatePlanned || plan.Run.Plan.Counts[run.RowNew] != 30 || len(plan.Rows) != 30 {
			t.Fatalf("%+v", plan.Run)
		}
		applied := as[api.Run](t, r.want(r.post(producer, "/v1/runs/"+id+"/apply", `{"digest":"`+plan.Run.Plan.Digest+`"}`), http.StatusOK))
		if applied.State != run.StateCanary || applied.By != "token:producer" {
			t.Fatalf("%+v", applied)
		}
		ended := r.until(producer, id, run.StateDone)
		if ended.Outcomes[run.OutcomeApplied] != 30 {
			t.Fatalf("%v", ended.Outcomes)
		}
		page := as[api.ResultPage](t, r.want(r.get(producer, "/v1/runs/"+id+"/results?limit=20"), http.StatusOK))
		if len(page.Rows) != 20 || page.Next != 20 || page.Rows[0].Outcome != run.OutcomeApplied || page.Rows[0].RequestID == "" {
			t.Fatalf("%+v", page)
		}
		rest := as[api.ResultPage](t, r.want(r.get(producer, "/v1/runs/"+id+"/results?limit=20&after=20"), http.StatusOK))
		if len(rest.Rows) != 10 || rest.Next != 0 || rest.Rows[0].Row != 21 {
			t.Fatalf("%+v", rest)
		}
	})
}
