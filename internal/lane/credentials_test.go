package lane_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"

	"rollcall/internal/handler"
	"rollcall/internal/hold"
	"rollcall/internal/kinds"
	"rollcall/internal/lane"
	"rollcall/internal/lanetest"
	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/internal/secret"
	"rollcall/providers/dingtalk"
	"rollcall/tasks"
)

// app is DingTalk as the workers of one app see it. Each worker has its own path, so
// that the test knows which worker called.
type app struct {
	revoked  atomic.Bool
	secret   atomic.Int64 // incremented with each token that is issued
	renamed  atomic.Int64
	stale    atomic.Int64 // renames with a revoked token
	tokens   [2]atomic.Int64
	refusals [2]atomic.Int64 // token calls that were refused
}

func (a *app) serve(worker int) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/v1.0/oauth2/accessToken", func(w http.ResponseWriter, _ *http.Request) {
		if a.revoked.Load() {
			a.refusals[worker].Add(1)
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprint(w, `{"code":"invalidClientIdOrSecret","requestid":"r-1","message":"no such app"}`)
			return
		}
		a.tokens[worker].Add(1)
		_, _ = fmt.Fprintf(w, `{"accessToken":"token-%d","expireIn":7200}`, a.secret.Load())
	})
	mux.HandleFunc("/topapi/chat/updategroupnick", func(w http.ResponseWriter, r *http.Request) {
		if a.revoked.Load() || r.URL.Query().Get("access_token") != fmt.Sprintf("token-%d", a.secret.Load()) {
			a.stale.Add(1)
			_, _ = fmt.Fprint(w, `{"errcode":40014,"errmsg":"不合法的access_token","request_id":"r-2"}`)
			return
		}
		a.renamed.Add(1)
		_, _ = fmt.Fprint(w, `{"errcode":0,"errmsg":"ok","success":true,"request_id":"r-3"}`)
	})
	return mux
}

// Two workers process a thousand renames (150 under -short) when a person revokes the
// app's secret, and restores it a while later.
func TestRevokedCredentialsCostOneTokenCallPerWorkerAndNoTask(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		renames := lanetest.Few(1000, 150)
		before := renames / 3
		a := &app{}
		var both []*rig
		var done, counted, attempts atomic.Int64
		some := make(chan struct{}, renames)
		for i := range 2 {
			r := newRig(t, s)
			r.Watch.Instead = func(a lane.Attempt) {
				attempts.Add(1)
				if a.Verdict.Counted || a.Verdict.Action == outcome.Dead {
					counted.Add(1)
				}
				if a.Verdict.Action == outcome.Done {
					done.Add(1)
					some <- struct{}{}
				}
			}
			platform := httptest.NewServer(a.serve(i))
			t.Cleanup(platform.Close)
			client, err := dingtalk.New(dingtalk.Config{
				Tenant: "dt", AppKey: "app", AppSecret: secret.New("app-secret"), API: platform.URL, OAPI: platform.URL, Timeout: 5 * time.Second,
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(client.Close)
			r.Set.Add(lane.Config{
				Organisation: "lakeside", Tenant: "dt", Platform: "dingtalk", Kind: tasks.KindNickname, Limits: fast,
				Timeout: 5 * time.Second, Metered: true, Probe: client.CheckToken,
			}, handler.Nickname(handler.Env{
				Organisation: "lakeside", Tenant: "dt", Ledger: ledger.New(r.Redis), Deadline: lane.Deadline(5 * time.Second),
			}, client))
			both = append(both, r)
		}
		var ids []string
		for i := range renames {
			ids = append(ids, both[0].rename(i))
		}
		for _, r := range both {
			r.Start()
		}
		for range before {
			lanetest.Await(t, some, "the first renames")
		}
		a.revoked.Store(true)
		settle(t, both, 0, nicknames)
		left := renames - int(done.Load())
		lanetest.Eventually(t, func() error {
			if n := len(both[0].pending(nicknames)); n != left {
				return fmt.Errorf("%d of %d tasks wait", n, left)
			}
			return nil
		})
		refusals := []int64{a.refusals[0].Load(), a.refusals[1].Load()}
		h := both[0].stored(tenantDT)
		if h.Class != hold.Refused || h.Probe != hold.ByToken {
			t.Errorf("on hold as %+v", h)
		}
		// On a slow machine probes of the hold are due already: each requests a token, too.
		probes := int64(h.Tries)
		if h.Probing != "" {
			probes++
		}
		for i, n := range refusals {
			if n > 1+probes {
				t.Errorf("worker %d had %d token calls refused, with %d probes of both", i, n, probes)
			}
		}
		t.Logf("%d of %d tasks were done when the secret was revoked; %d attempts in total; refused token calls %d and %d",
			done.Load(), renames, attempts.Load(), a.refusals[0].Load(), a.refusals[1].Load())

		a.secret.Add(1)
		a.revoked.Store(false)
		both[1].probeNow(tenantDT)
		for _, id := range ids {
			if info := both[0].Ends(nicknames, id, asynq.TaskStateCompleted); info.Retried != 0 {
				t.Fatalf("task %s lost %d attempts", id, info.Retried)
			}
		}
		if counted.Load() != 0 || a.renamed.Load() != int64(renames) {
			t.Errorf("%d attempts were counted, and %d renames made for %d tasks", counted.Load(), a.renamed.Load(), renames)
		}
		for i := range a.tokens {
			if n := a.tokens[i].Load(); n > 2 {
				t.Errorf("worker %d requested %d tokens and received them", i, n)
			}
		}
		reportedOnce(t, both, "hold.entered tenant dt refused", "hold.left tenant dt refused")
		// The platform answered the tasks with the old token too, and counts those
		// calls.
		lanetest.Eventually(t, func() error {
			m, err := pace.ReadMonths(t.Context(), both[0].Redis, "lakeside")
			if want := int64(renames) + a.stale.Load(); err == nil && m[0].Spent != want {
				err = fmt.Errorf("the month's calls are %d, want %d", m[0].Spent, want)
			}
			return err
		})
	})
}

// rename enqueues the nth of many renames, as a producer does.
func (r *rig) rename(n int) string {
	r.T.Helper()
	task := tasks.NicknameSync{Tenant: "dt", ChatID: fmt.Sprintf("chat%d", n%20), UserID: fmt.Sprintf("user%d", n), Nickname: "Zoë"}
	target, fields := kinds.Change(task, "lakeside")
	book := ledger.New(r.Redis)
	change := ledger.Change{Target: target, Fields: fields, TaskID: uuid.NewString()}
	revised := book.Revise(r.T.Context(), change)[0]
	typename, payload, encodeErr := kinds.Encode(task, revised.Revision)
	storedErr := book.Stored(r.T.Context(), ledger.Open{
		Change: change, Revision: revised.Revision, Queue: nicknames, Type: typename, Payload: payload,
	})
	if err := errors.Join(revised.Err, storedErr, encodeErr); err != nil {
		r.T.Fatal(err)
	}
	_, err := r.Client.EnqueueContext(r.T.Context(), asynq.NewTask(typename, payload), asynq.TaskID(change.TaskID),
		asynq.Queue(nicknames), asynq.MaxRetry(1<<20), asynq.Retention(time.Hour))
	if err != nil {
		r.T.Fatal(err)
	}
	return change.TaskID
}
