package schedule_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"rollcall/internal/redisdb"
	"rollcall/internal/redistest"
	"rollcall/internal/schedule"
)

// event is what happens around one tick of the model.
type event struct {
	Victim int           // the worker that is killed
	At     time.Duration // of the kill, from the full minute on
	Back   time.Duration // until another worker replaces it
	Step   time.Duration // by which Redis' clock is set ahead, or back, at 30 s
	Retake bool          // at 20 s a worker whose clock is ahead takes running ticks for lost, as asynq does
	Outage time.Duration // for which Redis is unavailable from 40 s on
}

func drawEvent(t *rapid.T) event {
	seconds := func(least, most int) time.Duration {
		return time.Duration(rapid.IntRange(least, most).Draw(t, "s")) * time.Second
	}
	e := event{
		Victim: rapid.IntRange(0, 2).Draw(t, "victim"),
		At:     seconds(0, 59) + 7*time.Millisecond, // never at the end of an attempt
		Back:   seconds(1, 40),
		Step:   rapid.SampledFrom([]time.Duration{0, 0, 0, time.Second, 25 * time.Second, -time.Second, -time.Minute}).Draw(t, "step"),
		Retake: rapid.Bool().Draw(t, "retake"),
		Outage: rapid.SampledFrom([]time.Duration{0, 0, 0, 0, 5 * time.Second, 15 * time.Second}).Draw(t, "outage"),
	}
	if e.Retake {
		// A step beyond the lease ends it at once, and the running attempt notices only at its
		// next renewal: if asynq also delivers the tick again just then, two attempts run.
		e.Step = min(e.Step, time.Second)
	}
	return e
}

// Three workers, one of which is killed at each tick, with a Redis whose clock is a minute
// ahead of theirs, is set, and restarts. The time is that of a synctest bubble. The 200
// ticks are those of two worlds, one for each processor.
func TestEachTickIsExecutedOnceWhenWorkersDie(t *testing.T) {
	t.Parallel()
	ticks, worlds := 100, 2
	if testing.Short() {
		ticks, worlds = 3, 1
	}
	for n := range worlds {
		plan := rapid.SliceOfN(rapid.Custom(drawEvent), ticks, ticks).Example(n + 1)
		t.Run(fmt.Sprintf("world %d", n+1), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { newWorld(t).play(plan) })
		})
	}
}

// world is a Redis in the bubble, and the workers that use it.
type world struct {
	t     *testing.T
	mini  *miniredis.Miniredis
	rdb   redis.UniversalClient
	entry schedule.Entry // without its job

	mu       sync.Mutex
	ahead    time.Duration // of Redis' clock
	farthest time.Time     // that Redis' clock has shown
	outage   bool
	workers  [3]*mortal
	named    int
	running  map[string]bool // attempts of living workers
	executed map[string]int  // ticks that ended
	begun    time.Time       // when the entry was known
	ending   sync.WaitGroup
}

// mortal is a worker that can be killed.
type mortal struct {
	world *world
	name  string
	dead  bool // its connections are refused, and its jobs change nothing more
	conns []net.Conn
	stop  context.CancelFunc
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, mini: miniredis.NewMiniRedis(), ahead: 61 * time.Second, running: map[string]bool{}, executed: map[string]int{}}
	w.entry = schedule.Entry{Name: "often", Cron: "* * * * *", MisfireWindow: 24 * time.Hour}
	w.mini.SetTime(time.Now().Add(w.ahead))
	w.mini.ClockTTL(true)
	w.rdb = redisdb.New(w.redis(func(context.Context, string, string) (net.Conn, error) { return w.mini.Dial() }))
	return w
}

// redis returns the options of a client that dials inside the bubble.
func (w *world) redis(dial func(context.Context, string, string) (net.Conn, error)) *redis.UniversalOptions {
	o := redisOptions(w.t, "redis:6379")
	o.Dialer, o.DialerRetries = dial, 1
	o.PoolSize = 5000 // after as many errors a pool fails without dialling, so no time would pass
	return o
}

// clock runs Redis' clock until ctx ends.
func (w *world) clock(ctx context.Context) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for ctx.Err() == nil {
		w.mu.Lock()
		now := time.Now().Add(w.ahead)
		if now.After(w.farthest) {
			w.farthest = now
		}
		w.mu.Unlock()
		w.mini.SetTime(now)
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

func (m *mortal) dial(context.Context, string, string) (net.Conn, error) {
	m.world.mu.Lock()
	if m.dead || m.world.outage {
		m.world.mu.Unlock()
		// asynq takes the next task without a pause, so time must pass here. A subscription
		// dials with a lock held, for which its Close waits: in a bubble time would stop.
		if !strings.Contains(string(debug.Stack()), "PubSub") {
			pass(200 * time.Millisecond)
		}
		return nil, errors.New("connection refused")
	}
	defer m.world.mu.Unlock()
	conn, err := m.world.mini.Dial()
	if err == nil {
		m.conns = append(m.conns, conn)
	}
	return conn, err
}

// Run is the job of the entry. It takes 1 to 15 s, by its tick.
func (m *mortal) Run(ctx context.Context, tick schedule.Tick) (schedule.Result, error) {
	w := m.world
	w.mu.Lock()
	for other := range w.running {
		if !m.dead {
			w.t.Errorf("%s begins at %s while %s runs", tick.ID(), m.name, other)
		}
	}
	attempt := tick.ID() + " at " + m.name
	w.running[attempt] = true
	w.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(1+tick.At.Minute()%15) * time.Second):
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.running, attempt)
	if m.dead || ctx.Err() != nil {
		return schedule.Result{}, context.Cause(ctx)
	}
	w.executed[tick.ID()]++
	return schedule.Result{Text: "executed by " + m.name}, nil
}

func (w *world) start(i int) {
	w.t.Helper()
	w.mu.Lock()
	w.named++
	m := &mortal{world: w, name: fmt.Sprintf("worker-%d", w.named)}
	w.workers[i] = m
	w.mu.Unlock()
	entry := w.entry
	entry.Job = m
	s, err := schedule.New(schedule.Config{Entries: []schedule.Entry{entry}, Redis: w.redis(m.dial), Worker: m.name})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(w.t.Context())
	m.stop = stop
	w.ending.Go(func() {
		if err := s.Run(ctx); err != nil {
			w.t.Errorf("%s: %v", m.name, err)
		}
	})
}

func (w *world) kill(i int) {
	w.mu.Lock()
	m := w.workers[i]
	m.dead = true
	conns := m.conns
	for attempt := range w.running {
		if strings.HasSuffix(attempt, " at "+m.name) {
			delete(w.running, attempt)
		}
	}
	w.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
	m.stop()
}

// retake does what the server of asynq does at a worker whose clock is ahead: the leases
// of running tasks look expired to it.
func (w *world) retake() {
	key := func(name string) string { return "asynq:{" + schedule.Queue + "}:" + name }
	ctx := w.t.Context()
	for _, id := range w.rdb.LRange(ctx, key("active"), 0, -1).Val() {
		w.rdb.LRem(ctx, key("active"), 0, id)
		w.rdb.ZRem(ctx, key("lease"), id)
		w.rdb.HSet(ctx, key("t:"+id), "state", "retry")
		w.rdb.ZAdd(ctx, key("retry"), redis.Z{Score: float64(time.Now().Unix()), Member: id})
	}
}

func (w *world) fail(length time.Duration) {
	w.mu.Lock()
	w.outage = true
	var conns []net.Conn
	for _, m := range w.workers {
		conns = append(conns, m.conns...)
		m.conns = nil
	}
	w.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
	pass(length)
	w.mu.Lock()
	w.outage = false
	w.mu.Unlock()
	pass(3 * time.Second) // a worker that is killed before it has recorded an end repeats the tick
}

// play lets everything happen, and checks what was executed.
func (w *world) play(plan []event) {
	ctx, stop := context.WithCancel(w.t.Context())
	var clock sync.WaitGroup
	clock.Go(func() { w.clock(ctx) })
	for i := range w.workers {
		w.start(i)
	}
	pass(10 * time.Second) // the entry is known
	w.begun = time.Now().Add(w.ahead)
	for _, e := range plan {
		w.minute(e)
	}
	pass(4 * time.Minute)
	for range 60 { // ticks that wait for one that a killed worker began
		if w.rdb.ZCard(w.t.Context(), "rollcall:{schedule}:open:often").Val() == 0 {
			break
		}
		pass(time.Minute)
	}
	w.mu.Lock()
	end := w.farthest
	w.mu.Unlock()
	for i := range w.workers {
		w.workers[i].stop()
	}
	w.ending.Wait()
	w.check(end)
	stop()
	clock.Wait()
	_ = w.rdb.Close()
	w.mini.Close()
}

// minute lets the events of one tick happen, in order.
func (w *world) minute(e event) {
	type step struct {
		at time.Duration
		do func()
	}
	steps := []step{
		{e.At, func() { w.kill(e.Victim) }},
		{e.At + e.Back, func() { w.start(e.Victim) }},
		{20 * time.Second, func() {
			if e.Retake {
				w.retake()
			}
		}},
		{30 * time.Second, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.ahead += e.Step
		}},
		{40 * time.Second, func() {
			if e.Outage > 0 {
				w.fail(e.Outage)
			}
		}},
	}
	slices.SortStableFunc(steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	began := time.Now()
	for _, s := range steps {
		pass(s.at - time.Since(began))
		s.do()
	}
	pass(time.Minute - time.Since(began))
}

// pass lets time of the bubble pass.
func pass(d time.Duration) { <-time.After(d) }

// check wants each minute that Redis' clock has shown to be executed once. After a step
// ahead two ticks may be due together, of which the last is executed.
func (w *world) check(end time.Time) {
	w.t.Helper()
	past, err := schedule.NewStore(w.rdb).History(w.t.Context(), "often", 100)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range past {
		if p.At.Before(end.Add(-2*time.Minute)) && p.State != schedule.Done {
			w.t.Errorf("%s is %s: %s%s", p.ID, p.State, p.Result, p.Reason)
		}
	}
	skipped := 0
	for at := w.begun.Truncate(time.Minute).Add(time.Minute); at.Before(end.Add(-2 * time.Minute)); at = at.Add(time.Minute) {
		id := schedule.Tick{Schedule: "often", At: at}.ID()
		switch n := w.executed[id]; {
		case n > 1:
			w.t.Errorf("%s was executed %d times", id, n)
		case n == 0:
			skipped++
			if next := (schedule.Tick{Schedule: "often", At: at.Add(time.Minute)}).ID(); w.executed[next] != 1 {
				w.t.Errorf("%s was not executed, nor the next", id)
			}
		}
		delete(w.executed, id)
	}
	w.t.Logf("%d ticks were due together with the next", skipped)
	for id := range w.executed {
		if tick := strings.TrimPrefix(id, "often@"); tick < end.Add(-2*time.Minute).UTC().Format(time.RFC3339) {
			w.t.Errorf("%s is no tick of the entry; executed: %v", id, slices.Sorted(maps.Keys(w.executed)))
		}
	}
}

// The same on a real Redis, which restarts, with connections that are cut between ticks.
func TestEachTickIsExecutedOnceOnARealRedis(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes a minute")
	}
	const interval = 5 * time.Second
	s := redistest.Real(t)
	r := newRig(t, s)
	var mu sync.Mutex
	executed := map[string]int{}
	count := job(func(_ context.Context, t schedule.Tick) (schedule.Result, error) {
		mu.Lock()
		defer mu.Unlock()
		executed[t.ID()]++
		return schedule.Result{}, nil
	})
	further := func() { // waits for two more ticks
		t.Helper()
		n := func() int {
			mu.Lock()
			defer mu.Unlock()
			return len(executed)
		}
		before := n()
		r.until("further ticks", func() bool { return n() > before+1 })
	}
	start := func() (*running, *cable) {
		c := newCable(t, s.Addr)
		// A busy machine may need seconds for a tick, and the next ones wait for it.
		cfg := r.brief(schedule.Entry{Name: "often", Cron: "@every " + interval.String(), Job: count})
		cfg.Redis = redisOptions(t, c.addr())
		return r.run(cfg), c
	}
	var workers [3]*running
	var cables [3]*cable
	for i := range workers {
		workers[i], cables[i] = start()
	}
	for i := range workers {
		further()
		cables[i].cut()
		workers[i].stop()
		workers[i], cables[i] = start()
	}
	further()
	s.Stop(t)
	s.Start(t)
	for i := range workers { // the cables have lost their server
		workers[i].stop()
		workers[i], cables[i] = start()
	}
	further()
	r.until("no tick is open", func() bool { return r.rdb.ZCard(t.Context(), "rollcall:{schedule}:open:often").Val() == 0 })
	past, err := schedule.NewStore(r.rdb).History(t.Context(), "often", 100)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range past {
		if p.State != schedule.Done || executed[p.ID] != 1 {
			t.Errorf("%s is %s and was executed %d times", p.ID, p.State, executed[p.ID])
		}
		if i > 0 && p.At.Sub(past[i-1].At) != time.Duration(1+p.Missed)*interval {
			t.Errorf("%s follows %s, with %d missed", p.ID, past[i-1].ID, p.Missed)
		}
	}
}
