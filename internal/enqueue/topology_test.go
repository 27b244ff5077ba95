package enqueue_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/internal/enqueue"
	"rollcall/internal/kinds"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

func serveOn(t *testing.T, d *redistest.Deployment) {
	t.Helper()
	var lanes []registry.Lane
	for _, k := range kinds.Names() {
		lanes = append(lanes, registry.Lane{Organisation: "lakeside", Tenant: tenant, Kind: k})
	}
	if err := registry.Publish(t.Context(), d.Client(t), lanes); err != nil {
		t.Fatal(err)
	}
}

func nicknamesOn(t *testing.T, d *redistest.Deployment) int {
	t.Helper()
	info, err := asynq.NewInspectorFromRedisClient(d.Client(t)).GetQueueInfo("lakeside-dt.nickname")
	if err != nil {
		t.Fatal(err)
	}
	return info.Pending
}

// Lanes, keys, revisions, tasks and changes have slots of their own: each step must use
// only one.
func TestProducersWorkOnEveryTopologyAndAfterAFailover(t *testing.T) {
	t.Parallel()
	redistest.EachTopology(t, func(t *testing.T, d *redistest.Deployment) {
		serveOn(t, d)
		client, err := enqueue.New(enqueue.Config{Redis: d.ProducerOptions()})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		batch := func(name string) []tasks.Request {
			var requests []tasks.Request
			for i := range 40 {
				requests = append(requests, tasks.Request{
					Task: nick(fmt.Sprintf("u%d", i), name), Options: tasks.Options{Key: fmt.Sprint(name, i)},
				})
			}
			return append(requests, tasks.Request{Task: tasks.CourseSync{Tenant: tenant, CourseID: "561294"}})
		}
		wantStored := func(results []tasks.Result, want tasks.Outcome) {
			t.Helper()
			for i, r := range results {
				if i < 40 && r.Outcome != want || r.Err != nil || r.Warning != "" {
					t.Errorf("row %d: %+v", i, r)
				}
			}
		}
		wantStored(client.EnqueueAll(t.Context(), batch("A")), tasks.Stored)
		wantStored(client.EnqueueAll(t.Context(), batch("A")), tasks.AlreadyThere)
		if n := nicknamesOn(t, d); n != 40 {
			t.Errorf("%d tasks are pending, want 40", n)
		}
		if d.Name == "single" {
			return
		}
		d.Settle(t)
		d.FailOver(t, "asynq:{lakeside-dt.nickname}:pending")
		awaitStored(t, client)
		wantStored(client.EnqueueAll(t.Context(), batch("A")), tasks.AlreadyThere)
		wantStored(client.EnqueueAll(t.Context(), batch("B")), tasks.Stored)
		if n := nicknamesOn(t, d); n != 80 {
			t.Errorf("%d tasks are pending, want 80", n)
		}
	})
}

// As docs/guarantees.md describes: the task is lost although it was stored. Its key
// survives only on another node.
func TestATaskThatWasNotReplicatedIsLostWithItsMaster(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		start func(*testing.T) *redistest.Deployment
		again tasks.Outcome
	}{"sentinel": {redistest.Sentinel, tasks.Stored}, "cluster": {redistest.Cluster, tasks.AlreadyThere}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := row.start(t)
			serveOn(t, d)
			client, err := enqueue.New(enqueue.Config{Redis: d.ProducerOptions()})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			queue := "asynq:{lakeside-dt.nickname}:pending"
			keyed := tasks.Options{Key: "k"}
			for i := 0; d.Together(t, "rollcall:key:"+tenant+":"+keyed.Key, queue) && name == "cluster"; i++ {
				keyed.Key = fmt.Sprint("k", i)
			}
			if _, err := client.Enqueue(t.Context(), nick("u0", "A"), tasks.Options{}); err != nil {
				t.Fatal(err)
			}
			d.Settle(t)
			d.Part(t)
			if result, err := client.Enqueue(t.Context(), nick("u1", "A"), keyed); err != nil || result.Outcome != tasks.Stored {
				t.Fatalf("%+v, %v", result, err)
			}
			d.FailOver(t, queue)
			awaitStored(t, client)
			if n := nicknamesOn(t, d); n != 1 {
				t.Errorf("%d tasks are pending, want the one that was replicated", n)
			}
			result, err := client.Enqueue(t.Context(), nick("u1", "A"), keyed)
			if err != nil || result.Outcome != row.again {
				t.Errorf("the same key again: %+v, %v; want %s", result, err, row.again)
			}
		})
	}
}

// awaitStored enqueues courses until the client has found the new master.
func awaitStored(t *testing.T, client *enqueue.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		_, err := client.Enqueue(ctx, tasks.CourseSync{Tenant: tenant, CourseID: "1"}, tasks.Options{})
		if err == nil {
			_, err = client.Enqueue(ctx, nick("u0", "in between"), tasks.Options{Key: "in between", At: time.Now().Add(time.Hour)})
		}
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("the new master was not found: %v", err)
		}
	}
}

// A Cluster's client retries a command, so after a lost answer it gets a conflict with
// the task that it has stored.
func TestALostAnswerOfAClusterIsAStoredTask(t *testing.T) {
	t.Parallel()
	d := redistest.Cluster(t)
	serveOn(t, d)
	f := &faults{marks: storing}
	var mu sync.Mutex
	proxies := map[string]*redistest.Proxy{}
	options := d.ProducerOptions()
	options.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		mu.Lock()
		if proxies[addr] == nil {
			proxies[addr] = redistest.NewProxy(t, addr, f.judge, nil)
		}
		near := proxies[addr].Addr()
		mu.Unlock()
		return new(net.Dialer).DialContext(ctx, network, near)
	}
	client, err := enqueue.New(enqueue.Config{Redis: options})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Enqueue(t.Context(), nick("warm", "up"), tasks.Options{}); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	f.todo = []redistest.Fault{redistest.LoseReply}
	f.mu.Unlock()
	result, err := client.Enqueue(t.Context(), nick("u1", "A"), tasks.Options{})
	if err != nil || result.Outcome != tasks.Stored || result.Revision == 0 {
		t.Errorf("%+v, %v; want it stored, with its revision", result, err)
	}
	if f.left() > 0 {
		t.Error("no answer was lost: the test proves nothing")
	}
	if n := nicknamesOn(t, d); n != 2 {
		t.Errorf("%d tasks are pending, want 2", n)
	}
}
