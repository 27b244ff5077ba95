package redisdb_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/redisdb"
	"rollcall/internal/redistest"
)

var (
	adds  = redis.NewScript("return redis.call('INCRBY', KEYS[1], ARGV[1])")
	fails = redis.NewScript("return redis.error_reply('NO this cannot be')")
)

// trips records pipelines, and blocks them while its gate is closed.
type trips struct {
	mu        sync.Mutex
	pipelines [][]string // names of the commands, by pipeline
	gate      chan struct{}
}

func (*trips) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (*trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (c *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if name := cmds[0].Name(); name == "client" || name == "hello" {
			return next(ctx, cmds) // handshake of a connection
		}
		var names []string
		for _, cmd := range cmds {
			names = append(names, fmt.Sprint(cmd.Args()[0], " ", cmd.Args()[len(cmd.Args())-1]))
		}
		c.mu.Lock()
		c.pipelines = append(c.pipelines, names)
		c.mu.Unlock()
		<-c.gate
		return next(ctx, cmds)
	}
}

func (c *trips) begun() [][]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pipelines
}

// held returns an Autopipeline whose pipelines are all running and wait for open.
func held(t *testing.T, s *redistest.Server) (a *redisdb.Autopipeline, seen *trips, open func()) {
	t.Helper()
	rdb := s.Client(t)
	for _, script := range []*redis.Script{adds, fails} {
		if err := script.Load(t.Context(), rdb).Err(); err != nil {
			t.Fatal(err)
		}
	}
	seen = &trips{gate: make(chan struct{})}
	rdb.AddHook(seen)
	a = redisdb.NewAutopipeline(rdb)
	var lines sync.WaitGroup
	for i := range 2 {
		lines.Go(func() { adds.Run(t.Context(), a, []string{"first"}, 1) })
		eventually(t, func() bool { return len(seen.begun()) == i+1 })
	}
	return a, seen, func() { close(seen.gate); lines.Wait() }
}

func eventually(t *testing.T, check func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	end := time.After(time.Minute)
	for !check() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("timed out")
		}
	}
}

func TestScriptsThatArriveDuringARoundTripShareTheNext(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		a, seen, open := held(t, s)
		var callers sync.WaitGroup
		var sum sync.Map
		for i := range 50 {
			callers.Go(func() {
				n, err := adds.Run(t.Context(), a, []string{fmt.Sprint("key", i)}, i).Int()
				if err != nil {
					t.Error(err)
				}
				sum.Store(i, n)
			})
		}
		eventually(t, func() bool { return redisdb.Waiting(a) == 50 })
		open()
		callers.Wait()
		for i := range 50 {
			if n, _ := sum.Load(i); n != i {
				t.Errorf("caller %d got the answer %v", i, n)
			}
		}
		if n := len(seen.begun()); n > 4 {
			t.Errorf("%d round trips for 52 scripts", n)
		}
	})
}

func TestCommandsOfOneCallerStayTogetherAndInOrder(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		a, seen, open := held(t, s)
		var callers sync.WaitGroup
		for i := range 100 {
			callers.Go(func() {
				set := redis.NewStatusCmd(t.Context(), "set", fmt.Sprint("k", i), i)
				add := redisdb.Script(t.Context(), "evalsha", adds.Hash(), []string{fmt.Sprint("k", i)}, 1000)
				if err := a.Do(t.Context(), fmt.Sprint("k", i), set, add); err != nil {
					t.Error(err)
				}
				if n, err := add.Int(); n != 1000+i || err != nil {
					t.Errorf("caller %d: %d, %v", i, n, err)
				}
			})
		}
		eventually(t, func() bool { return redisdb.Waiting(a) == 100 })
		open()
		callers.Wait()
		for _, names := range seen.begun()[2:] {
			for i := 0; i < len(names); i += 2 {
				if !strings.HasPrefix(names[i], "set ") || names[i+1] != "evalsha 1000" {
					t.Fatalf("they were sent as %v", names)
				}
			}
			if len(names) > 128 {
				t.Errorf("%d commands share a round trip", len(names))
			}
		}
	})
}

func TestAnErrorOfOneScriptDoesNotAffectTheOthers(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		a, _, open := held(t, s)
		var callers sync.WaitGroup
		callers.Go(func() {
			if err := fails.Run(t.Context(), a, []string{"a"}, 0).Err(); !redis.HasErrorPrefix(err, "NO") {
				t.Errorf("the failing script: %v", err)
			}
		})
		callers.Go(func() {
			if err := adds.Run(t.Context(), a, []string{"b"}, 1).Err(); err != nil {
				t.Errorf("the other: %v", err)
			}
		})
		eventually(t, func() bool { return redisdb.Waiting(a) == 2 })
		open()
		callers.Wait()
	})
}

func TestAScriptThatRedisDoesNotKnowIsSentInFull(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		a := redisdb.NewAutopipeline(s.Client(t))
		fresh := redis.NewScript("return redis.call('INCRBY', KEYS[1], ARGV[1]) -- " + t.Name())
		if n, err := fresh.Run(t.Context(), a, []string{"key"}, 7).Int(); n != 7 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
}

func TestACallerThatGivesUpReturnsAtOnceAndItsCommandIsNotSent(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		a, seen, open := held(t, s)
		why := errors.New("the lease is lost")
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := make(chan error)
		go func() { gone <- adds.Run(ctx, a, []string{"given up"}, 1).Err() }()
		var callers sync.WaitGroup
		callers.Go(func() { adds.Run(t.Context(), a, []string{"key"}, 1) })
		eventually(t, func() bool { return redisdb.Waiting(a) == 2 })
		cancel(why)
		if err := <-gone; !errors.Is(err, why) {
			t.Errorf("the error is %v", err)
		}
		open()
		callers.Wait()
		if got := seen.begun()[2:]; len(got) != 1 || len(got[0]) != 1 {
			t.Errorf("sent then: %v", got)
		}
	})
}

func TestEveryCallerGetsTheErrorOfAnUnavailableRedis(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		a := redisdb.NewAutopipeline(s.Client(t))
		s.Stop(t)
		var callers sync.WaitGroup
		for range 10 {
			callers.Go(func() {
				if err := adds.Run(t.Context(), a, []string{"key"}, 1).Err(); err == nil {
					t.Error("no error")
				}
			})
		}
		callers.Wait()
	})
}

// Scripts with keys on several nodes of a Cluster.
func TestScriptsAreSharedInEveryTopology(t *testing.T) {
	t.Parallel()
	redistest.EachTopology(t, func(t *testing.T, d *redistest.Deployment) {
		a := redisdb.NewAutopipeline(d.Client(t))
		var callers sync.WaitGroup
		for i := range 200 {
			callers.Go(func() {
				if n, err := adds.Run(t.Context(), a, []string{fmt.Sprintf("rollcall:{org%d/api}:shared", i)}, i).Int(); n != i || err != nil {
					t.Errorf("caller %d: %d, %v", i, n, err)
				}
			})
		}
		callers.Wait()
	})
}

// An unavailable node does not answer for seconds.
func TestAnUnavailableNodeDelaysOnlyItsOwnCommands(t *testing.T) {
	t.Parallel()
	d := redistest.Cluster(t)
	rdb := d.Client(t)
	seen := &trips{gate: make(chan struct{})}
	unavailable := &blocked{trips: seen}
	rdb.AddHook(unavailable)
	a := redisdb.NewAutopipeline(rdb)
	var callers sync.WaitGroup
	for i := range 10 {
		callers.Go(func() { adds.Run(t.Context(), a, []string{"rollcall:{away}:n"}, 1) })
		// Callers that come together share a pipeline.
		eventually(t, func() bool { return len(seen.begun()) == min(i+1, 2) })
	}
	for i := range 10 {
		if n, err := adds.Run(t.Context(), a, []string{"rollcall:{here}:n"}, 1).Int(); n != i+1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	close(seen.gate)
	callers.Wait()
}

// blocked blocks only the pipelines of one tag.
type blocked struct{ *trips }

func (a *blocked) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	held := a.trips.ProcessPipelineHook(next)
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if strings.Contains(fmt.Sprint(cmds[0].Args()...), "{away}") {
			return held(ctx, cmds)
		}
		return next(ctx, cmds)
	}
}

// panics is a hook that panics in its first pipeline.
type panics struct{ once sync.Once }

func (*panics) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (*panics) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (p *panics) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if name := cmds[0].Name(); name != "client" && name != "hello" {
			p.once.Do(func() { panic("in a pipeline") })
		}
		return next(ctx, cmds)
	}
}

func TestAPanicInAPipelineFailsItsCommandsAndTheNextOnesAreSent(t *testing.T) {
	t.Parallel()
	rdb := redistest.Mini(t).Client(t)
	if err := adds.Load(t.Context(), rdb).Err(); err != nil {
		t.Fatal(err)
	}
	rdb.AddHook(&panics{})
	a := redisdb.NewAutopipeline(rdb)
	defect := errors.New("a defect")
	a.GuardBy(func(_ string, step func() error) (err error) {
		defer func() {
			if recover() != nil {
				err = defect
			}
		}()
		return step()
	})
	if err := adds.Run(t.Context(), a, []string{"n"}, 1).Err(); !errors.Is(err, defect) {
		t.Errorf("the first command: %v, want the defect", err)
	}
	if n, err := adds.Run(t.Context(), a, []string{"n"}, 1).Int(); n != 1 || err != nil {
		t.Errorf("the next command: %d, %v", n, err)
	}
}
