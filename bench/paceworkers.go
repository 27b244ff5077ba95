package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"rollcall/internal/registry"
	"rollcall/tasks"
)

// variable is where the workers find the secret that the platform does not look at.
const variable = "ROLLCALL_BENCH_SECRET"

// setting is the configuration of both sides of a scene.
type setting struct {
	name       string // of the scene, for its files
	kind       string // how the platform counts
	configured bool   // whether our side is configured with it
	calls      int
	per        time.Duration
	// many is a worker with a hundred lanes in place of one tenant.
	many bool
	// prompt is a platform that counts and answers at once.
	prompt bool
	// stalls is a platform that never answers the first call for a person.
	stalls bool
	// named are the tenants, where there are others than one.
	named []string
}

// perSecond is the limit's rate.
func (s setting) perSecond() float64 { return float64(s.calls) / s.per.Seconds() }

// side is one of the two: its Redis, its platform and its processes.
type side struct {
	setting

	theatre *theatre
	peer    bool
	redis   *redisServer
	rdb     redis.UniversalClient
	gate    *gate
	clients *producers
	procs   []*process
	fail    context.CancelCauseFunc
	queued  int
}

// both runs the same on both sides at the same time. A process that ends ends its side.
func both[T any](
	ctx context.Context, t *theatre, s setting, play func(context.Context, *side) (T, error),
) (ours, peer T, err error) {
	group, ctx := errgroup.WithContext(ctx)
	var values [2]T
	for i := range values {
		group.Go(func() (err error) {
			ctx, fail := context.WithCancelCause(ctx)
			defer fail(nil)
			one := &side{setting: s, theatre: t, peer: i == 1, fail: fail}
			defer one.close()
			if err := one.open(ctx); err != nil {
				return err
			}
			values[i], err = play(ctx, one)
			if cause := context.Cause(ctx); err != nil && cause != nil {
				return cause
			}
			return err
		})
	}
	err = group.Wait()
	return values[0], values[1], err
}

func (s *side) open(ctx context.Context) (err error) {
	if s.redis, s.rdb, err = openRedis(ctx); err != nil {
		return err
	}
	if s.gate, err = openCheck(s.kind, s.calls, s.per, s.prompt); err != nil {
		return err
	}
	s.gate.stalls = s.stalls
	if s.clients, err = newProducers(nil, s.redis.address); err != nil {
		return err
	}
	var lanes []registry.Lane
	for _, name := range s.tenants() {
		lanes = append(lanes, registry.Lane{Organisation: organisation, Tenant: name, Kind: tasks.KindNickname})
	}
	return registry.Publish(ctx, s.rdb, lanes)
}

func (s *side) close() {
	for _, p := range s.procs {
		p.stop()
	}
	if s.clients != nil {
		_ = s.clients.close()
	}
	if s.gate != nil {
		s.gate.close()
	}
	if s.redis != nil {
		_ = s.rdb.Close()
		s.redis.stop()
	}
}

func (s *side) tenants() []string {
	if s.named != nil {
		return s.named
	}
	if !s.many {
		return []string{tenant}
	}
	names := make([]string, manyTenants)
	for i := range names {
		names[i] = fmt.Sprintf("dt%02d", i)
	}
	return names
}

// fill enqueues n tasks for n people.
func (s *side) fill(ctx context.Context, n int) error {
	s.queued += n
	if !s.peer {
		return s.clients.all(ctx, n)
	}
	for i := range n {
		if err := s.clients.bare(ctx, task(i), bareQueue(0, false)); err != nil {
			return err
		}
	}
	return nil
}

// enqueue enqueues one task; for the peer in a queue of its choice.
func (s *side) enqueue(ctx context.Context, task tasks.NicknameSync, bare string, o tasks.Options) error {
	if s.peer {
		return s.clients.bare(ctx, task, bare)
	}
	_, err := s.clients.ours.Enqueue(ctx, task, o)
	return err
}

// staff starts n processes that share the limit.
func (s *side) staff(ctx context.Context, n int) error {
	for i := range n {
		var p *process
		var err error
		if s.peer {
			p, err = s.startBare(ctx, n, i)
		} else {
			p, err = s.startWorker(ctx, i)
		}
		if err != nil {
			return err
		}
		s.procs = append(s.procs, p)
	}
	return nil
}

func (s *side) startWorker(ctx context.Context, i int) (*process, error) {
	file := filepath.Join(s.theatre.dir, s.name+".yaml")
	if i == 0 {
		if err := os.WriteFile(file, []byte(s.workerConfig()), 0o600); err != nil {
			return nil, err
		}
	}
	return s.theatre.startWorker(ctx, file, fmt.Sprintf("%s.worker%d.log", s.name, i), s.fail)
}

// startWorker starts a worker with that configuration.
func (t *theatre) startWorker(ctx context.Context, file, log string, fail context.CancelCauseFunc) (*process, error) {
	worker, err := t.worker()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, worker, "run", "--config", file) //nolint:gosec // built by us
	cmd.Env = append(os.Environ(), variable+"=bench")
	return startProcess(cmd, filepath.Join(t.dir, log), fail)
}

// workerConfig returns the configuration of every worker of a side.
func (s *side) workerConfig() string {
	limit := fmt.Sprintf("calls: %d, per: %s", s.calls, s.per)
	if s.configured {
		limit += ", window: " + s.kind
	}
	said := workerConfig(s.redis.address, s.gate.url, limit, s.tenants())
	if s.many {
		said += fmt.Sprintf("      - name: ci\n        classin: {base_url: %q, sid: \"1\", secret: {env: %s}}\n", s.gate.url, variable)
	}
	return said
}

// workerConfig is a worker's with some tenants at one platform.
func workerConfig(redisAddress, platform, limit string, tenants []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "redis: {url: \"redis://%s/0\"}\nhttp: {listen: \"off\"}\n", redisAddress)
	fmt.Fprintf(&b, "organisations:\n  - name: %s\n    quota: {calls: 0}\n    tenants:\n", organisation)
	for _, name := range tenants {
		fmt.Fprintf(&b, `      - name: %s
        dingtalk:
          api: %s
          oapi: %s
          app_key: %s
          app_secret: {env: %s}
          limits: {nickname: {%s}}
`, name, platform, platform, name, variable, limit)
	}
	return b.String()
}

// process is one that the bench started.
type process struct {
	cmd      *exec.Cmd
	log      string
	stopping atomic.Bool
	done     chan struct{}
}

// startRole starts this program in the role that argument names, with what it needs.
func (t *theatre) startRole(ctx context.Context, argument string, spec any, log string, fail context.CancelCauseFunc) (*process, error) {
	said, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	binary, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, binary, argument, string(said)) //nolint:gosec // this very binary
	return startProcess(cmd, filepath.Join(t.dir, log), fail)
}

// startProcess starts a command and calls fail if it ends before stop.
func startProcess(cmd *exec.Cmd, log string, fail context.CancelCauseFunc) (*process, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // the process has its own
	cmd.Stdout, cmd.Stderr = file, file
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, log: log, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		err := cmd.Wait()
		if !p.stopping.Load() {
			fail(fmt.Errorf("%s ended: %w; end of its log:\n%s", filepath.Base(log), err, tail(log)))
		}
	}()
	return p, nil
}

// stop kills the process and returns when it has ended.
func (p *process) stop() {
	p.stopping.Store(true)
	_ = p.cmd.Process.Kill()
	<-p.done
}

// tail is the end of a log.
func tail(file string) string {
	const most = 2000
	said, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return string(said[max(0, len(said)-most):])
}
