// Package schooltest emulates a small school at DingTalk, and starts workers that serve
// its lanes and feed its runs.
//
// For tests alone. It must not know what a test does with them.
package schooltest

import (
	"cmp"
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
	"rollcall/internal/registry"
	"rollcall/internal/run"
	"rollcall/internal/sandbox"
	"rollcall/internal/secret"
	"rollcall/internal/sweep"
	"rollcall/providers/classin"
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
	return sandbox.Config{World: sandbox.World{Organisations: []sandbox.Organisation{org}}, Limits: NoLimits()}
}

// NoLimits are the limits of a platform that has none.
func NoLimits() sandbox.Limits {
	windows := map[string][]sandbox.Window{}
	for _, api := range []string{sandbox.APIGroupNick, sandbox.APIGroupUpdate, sandbox.APIChangeID, sandbox.APIEditStudent, sandbox.APIStudentNick} {
		windows[api] = []sandbox.Window{}
	}
	return sandbox.Limits{Windows: windows, MonthlyQuota: -1, Address: sandbox.Window{Calls: -1}}
}

// Publish lists the lanes of the tenant, and more, as served.
func Publish(t *testing.T, rdb redis.UniversalClient, more ...registry.Lane) {
	t.Helper()
	for _, kind := range []tasks.Kind{tasks.KindNickname, tasks.KindGroup, tasks.KindID} {
		more = append(more, registry.Lane{Organisation: Organisation, Tenant: Tenant, Kind: kind})
	}
	if err := registry.Publish(t.Context(), rdb, more); err != nil {
		t.Fatal(err)
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

// Client returns a client of the platform at a URL. The caller closes it. now is nil or a clock.
func Client(t *testing.T, url string, timeout time.Duration, now func() time.Time) *dingtalk.Client {
	t.Helper()
	client, err := dingtalk.New(dingtalk.Config{
		Tenant: Tenant, AppKey: "ding-lakeside", AppSecret: secret.New("sesame"), API: url, OAPI: url, Timeout: timeout, Now: now,
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
	// Timeout is that of a call. 0: 5 s.
	Timeout time.Duration
	// ResendAfter is when values are sent again. 0: never.
	ResendAfter time.Duration
	// Now is the clock of the platforms. nil: time.Now.
	Now func() time.Time
	// ClassIn is a tenant at ClassIn, of the school 1001, with a lane for students. Empty: none.
	ClassIn string
	// Producer stores the rows that the feeder feeds. Hurry makes its turns follow each
	// other faster; nil: they do not.
	Producer *enqueue.Client
	Hurry    func(*run.Feeder) *run.Feeder
}

// Start starts the worker, and returns its lanes and what stops it. It stops when the test
// ends.
func (w Worker) Start(t *testing.T) (set *lane.Set, stop func()) {
	t.Helper()
	w.Timeout = cmp.Or(w.Timeout, 5*time.Second)
	if w.Limits == nil {
		w.Limits = []pace.Limit{{Calls: 500, Per: time.Second}}
	}
	client := Client(t, w.URL, w.Timeout, w.Now)
	shared := redisdb.NewAutopipeline(w.Redis)
	book := ledger.NewShared(w.Redis, shared)
	set = lane.NewSet(w.Redis, shared, book, "worker", w.Log)
	env := handler.Env{
		Organisation: Organisation, Tenant: Tenant, Ledger: book, Deadline: lane.Deadline(w.Timeout), Landing: w.ResendAfter, Now: w.Now,
	}
	for kind, handle := range map[tasks.Kind]handler.Func{
		tasks.KindNickname: handler.Nickname(env, client), tasks.KindGroup: handler.Group(env, client), tasks.KindID: handler.ID(env, client),
	} {
		set.Add(lane.Config{
			Organisation: Organisation, Tenant: Tenant, Platform: "dingtalk", Kind: kind, Limits: w.Limits, Timeout: w.Timeout,
			Metered: true, Quota: w.Quota, ResendAfter: w.ResendAfter,
		}, handle)
	}
	closeStudents := func() {}
	if w.ClassIn != "" {
		closeStudents = w.addStudents(t, set, env)
	}
	watcher := run.NewWatcher(w.Redis, w.Log)
	set.SetRuns(watcher)
	if err := set.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	feeder := run.NewFeeder(run.FeederConfig{Service: run.New(run.Config{Redis: w.Redis, Ledger: book, Now: w.Now}), Producer: w.Producer, Log: w.Log})
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
		closeStudents()
	})
	t.Cleanup(stop)
	return set, stop
}

// addStudents adds the lane at ClassIn, and returns what closes its client.
func (w Worker) addStudents(t *testing.T, set *lane.Set, env handler.Env) (closed func()) {
	t.Helper()
	client, err := classin.New(classin.Config{
		Tenant: w.ClassIn, SID: "1001", Secret: secret.New("sesame"), BaseURL: w.URL, Timeout: w.Timeout, Now: w.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	env.Tenant = w.ClassIn
	set.Add(lane.Config{
		Organisation: Organisation, Tenant: w.ClassIn, Platform: "classin", Kind: tasks.KindStudent, Limits: w.Limits, Timeout: w.Timeout,
	}, handler.Student(env, client))
	return client.Close
}
