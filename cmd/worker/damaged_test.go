package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/config"
	"rollcall/internal/damage"
	"rollcall/internal/demo"
	"rollcall/internal/enqueue"
	"rollcall/internal/hold"
	"rollcall/internal/ledger"
	"rollcall/internal/logtest"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	runs "rollcall/internal/run"
	"rollcall/internal/sandbox"
	"rollcall/tasks"
)

const damagedConfig = `
redis: {url: %q}
http: {listen: "off"}
organisations:
  - name: lakeside
    tenants:
      - {name: lakeside-dingtalk, dingtalk: {api: %[2]q, oapi: %[2]q, app_key: dingdemo, app_secret: {env: APP_SECRET}}}
      - {name: lakeside-classin, classin: {base_url: %[2]q, sid: "1000082", secret: {env: SCHOOL_SECRET}}}
schedules: [{name: nightly, cron: 30 2 * * *, courses: {tenant: lakeside-classin, ids: ["561290"]}}]
`

// spoiltRedis is a Redis with damaged keys, a platform, and a worker.
type spoiltRedis struct {
	t         *testing.T
	server    *redistest.Server
	rdb       redis.UniversalClient
	platforms *sandbox.Sandbox
	log       *logtest.Buffer
	ready     chan ready
}

func newSpoiltRedis(t *testing.T, s *redistest.Server) *spoiltRedis {
	t.Helper()
	r := &spoiltRedis{t: t, server: s, rdb: s.Client(t), log: &logtest.Buffer{}, ready: make(chan ready, 1)}
	var err error
	if r.platforms, err = sandbox.New(sandbox.Config{World: demo.World(testStart), Seed: 1}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.platforms.Close)
	return r
}

// rename enqueues a nickname. The list of lanes must be there.
func (r *spoiltRedis) rename(name string) {
	r.t.Helper()
	client, err := enqueue.New(enqueue.Config{Redis: &redis.UniversalOptions{Addrs: []string{r.server.Addr}}})
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	task := tasks.NicknameSync{Tenant: "lakeside-dingtalk", ChatID: "chat7Af3929", UserID: "u001", Nickname: name}
	if _, err := client.Enqueue(r.t.Context(), task, tasks.Options{}); err != nil {
		r.t.Errorf("enqueue: %v", err)
	}
}

func (r *spoiltRedis) replace(k ledger.KeyType) {
	r.t.Helper()
	ctx := r.t.Context()
	r.rdb.Del(ctx, k.Key)
	err := r.rdb.Set(ctx, k.Key, "written by another program", 0).Err()
	if k.Type == "string" {
		r.rdb.Del(ctx, k.Key)
		err = r.rdb.HSet(ctx, k.Key, "written", "by another program").Err()
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// work starts a worker, which ends with the test.
func (r *spoiltRedis) work() {
	r.t.Helper()
	listening := httptest.NewServer(r.platforms)
	r.t.Cleanup(listening.Close)
	secrets := map[string]string{"APP_SECRET": demo.AppSecret, "SCHOOL_SECRET": demo.Secret}
	cfg, err := config.Parse("damaged", fmt.Appendf(nil, damagedConfig, "redis://"+r.server.Addr, listening.URL), func(name string) string { return secrets[name] })
	if err != nil {
		r.t.Fatal(err)
	}
	w, err := newWorker(r.t.Context(), cfg, slog.New(slog.NewTextHandler(r.log, nil)), new(slog.LevelVar))
	if err != nil {
		r.t.Fatal(err)
	}
	running, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.run(running, runtime{started: func(at ready) { r.ready <- at }}) }()
	r.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			r.t.Errorf("the worker: %v", err)
		}
	})
}

func (r *spoiltRedis) until(what string, is func() bool) {
	r.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !is() {
		select {
		case <-late:
			r.t.Fatalf("%s: never\n%s", what, r.log)
		case <-tick.C:
		}
	}
}

func (r *spoiltRedis) has(name string) func() bool {
	return func() bool {
		for _, e := range r.platforms.Effects() {
			for _, c := range e.Changes {
				if c.New == name {
					return true
				}
			}
		}
		return false
	}
}

func (r *spoiltRedis) named(key string) func() bool {
	return func() bool { return len(r.log.Lines(key)) > 0 }
}

// needed are the keys without which a worker does not start: it cannot know what is on
// hold, nor whether it is too old.
var needed = []string{hold.Key, ledger.SchemaKey}

// Every key that all lanes share has another type before the worker starts.
func TestSharedKeysOfAnotherTypeStopNoLaneAndAreNamedAndRepaired(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the checks of keys: make test-long")
	}
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newSpoiltRedis(t, s)
		lane := registry.Lane{Organisation: "lakeside", Tenant: "lakeside-dingtalk", Kind: tasks.KindNickname}
		if err := registry.Publish(t.Context(), r.rdb, []registry.Lane{lane}); err != nil {
			t.Fatal(err)
		}
		r.rename("before")
		keys := append(damage.SharedKeys(), ledger.KeyType{Key: "rollcall:runs", Type: "zset"}, ledger.KeyType{Key: "rollcall:runs:applied", Type: "set"})
		for _, k := range keys {
			if k.Key != needed[0] && k.Key != needed[1] {
				r.replace(k)
			}
		}
		r.work()
		r.until("the worker is ready", func() bool { return len(r.ready) > 0 })
		r.until("the task is applied", r.has("before"))
		for _, k := range keys {
			if k.Key != needed[0] && k.Key != needed[1] {
				r.until(k.Key+" is named", r.named(k.Key))
			}
		}
		record := ledger.New(r.rdb)
		service := runs.New(runs.Config{Redis: r.rdb, Ledger: record})
		found, err := damage.Shared(t.Context(), r.rdb)
		ofRuns, failed := service.InspectShared(t.Context())
		if err := errors.Join(err, failed); err != nil {
			t.Fatal(err)
		}
		for _, d := range append(found, ofRuns...) {
			repair := func() (bool, error) { return damage.Repair(t.Context(), r.rdb, record, []registry.Lane{lane}, d) }
			if runs.Repairs(d) {
				repair = func() (bool, error) { return service.Repair(t.Context(), d) }
			}
			if done, err := repair(); err != nil || !done {
				t.Errorf("%s: repaired: %t, %v", d, done, err)
			}
		}
		// The worker lists its lanes again, and takes the lead of the schedules.
		r.until("the lanes are listed", func() bool {
			lanes, err := registry.Read(t.Context(), r.rdb, time.Now())
			return err == nil && len(lanes) > 3
		})
		r.rename("after")
		r.until("the next task is applied", r.has("after"))
		r.until("the worker leads", func() bool { return len(r.log.Lines("this worker leads")) > 0 })
		if queues := r.rdb.SMembers(t.Context(), "asynq:queues").Val(); len(queues) < 3 {
			t.Errorf("queues: %v", queues)
		}
	})
}

func TestAWorkerThatCannotKnowTheHoldsOrTheSchemaWaitsForTheRepair(t *testing.T) {
	t.Parallel()
	for what, spoil := range map[string]func(*spoiltRedis) error{
		hold.Key:         func(r *spoiltRedis) error { r.replace(ledger.KeyType{Key: hold.Key, Type: "hash"}); return nil },
		ledger.SchemaKey: func(r *spoiltRedis) error { r.replace(ledger.KeyType{Key: ledger.SchemaKey, Type: "hash"}); return nil },
		ledger.SchemaKey + ", oldest is 2^53": func(r *spoiltRedis) error {
			return r.rdb.HSet(r.t.Context(), ledger.SchemaKey, "version", 2, "oldest", "9007199254740992").Err()
		},
		ledger.SchemaKey + ", version is inf": func(r *spoiltRedis) error {
			return r.rdb.HSet(r.t.Context(), ledger.SchemaKey, "version", "inf").Err()
		},
	} {
		redistest.Either(t, func(t *testing.T, s *redistest.Server) {
			r := newSpoiltRedis(t, s)
			if err := spoil(r); err != nil {
				t.Fatal(err)
			}
			key, _, _ := strings.Cut(what, ",")
			r.work()
			r.until("the key is named", r.named(key))
			if line := r.log.Lines(key)[0]; !strings.Contains(line, "rollcall repair") {
				t.Errorf("the line does not say what to do: %s", line)
			}
			found, err := damage.Shared(t.Context(), r.rdb)
			if err != nil || len(found) == 0 {
				t.Fatalf("found: %v, %v", found, err)
			}
			for _, d := range found {
				if done, err := ledger.New(r.rdb).Discard(t.Context(), d); err != nil || !done {
					t.Errorf("%s: repaired: %t, %v", d, done, err)
				}
			}
			r.until("the worker is ready", func() bool { return len(r.ready) > 0 })
		})
	}
}
