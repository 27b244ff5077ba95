package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"rollcall/tasks"
)

// fallen are the seconds until the task of each killed worker reached the platform
// again.
type fallen []float64

// recovery kills workers, each in the middle of a call, and measures the time until the
// task of each reaches the platform again. Each killed worker serves a tenant of its
// own; one worker that is not killed starts last and serves all.
func recovery(ctx context.Context, t *theatre) ([]result, error) {
	s := setting{name: "recovery", kind: slidingKind, calls: 1000, per: time.Second, prompt: true, stalls: true}
	for i := range t.tempo.killed + 1 {
		s.named = append(s.named, fmt.Sprintf("dt%02d", i))
	}
	ours, peer, err := both(ctx, t, s, killAll)
	if err != nil {
		return nil, err
	}
	peerIs := fmt.Sprintf("asynq servers with their defaults, of which all but one are killed as well; counted are at most %s", t.tempo.deadline)
	return []result{
		{"crash.recovery_seconds", median(ours), median(peer), "s", peerIs},
		{"crash.recovery_seconds.worst", slices.Max(ours), slices.Max(peer), "s", peerIs},
	}, nil
}

func killAll(ctx context.Context, s *side) (fallen, error) {
	last := len(s.named) - 1
	for i := range last {
		if err := s.serveOnly(ctx, i, 1); err != nil {
			return nil, err
		}
	}
	for i := range last {
		if err := s.taskOf(ctx, i); err != nil {
			return nil, err
		}
	}
	if err := s.serveOnly(ctx, 0, len(s.named)); err != nil {
		return nil, err
	}
	if err := s.taskOf(ctx, last); err != nil { // the survivor is up
		return nil, err
	}
	tempo := s.theatre.tempo
	killed := make([]time.Duration, last)
	for i := range killed {
		// The kills are spread over the period of any regular job.
		if err := s.gate.until(ctx, s.gate.now()+tempo.killing/time.Duration(last)); err != nil {
			return nil, err
		}
		if n := len(s.gate.calls().of(person(i))); n != 1 {
			return nil, fmt.Errorf("the call of worker %d was made %d times before it was killed", i, n)
		}
		killed[i] = s.gate.now()
		s.procs[i].stop()
	}
	unavailable := make(fallen, last)
	for i, at := range killed {
		back, err := s.gate.again(ctx, person(i), at+tempo.deadline)
		if err != nil {
			return nil, err
		}
		unavailable[i] = (back - at).Seconds()
	}
	return unavailable, nil
}

// person is whom the task of the ith tenant is about.
func person(i int) string { return fmt.Sprintf("person%02d", i) }

// taskOf enqueues a task of the ith tenant and returns when its call, which is
// not answered, is at the platform.
func (s *side) taskOf(ctx context.Context, i int) error {
	task := task(i)
	task.Tenant, task.UserID = s.named[i], person(i)
	if err := s.enqueue(ctx, task, bareQueue(i, false), tasks.Options{}); err != nil {
		return err
	}
	_, err := s.gate.accepted(ctx, task.UserID, s.gate.now()+firstCall)
	return err
}

// serveOnly starts a process that serves n tenants, starting with the given one.
func (s *side) serveOnly(ctx context.Context, first, n int) error {
	name := fmt.Sprintf("%s.%d.%d", s.name, first, n)
	var p *process
	var err error
	if s.peer {
		spec := bareSpec{
			Redis: s.redis.address, Platform: s.gate.url, PerSecond: s.perSecond(),
			Concurrency: bareConcurrency, Servers: n, First: first,
		}
		p, err = s.theatre.startRole(ctx, bareArgument, spec, name+".peer.log", s.fail)
	} else {
		file := filepath.Join(s.theatre.dir, name+".yaml")
		limit := fmt.Sprintf("calls: %d, per: %s", s.calls, s.per)
		said := workerConfig(s.redis.address, s.gate.url, limit, s.named[first:first+n])
		if err := os.WriteFile(file, []byte(said), 0o600); err != nil {
			return err
		}
		p, err = s.theatre.startWorker(ctx, file, name+".worker.log", s.fail)
	}
	if err != nil {
		return err
	}
	s.procs = append(s.procs, p)
	return nil
}

// of are the calls for a person.
func (c calls) of(who string) calls {
	return slices.DeleteFunc(slices.Clone(c), func(one call) bool { return one.who != who })
}

// again waits for the second call for a user and returns when it arrived. A call that
// has not arrived by until counts as if it had.
func (g *gate) again(ctx context.Context, who string, until time.Duration) (time.Duration, error) {
	for g.now() < until {
		if came := g.calls().of(who); len(came) > 1 {
			return came[1].At, nil
		}
		if err := g.until(ctx, g.now()+10*time.Millisecond); err != nil {
			return 0, err
		}
	}
	return until, nil
}
