package overview_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/hold"
	"rollcall/internal/ledger"
	"rollcall/internal/overview"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	"rollcall/internal/run"
	"rollcall/tasks"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// clock is the time of a reader, which the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) pass(by time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(by) }

func reader(rdb redis.UniversalClient, c *clock) *overview.Reader {
	record := ledger.New(rdb)
	return overview.NewReader(overview.Config{Redis: rdb, Ledger: record, Runs: run.New(run.Config{Redis: rdb, Ledger: record}), Within: time.Minute, Now: c.Now})
}

// counted counts what is sent.
type counted struct {
	mu    sync.Mutex
	trips int
}

func (c *counted) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.mu.Lock()
		c.trips++
		c.mu.Unlock()
		return next(ctx, cmd)
	}
}

func (c *counted) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.mu.Lock()
		c.trips++
		c.mu.Unlock()
		return next(ctx, cmds)
	}
}

func (c *counted) DialHook(next redis.DialHook) redis.DialHook { return next }

func publish(t *testing.T, rdb redis.UniversalClient, tenants int) {
	t.Helper()
	var lanes []registry.Lane
	for i := range tenants {
		for _, kind := range []tasks.Kind{tasks.KindNickname, tasks.KindGroup} {
			lanes = append(lanes, registry.Lane{Organisation: fmt.Sprintf("o%d", i), Tenant: fmt.Sprintf("t%d", i), Kind: kind})
		}
	}
	if err := registry.Publish(t.Context(), rdb, lanes); err != nil {
		t.Fatal(err)
	}
}

func TestAReadingCostsTheSameForAnyNumberOfLanesAndServesAllCallers(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	publish(t, s.Client(t), 200)
	rdb := s.Client(t)
	hook := &counted{}
	rdb.AddHook(hook)
	c := &clock{now: time.Now()}
	r := reader(rdb, c)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if state := r.State(t.Context()); state.Err != nil || len(state.Lanes.Lanes) != 400 {
				t.Errorf("%d lanes, %v", len(state.Lanes.Lanes), state.Err)
			}
		})
	}
	wg.Wait()
	if hook.trips > 50 {
		t.Errorf("50 callers cost %d round trips", hook.trips)
	}
	before := hook.trips
	c.pass(time.Minute)
	r.State(t.Context())
	if hook.trips == before {
		t.Error("a minute later nothing is read")
	}
}

// commands counts commands, also those of pipelines.
type commands struct{ n atomic.Int64 }

func (c *commands) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.n.Add(1)
		return next(ctx, cmd)
	}
}

func (c *commands) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.n.Add(int64(len(cmds)))
		return next(ctx, cmds)
	}
}

func (c *commands) DialHook(next redis.DialHook) redis.DialHook { return next }

func TestAReadingCostsLittleMoreThanACommandForEachLane(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	publish(t, s.Client(t), 200)
	rdb := s.Client(t)
	count := &commands{}
	rdb.AddHook(count)
	r := reader(rdb, &clock{now: time.Now()})
	r.State(t.Context()) // The scripts are known then.
	r.Refresh()
	count.n.Store(0)
	// 400 lanes of 200 organisations, with two queues each.
	if state := r.State(t.Context()); state.Err != nil || count.n.Load() > 400+200+50 {
		t.Errorf("%d commands, %v", count.n.Load(), state.Err)
	}
}

// slow takes a tenth of a second of the clock for each command, and counts those of callers with a page.
type slow struct {
	counted

	clock *clock
}

type page struct{}

func (s *slow) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		s.clock.pass(100 * time.Millisecond)
		if ctx.Value(page{}) == nil {
			return next(ctx, cmd)
		}
		return s.counted.ProcessHook(next)(ctx, cmd)
	}
}

func (s *slow) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if ctx.Value(page{}) == nil {
			return next(ctx, cmds)
		}
		return s.counted.ProcessPipelineHook(next)(ctx, cmds)
	}
}

func TestNoPageWaitsForAnExpensiveReadingThatIsMadeForIt(t *testing.T) {
	t.Parallel()
	c := &clock{now: time.Now()}
	pagesLeaveTheReadingToWatch(t, 1, c, &slow{clock: c})
}

func TestNoPageReadsManyLanesEvenIfThatIsFast(t *testing.T) {
	t.Parallel()
	pagesLeaveTheReadingToWatch(t, 50, &clock{now: time.Now()}, &slow{clock: &clock{}})
}

func pagesLeaveTheReadingToWatch(t *testing.T, tenants int, c *clock, hook *slow) {
	t.Helper()
	s := redistest.Mini(t)
	publish(t, s.Client(t), tenants)
	rdb := s.Client(t)
	rdb.AddHook(hook)
	r := reader(rdb, c)
	ctx, stop := context.WithCancel(t.Context())
	var watch sync.WaitGroup
	watch.Go(func() { r.Watch(ctx) })
	defer watch.Wait()
	defer stop()
	visitor := context.WithValue(t.Context(), page{}, true)
	first := r.State(visitor)
	if first.Err != nil {
		t.Fatal(first.Err)
	}
	trips := hook.trips // It may have come before Watch.
	c.pass(9 * time.Second)
	for state := first; state == first; state = r.State(visitor) {
		<-time.After(time.Millisecond)
	}
	if hook.trips != trips {
		t.Errorf("a page made %d calls", hook.trips-trips)
	}
	stop()
	watch.Wait()
	c.pass(time.Minute)
	if state := r.State(visitor); hook.trips == trips || state == first {
		t.Error("no one reads when Watch has ended")
	}
}

// paused takes 10 ms for each command.
type paused struct{ redis.Hook }

func (paused) DialHook(next redis.DialHook) redis.DialHook { return next }

func (paused) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		<-time.After(10 * time.Millisecond)
		return next(ctx, cmd)
	}
}

func (paused) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		<-time.After(10 * time.Millisecond)
		return next(ctx, cmds)
	}
}

// If each look only asked for the next reading, a page without JavaScript would show a state
// that is as old as its last look.
func TestWatchReadsBeforeTheNextLookWhileSomebodyLooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mini := miniredis.NewMiniRedis()
		defer mini.Close()
		mini.SetTime(time.Now())
		rdb := redis.NewClient(&redis.Options{Dialer: func(context.Context, string, string) (net.Conn, error) { return mini.Dial() }})
		defer rdb.Close()
		publish(t, rdb, 1)
		rdb.AddHook(paused{})
		record := ledger.New(rdb)
		r := overview.NewReader(overview.Config{Redis: rdb, Ledger: record, Runs: run.New(run.Config{Redis: rdb, Ledger: record})})
		ctx, stop := context.WithCancel(t.Context())
		var watch sync.WaitGroup
		watch.Go(func() { r.Watch(ctx) })
		defer watch.Wait()
		defer stop()
		look := func(after time.Duration) (age time.Duration) {
			<-time.After(after)
			return time.Since(r.State(ctx).Read)
		}
		if age := look(9 * time.Second); age < 8*time.Second {
			t.Errorf("read %s ago, without a look", age)
		}
		for range 10 {
			if age := look(9 * time.Second); age > 6*time.Second {
				t.Errorf("a page shows a state that is %s old", age)
			}
		}
	})
}

func TestTheStateOfARedisThatIsUnavailableIsTheLastOneWithTheReason(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	publish(t, s.Client(t), 1)
	c := &clock{now: time.Now()}
	r := reader(s.Client(t), c)
	first := r.State(t.Context())
	if first.Err != nil || len(first.Lanes.Lanes) != 2 {
		t.Fatalf("%+v", first)
	}
	s.Mini.SetError("LOADING Redis is loading the dataset in memory")
	c.pass(time.Minute)
	began := c.Now()
	if state := r.State(t.Context()); state.Err == nil || len(state.Lanes.Lanes) != 2 || !state.Since.Equal(began) || !state.Read.Equal(first.Read) {
		t.Errorf("%+v", state)
	}
	c.pass(time.Minute)
	if state := r.State(t.Context()); !state.Since.Equal(began) {
		t.Errorf("since %s, want %s", state.Since, began)
	}
	s.Mini.SetError("")
	c.pass(time.Minute)
	if state := r.State(t.Context()); state.Err != nil || !state.Since.IsZero() {
		t.Errorf("%v since %s", state.Err, state.Since)
	}
}

// asynq's own servers are read: an upgrade that writes another form fails here.
func TestAWorkerIsSeenWhileItLivesAndWhenItDied(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	rdb := s.Client(t)
	c := &clock{now: time.Now()}
	r := reader(rdb, c)
	server := asynq.NewServerFromRedisClient(rdb, asynq.Config{Queues: map[string]int{"x": 1}, LogLevel: asynq.FatalLevel})
	if err := server.Start(asynq.NewServeMux()); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for rdb.ZCard(t.Context(), "asynq:servers").Val() == 0 {
		if time.Now().After(deadline) {
			t.Fatal("asynq lists no server")
		}
	}
	state := r.State(t.Context())
	if len(state.Workers) != 1 || state.Workers[0].Dead || state.Workers[0].Servers != 1 || !strings.Contains(state.Workers[0].Name(), "/") {
		t.Fatalf("%+v", state.Workers)
	}
	server.Shutdown()
	c.pass(time.Minute)
	if state := r.State(t.Context()); len(state.Workers) != 0 {
		t.Errorf("a worker that stopped is still there: %+v", state.Workers)
	}

	beat := func(host string, at time.Time) {
		score := float64(at.Add(10 * time.Second).Unix())
		if err := rdb.ZAdd(t.Context(), "asynq:servers", redis.Z{Score: score, Member: "asynq:servers:{" + host + ":7:id}"}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	beat("h", c.Now())
	c.pass(3 * time.Second)
	if state := r.State(t.Context()); len(state.Workers) != 1 || state.Workers[0].Dead {
		t.Fatalf("%+v", state.Workers)
	}
	c.pass(30 * time.Second)
	if state := r.State(t.Context()); len(state.Workers) != 1 || !state.Workers[0].Dead || state.Workers[0].Replaced {
		t.Fatalf("33 s after its last sign of life: %+v", state.Workers)
	}
	rdb.Del(t.Context(), "asynq:servers") // as asynq's web UI does with servers that expired
	beat("h2", c.Now())
	c.pass(3 * time.Second)
	if state := r.State(t.Context()); len(state.Workers) != 2 || !state.Workers[0].Dead || state.Workers[1].Dead {
		t.Errorf("after asynq forgot it: %+v", state.Workers)
	}
}

func TestHoldsAreListedOnceWithTheirLanes(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	rdb := s.Client(t)
	publish(t, rdb, 2)
	store := hold.NewStore(rdb)
	for _, h := range []hold.Hold{
		{Scope: hold.Scope{Level: hold.Lane, Name: "t0.nickname"}, Class: hold.Operator, Reason: "x", By: "a", Bulk: true},
		{Scope: hold.Scope{Level: hold.Tenant, Name: "t1"}, Class: hold.Refused, Reason: "y", By: "w"},
		{Scope: hold.Scope{Level: hold.Tenant, Name: "left"}, Class: hold.Refused, Reason: "z", By: "w"},
		{Scope: hold.Scope{Level: hold.Tenant, Name: "t0"}, Class: hold.Operator, Reason: "over", By: "w", Until: time.Now().Add(-time.Second)},
	} {
		if _, _, err := store.Put(t.Context(), h); err != nil {
			t.Fatal(err)
		}
	}
	state := reader(rdb, &clock{now: time.Now()}).State(t.Context())
	var got []string
	for _, h := range state.Holds {
		got = append(got, fmt.Sprintf("%s %d", h.Scope, len(h.Lanes)))
	}
	if want := "tenant t1 2, tenant left 0, lane t0.nickname 1"; strings.Join(got, ", ") != want {
		t.Errorf("%v, want %s", got, want)
	}
}

func TestADamagedKeyCostsItsOwnPart(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	rdb := s.Client(t)
	publish(t, rdb, 2)
	ctx := t.Context()
	if err := errors.Join(
		rdb.Set(ctx, "asynq:{t0.nickname}:pending", "x", 0).Err(),
		rdb.Set(ctx, "rollcall:runs", "x", 0).Err(),
		rdb.Set(ctx, "asynq:servers", "x", 0).Err(),
	); err != nil {
		t.Fatal(err)
	}
	if state := reader(rdb, &clock{now: time.Now()}).State(ctx); state.Err != nil || len(state.Lanes.Lanes) != 4 || state.Damage == nil {
		t.Errorf("%d lanes, %v", len(state.Lanes.Lanes), state.Err)
	}
}
