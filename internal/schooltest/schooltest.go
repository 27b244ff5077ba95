// Package schooltest emulates a small school at DingTalk, and starts workers that serve
// its lanes and feed its runs.
//
// For tests alone. It must not know what a test does with them.
package schooltest

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/enqueue"
	"rollcall/internal/handler"
	"rollcall/internal/lane"
	"rollcall/internal/ledger"
	"rollcall/internal/pace"
	"rollcall/internal/redisdb"
	"rollcall/internal/run"
	"rollcall/internal/sandbox"
	"rollcall/internal/secret"
	"rollcall/internal/sweep"
	"rollcall/providers/dingtalk"
	"rollcall/tasks"
)

// The organisation, and its tenant at DingTalk.
const (
	Organisation = "lakeside"
	Tenant       = "lakeside-dt"
)

// Config returns a platform without limits. Its chat1 has the members u1 to un, without
// nicknames.
func Config(members int) sandbox.Config {
	org := sandbox.Organisation{Name: Organisation, Apps: []sandbox.App{{Key: "ding-lakeside", Secret: "sesame"}}, Quota: -1}
	chat := sandbox.Chat{ID: "chat1", Name: "Class 1", Owner: "u1"}
	for i := 1; i <= members; i++ {
		id := fmt.Sprintf("u%d", i)
		org.Employees = append(org.Employees, sandbox.Employee{UserID: id, EnterpriseAccount: true})
		chat.Members = append(chat.Members, sandbox.Member{UserID: id})
	}
	org.Chats = []sandbox.Chat{chat}
	unlimited := map[string][]sandbox.Window{sandbox.APIGroupNick: {}, sandbox.APIGroupUpdate: {}, sandbox.APIChangeID: {}}
	return sandbox.Config{
		World:  sandbox.World{Organisations: []sandbox.Organisation{org}},
		Limits: sandbox.Limits{Windows: unlimited, MonthlyQuota: -1, Address: sandbox.Window{Calls: -1}},
	}
}

// Start serves that platform until the test ends.
func Start(t *testing.T, members int) (box *sandbox.Sandbox, url string) {
	t.Helper()
	box, err := sandbox.New(Config(members))
	if err != nil {
		t.Fatal(err)
	}
	platform := httptest.NewServer(box)
	t.Cleanup(platform.Close)
	t.Cleanup(box.Close)
	return box, platform.URL
}

// Client returns a client of the platform at a URL. The caller closes it.
func Client(t *testing.T, url string, timeout time.Duration) *dingtalk.Client {
	t.Helper()
	client, err := dingtalk.New(dingtalk.Config{
		Tenant: Tenant, AppKey: "ding-lakeside", AppSecret: secret.New("sesame"), API: url, OAPI: url, Timeout: timeout,
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// Worker is a worker with all lanes of the tenant.
type Worker struct {
	URL    string                // of the platform
	Redis  redis.UniversalClient // of this worker alone
	Limits []pace.Limit          // nil: 500 a second
	Quota  pace.Quota
	Log    *slog.Logger
	// Producer stores the rows that the feeder feeds. Hurry makes its turns follow each
	// other faster; nil: they do not.
	Producer *enqueue.Client
	Hurry    func(*run.Feeder) *run.Feeder
}

// Start starts the worker, and returns what stops it. It stops when the test ends.
func (w Worker) Start(t *testing.T) (stop func()) {
	t.Helper()
	const timeout = 5 * time.Second
	if w.Limits == nil {
		w.Limits = []pace.Limit{{Calls: 500, Per: time.Second}}
	}
	client := Client(t, w.URL, timeout)
	shared := redisdb.NewAutopipeline(w.Redis)
	book := ledger.NewShared(w.Redis, shared)
	set := lane.NewSet(w.Redis, shared, book, "worker", w.Log)
	env := handler.Env{Organisation: Organisation, Tenant: Tenant, Ledger: book, Deadline: lane.Deadline(timeout)}
	for kind, handle := range map[tasks.Kind]handler.Func{
		tasks.KindNickname: handler.Nickname(env, client), tasks.KindGroup: handler.Group(env, client), tasks.KindID: handler.ID(env, client),
	} {
		set.Add(lane.Config{
			Organisation: Organisation, Tenant: Tenant, Platform: "dingtalk", Kind: kind, Limits: w.Limits, Timeout: timeout,
			Metered: true, Quota: w.Quota,
		}, handle)
	}
	watcher := run.NewWatcher(w.Redis, w.Log)
	set.SetRuns(watcher)
	if err := set.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	feeder := run.NewFeeder(run.FeederConfig{Service: run.New(run.Config{Redis: w.Redis, Ledger: book}), Producer: w.Producer, Log: w.Log})
	if w.Hurry != nil {
		feeder = w.Hurry(feeder)
	}
	sweeper := sweep.New(sweep.Config{Redis: w.Redis, Ledger: book, Lanes: set, Log: w.Log, Rescue: []string{run.Queue}})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { watcher.Run(ctx) })
	running.Go(func() { sweeper.Run(ctx) })
	running.Go(func() {
		if err := feeder.Run(ctx); err != nil {
			t.Errorf("feeder: %v", err)
		}
	})
	stop = sync.OnceFunc(func() {
		cancel()
		set.Stop()
		running.Wait()
		client.Close()
	})
	t.Cleanup(stop)
	return stop
}
