package monitor_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/demo"
	"rollcall/internal/enqueue"
	"rollcall/internal/handler"
	"rollcall/internal/kinds"
	"rollcall/internal/lane"
	"rollcall/internal/ledger"
	"rollcall/internal/logging"
	"rollcall/internal/logtest"
	"rollcall/internal/metrics"
	"rollcall/internal/pace"
	"rollcall/internal/redisdb"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	"rollcall/internal/sandbox"
	"rollcall/internal/secret"
	"rollcall/internal/sweep"
	"rollcall/providers/classin"
	"rollcall/providers/dingtalk"
	"rollcall/tasks"
)

const (
	redisPassword  = "redis-Pa55word"
	wrongAppSecret = "an-app-secret-that-was-withdrawn"
	wrongTenant    = "withdrawn-dt"
	// rawMessage is not an asynq task. A stand-in keeps it in base64.
	rawMessage = `{"name":"Raw Message"}`
)

// world is a worker's parts, connected as in the worker, and the servers it uses.
type world struct {
	t         *testing.T
	rdb       redis.UniversalClient
	options   *redis.UniversalOptions
	lanes     *lane.Set
	sweeper   *sweep.Sweeper
	metrics   *metrics.Metrics
	inspector *asynq.Inspector
	seen      *observed

	log, openLog logtest.Buffer
}

func newWorld(t *testing.T, s *redistest.Server) *world {
	t.Helper()
	if err := s.Client(t).ConfigSet(t.Context(), "requirepass", redisPassword).Err(); err != nil {
		if s.Mini == nil {
			t.Fatal(err)
		}
		s.Mini.RequireAuth(redisPassword) // miniredis does not support CONFIG
	}
	w := &world{t: t}
	var err error
	w.options, err = redisdb.Config{URL: secret.New("redis://:" + redisPassword + "@" + s.Addr + "/0")}.Options()
	if err != nil {
		t.Fatal(err)
	}
	w.rdb = w.client()
	w.inspector = asynq.NewInspectorFromRedisClient(w.rdb)

	platforms, err := sandbox.New(sandbox.Config{World: demo.World(time.Now()), Scenario: demo.Scenario(), Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(platforms.Close)
	w.seen = &observed{next: platforms, words: map[string]bool{}}
	listening := httptest.NewServer(w.seen)
	t.Cleanup(listening.Close)

	log := slog.New(slog.NewMultiHandler(
		logging.Config{Format: "json", Level: slog.LevelDebug}.Logger(&w.log).Handler(),
		logging.Config{Format: "text", Level: slog.LevelDebug, ShowPersonalData: true}.Logger(&w.openLog).Handler()))
	record := ledger.New(w.rdb)
	w.lanes = lane.NewSet(w.rdb, redisdb.NewAutopipeline(w.rdb), record, "worker", log)
	w.addDingTalk(record, listening.URL, demo.DingTalk, demo.AppSecret)
	w.addDingTalk(record, listening.URL, wrongTenant, wrongAppSecret)
	school, err := classin.New(classin.Config{
		Tenant: demo.ClassIn, SID: demo.SID, Secret: secret.New(demo.Secret), BaseURL: listening.URL, Timeout: 5 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(school.Close)
	w.add(record, demo.ClassIn, "classin", tasks.KindCourse, 3, func(e handler.Env) handler.Func { return handler.Course(e, school) })
	w.add(record, demo.ClassIn, "classin", tasks.KindStudent, 3, func(e handler.Env) handler.Func { return handler.Student(e, school) })
	w.metrics = metrics.New(metrics.Config{
		Lanes: w.lanes.Lanes(), Redis: w.rdb, Codes: append(dingtalk.Codes(), classin.Codes()...),
	})
	w.lanes.Observe(w.metrics)
	w.sweeper = sweep.New(sweep.Config{Redis: w.rdb, Ledger: record, Lanes: w.lanes, Observer: w.metrics, Log: log})
	return w
}

func (w *world) client() redis.UniversalClient {
	client := redis.NewUniversalClient(w.options)
	w.t.Cleanup(func() {
		if err := client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
			w.t.Error(err)
		}
	})
	return client
}

func (w *world) addDingTalk(record *ledger.Ledger, address, tenant, appSecret string) {
	w.t.Helper()
	app, err := dingtalk.New(dingtalk.Config{
		Tenant: tenant, AppKey: demo.AppKey, AppSecret: secret.New(appSecret), API: address, OAPI: address, Timeout: 5 * time.Second,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(app.Close)
	w.add(record, tenant, "dingtalk", tasks.KindNickname, 20, func(e handler.Env) handler.Func { return handler.Nickname(e, app) })
	w.add(record, tenant, "dingtalk", tasks.KindGroup, 20, func(e handler.Env) handler.Func { return handler.Group(e, app) })
	w.add(record, tenant, "dingtalk", tasks.KindID, 20, func(e handler.Env) handler.Func { return handler.ID(e, app) })
}

func (w *world) add(record *ledger.Ledger, tenant, platform string, kind tasks.Kind, calls int, build func(handler.Env) handler.Func) {
	w.lanes.Add(lane.Config{
		Organisation: demo.Organisation, Tenant: tenant, Platform: platform, Kind: kind,
		Limits: []pace.Limit{{Calls: calls, Per: time.Second}}, Timeout: 5 * time.Second,
	}, build(handler.Env{Organisation: demo.Organisation, Tenant: tenant, Ledger: record, Deadline: lane.Deadline(5 * time.Second)}))
}

// enqueue stores the requests, one for the tenant that is refused, and messages that no
// producer of rollcall would write.
func (w *world) enqueue(requests []tasks.Request) {
	w.t.Helper()
	served := make([]registry.Lane, 0, len(w.lanes.Lanes()))
	for _, l := range w.lanes.Lanes() {
		served = append(served, registry.Lane{Organisation: l.Organisation, Tenant: l.Tenant, Kind: l.Kind})
	}
	if err := registry.Publish(w.t.Context(), w.rdb, served); err != nil {
		w.t.Fatal(err)
	}
	client, err := enqueue.New(enqueue.Config{Redis: w.options})
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	refused := tasks.Request{Task: tasks.NicknameSync{Tenant: wrongTenant, ChatID: "chat1", UserID: "u1", Nickname: "Somebody Refused"}}
	for _, result := range client.EnqueueAll(w.t.Context(), append([]tasks.Request{refused}, requests...)) {
		if result.Err != nil {
			w.t.Fatal(result.Err)
		}
	}
	queue := registry.Queue(demo.DingTalk, tasks.KindNickname, false)
	foreign := asynq.NewClientFromRedisClient(w.rdb)
	for typename, payload := range map[string]string{
		kinds.TypeNicknameSync: `{"v":1,"rev":1,"nickname":"Unknown Field","nick":"Unknown Field"}`,
		kinds.TypeGroupUpdate:  `{"v":1,"rev":1,"name":"Misplaced Group"}`,
		"somebody:else":        `{"name":"Foreign Type"}`,
	} {
		if _, err := foreign.Enqueue(asynq.NewTask(typename, []byte(payload)), asynq.Queue(queue), asynq.MaxRetry(1<<20)); err != nil {
			w.t.Fatal(err)
		}
	}
	err = errors.Join(
		w.rdb.HSet(w.t.Context(), "asynq:{"+queue+"}:t:raw", "msg", rawMessage, "state", "pending").Err(),
		w.rdb.LPush(w.t.Context(), "asynq:{"+queue+"}:pending", "raw").Err())
	if err != nil {
		w.t.Fatal(err)
	}
}

// work runs the lanes until only three tasks are left: that of the refused tenant,
// which waits in its queue, and two ID changes with unknown outcome, which wait for
// minutes.
func (w *world) work() {
	w.t.Helper()
	if err := w.lanes.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	sweeping, stopSweep := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { w.sweeper.Run(sweeping) })
	defer func() {
		stopSweep()
		wg.Wait()
		w.lanes.Stop()
	}()
	// One check runs two scripts for each of fourteen queues.
	patience, tick := time.After(2*time.Minute), time.NewTicker(500*time.Millisecond)
	defer tick.Stop()
	for {
		left, waiting, retried, archived := 0, 0, 0, 0
		for _, l := range w.lanes.Lanes() {
			for _, urgent := range []bool{true, false} {
				info, err := w.inspector.GetQueueInfo(registry.Queue(l.Tenant, l.Kind, urgent))
				if err != nil {
					continue // not yet, or a raw message that asynq cannot count
				}
				left += info.Pending + info.Active + info.Retry + info.Scheduled
				waiting += info.Pending
				if l.Kind == tasks.KindID {
					retried += info.Retry
				}
				archived += info.Archived
			}
		}
		if left == 3 && waiting == 1 && retried == 2 && archived > 4 && strings.Contains(w.log.String(), "on hold: ") {
			return
		}
		select {
		case <-patience:
			w.t.Fatalf("%d tasks are left", left)
		case <-tick.C:
		}
	}
}

// observed is a proxy before the platforms that records the tokens and signatures.
type observed struct {
	next http.Handler

	mu    sync.Mutex
	words map[string]bool
}

func (o *observed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // cancelled, as some are in this test
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	form, _ := url.ParseQuery(string(body)) // a JSON body has no safeKey
	o.mu.Lock()
	for _, word := range []string{
		r.URL.Query().Get("access_token"), r.Header.Get("X-Acs-Dingtalk-Access-Token"), form.Get("safeKey"),
	} {
		if word != "" {
			o.words[word] = true
		}
	}
	o.mu.Unlock()
	o.next.ServeHTTP(w, r)
}

func (o *observed) tokens() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []string
	for word := range o.words {
		all = append(all, word)
	}
	return all
}
