package run_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/redistest"
	"rollcall/internal/run"
	"rollcall/internal/subprocess"
)

// durable is a redis-server that loses nothing that it has answered, and is killed.
type durable struct {
	program, dir, port string
	server             *subprocess.Process
}

func startDurable(t *testing.T) *durable {
	t.Helper()
	redistest.Real(t) // or there is nothing to start
	program, err := subprocess.RedisServer()
	if err != nil {
		t.Fatal(err)
	}
	ports, err := subprocess.Ports(t.Context(), 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	d := &durable{program: program, dir: t.TempDir(), port: ports[0]}
	if err := d.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.server.Kill() })
	return d
}

func (d *durable) addr() string { return "127.0.0.1:" + d.port }

func (d *durable) start() (err error) {
	d.server, err = subprocess.Start(subprocess.Command{Program: d.program, Ready: subprocess.RedisReady, Args: []string{
		"--bind", "127.0.0.1", "--port", d.port, "--dir", d.dir, "--save", "", "--appendonly", "yes", "--appendfsync", "always",
	}})
	return err
}

// Redis is killed at some command of the command that uploads, plans and applies, or of the
// worker that feeds and carries out, and starts again.
func TestARunEndsTheSameIfRedisIsKilled(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts Redis again and again: make test-long")
	}
	d := startDurable(t)
	var left atomic.Int64
	var restarted atomic.Int64
	proxy := redistest.NewProxy(t, d.addr(), func([]byte) redistest.Fault {
		if left.Load() <= 0 || left.Add(-1) != 0 {
			return redistest.Pass
		}
		d.server.Kill()
		if err := d.start(); err != nil {
			t.Errorf("start Redis again: %v", err)
		}
		restarted.Add(1)
		return redistest.LoseSend
	}, nil)
	client := func(t *testing.T) redis.UniversalClient {
		t.Helper()
		rdb := redis.NewClient(&redis.Options{Addr: proxy.Addr()})
		t.Cleanup(func() { _ = rdb.Close() })
		return rdb
	}
	const rows = 30
	r := newRigOn(t, client, &redis.UniversalOptions{Addrs: []string{proxy.Addr()}}, rows)
	r.worker()
	for i, commands := range []int64{2, 9, 17, 30, 60, 100, 200, 400} {
		prefix := string(rune('a' + i))
		left.Store(commands)
		id := r.persist(nicknames(many(rows, prefix)...))
		var done run.Run
		r.again("wait for the end", func() (err error) {
			if done, err = r.service.Get(t.Context(), id); err == nil && done.State != run.StateDone {
				err = fmt.Errorf("the run is %s (%s): %s, %v", done.State, done.Reason, done.Progress, done.Outcomes)
			}
			return err
		})
		left.Store(0)
		if diff := cmp.Diff(map[run.Outcome]int{run.OutcomeApplied: rows}, done.Outcomes); diff != "" {
			t.Errorf("killed after %d commands: outcomes (-want +got):\n%s", commands, diff)
		}
		want := map[string]string{}
		for n := range rows {
			want[fmt.Sprintf("u%d", n+1)] = fmt.Sprintf("%s%d", prefix, n+1)
		}
		if diff := cmp.Diff(want, r.names()); diff != "" {
			t.Errorf("killed after %d commands: names (-want +got):\n%s", commands, diff)
		}
	}
	if n := restarted.Load(); n < 5 {
		t.Errorf("Redis was killed %d times", n)
	}
}

// again repeats a step until it succeeds, as a person does while Redis starts.
func (r *rig) again(what string, step func() error) {
	r.t.Helper()
	for end := time.Now().Add(2 * patience); ; {
		err := step()
		if err == nil {
			return
		}
		if is[*run.StateError](err) || time.Now().After(end) {
			r.t.Fatalf("%s: %v\n%s", what, err, r.log)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// persist uploads, plans and applies rows.
func (r *rig) persist(rows []run.Row) string {
	r.t.Helper()
	ctx := r.t.Context()
	var made, planned run.Run
	r.again("create", func() (err error) { made, err = r.service.Create(ctx, free()); return err })
	r.again("add", func() error { _, err := r.service.Add(ctx, made.ID, 0, rows); return err })
	r.again("seal", func() error { _, err := r.service.Seal(ctx, made.ID, len(rows)); return err })
	r.again("plan", func() (err error) { planned, err = r.service.Plan(ctx, made.ID, nil); return err })
	r.again("apply", func() error { _, err := r.service.Apply(ctx, made.ID, planned.Plan.Digest, "ann"); return err })
	return made.ID
}
