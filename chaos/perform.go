package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/enqueue"
	"rollcall/internal/kinds"
	"rollcall/internal/registry"
)

// logEvery is how often progress is printed.
const logEvery = 10 * time.Second

// scene contains all parts of a run.
type scene struct {
	settings

	out       io.Writer
	dir       string
	began     time.Time
	school    school
	platforms *platforms
	servers   *servers
	fleet     *fleet
	storm     *storm
	producer  *producer
	rdb       redis.UniversalClient
	operator  operator
	holds     *holdWatch
	history   *historyWatch // of the runs' targets, and with late of all
	runner    *runner       // nil: there are no runs
	vandals   *vandals      // of the variant vandal; nil: none
	pace      []paceRatio   // likewise
	late      []string      // likewise: targets that do not have their last values
	changes   []*change
	forward   int           // retries that were brought forward
	calm      time.Time     // when the last fault was over
	drained   time.Duration // from then until all tasks had ended
}

// perform is the whole of a run.
func perform(ctx context.Context, out io.Writer, o settings, dir string) (err error) {
	s := &scene{settings: o, out: out, dir: dir, began: time.Now(), school: newSchool(o.tasks)}
	s.school.runs = newRunSchool(o.runs)
	defer s.close()
	if err := s.open(ctx); err != nil {
		return err
	}
	watching, enough := context.WithCancel(ctx)
	defer enough()
	go s.holds.run(watching)
	s.changes = plan(s.school, o.tasks, o.seed)
	s.history = newHistoryWatch(s.rdb)
	if s.variant == late {
		s.history.watch(s.changes)
		go s.history.run(watching)
	}
	rage := s.rage
	if s.variant == vandal {
		rage = s.vandalise
	}
	if err := rage(ctx); err != nil {
		return err
	}
	verdict, err := s.judge(ctx, "after the chaos")
	if err != nil {
		return err
	}
	if lossy(s.variant) {
		if verdict, err = s.heal(ctx, verdict); err != nil {
			return err
		}
	}
	if s.variant == vandal {
		verdict.violations = append(verdict.violations, s.vandalViolations()...)
	}
	if failing(s.variant) {
		verdict.violations = append(verdict.violations, s.holds.violations()...)
	}
	if endsSoon(s.variant) {
		if most := drainsWithin(s.variant); s.drained > most {
			verdict.violations = append(verdict.violations, violation{ruleDrain, fmt.Sprintf(
				"tasks were open, or values to be sent again, for %s after the last fault, want %s at most", s.drained.Round(time.Second), most)})
		}
	}
	if n := s.fleet.quits.Load(); n > 0 {
		verdict.violations = append(verdict.violations, violation{ruleWorker, fmt.Sprintf("%d workers ended by themselves: see their logs", n)})
	}
	return s.report(verdict)
}

func (s *scene) open(ctx context.Context) (err error) {
	others := sides(s.variant)
	if s.platforms, err = openPlatforms(s.school, s.settings, others...); err != nil {
		return err
	}
	if s.servers, err = openServers(ctx, s.variant, s.dir); err != nil {
		return err
	}
	if s.rdb, err = s.servers.spot.Open(); err != nil {
		return err
	}
	if s.operator, err = openOperator(s.servers.spot); err != nil {
		return err
	}
	options, err := s.servers.spot.Options()
	if err != nil {
		return err
	}
	client, err := enqueue.New(enqueue.Config{Redis: options})
	if err != nil {
		return err
	}
	s.producer = &producer{client: client}
	if err := s.openRunner(options); err != nil {
		return err
	}
	binaries := []string{s.worker}
	if s.other != "" {
		binaries = append(binaries, filepath.Join(s.other, "worker"))
		s.producer.other = &otherProducer{command: filepath.Join(s.other, "enqueue"), redis: s.servers.spot.URL.Reveal()}
	}
	config := workerConfig(s.servers.section, s.platforms.url, s.variant, others...)
	workers := s.workers
	if s.variant == vandal { // half of them belong to the twin
		workers = max(1, workers/2)
	}
	if s.fleet, err = openFleet(binaries, s.dir, config, workers); err != nil {
		return err
	}
	s.storm = newStorm(s)
	s.holds = newHoldWatch(s.rdb)
	return eventually(ctx, "workers that serve all lanes", func(ctx context.Context) error {
		lanes, err := registry.Read(ctx, s.rdb, time.Now())
		if want := len(kinds.Names()) * (1 + len(others)); err == nil && len(lanes) < want {
			err = fmt.Errorf("%d of %d lanes are served; see %s", len(lanes), want, s.fleet.logs[0])
		}
		return err
	})
}

func (s *scene) close() {
	if s.fleet != nil {
		s.fleet.close()
	}
	if s.runner != nil {
		_ = s.runner.client.Close()
	}
	if s.producer != nil {
		_ = s.producer.client.Close()
	}
	if s.operator.inspector != nil {
		_ = s.operator.inspector.Close()
	}
	if s.rdb != nil {
		_ = s.rdb.Close()
	}
	if s.servers != nil {
		s.servers.close()
	}
	if s.platforms != nil {
		s.platforms.close()
	}
}

func (s *scene) logf(format string, arguments ...any) {
	fmt.Fprintf(s.out, "%6.1fs  %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, arguments...))
}

// rage lets the producer and the storm at it, and waits for both.
func (s *scene) rage(ctx context.Context) error {
	s.logf("chaos: %s, %d workers, %d tasks in %s, seed %d", s.variant, s.workers, s.tasks, s.duration, s.seed)
	raging, calm := context.WithTimeout(ctx, s.duration)
	defer calm()
	ended := make(chan error, 1)
	go func() { ended <- s.storm.rage(raging, s.duration) }()
	asked := make(chan struct{})
	// Changes that were not stored by the end of the chaos are enqueued again for a
	// while.
	asking, enough := context.WithTimeout(ctx, s.duration+2*time.Minute)
	defer enough()
	go func() {
		defer close(asked)
		s.producer.run(asking, s.changes, s.duration*9/10)
	}()
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		if s.runner != nil {
			s.runner.run(asking, s.duration)
		}
	}()
	tick := time.NewTicker(logEvery)
	defer tick.Stop()
	for waiting := 3; waiting > 0; {
		select {
		case <-tick.C:
			s.progress()
		case err := <-ended:
			ended = nil
			waiting--
			if err != nil {
				return err
			}
			s.logf("the chaos is over")
			s.platforms.DisarmAll()
			s.calm = time.Now()
		case <-asked:
			asked = nil
			waiting--
		case <-ran:
			ran = nil
			waiting--
		}
	}
	s.progress()
	return ctx.Err()
}

func (s *scene) progress() {
	s.logf("%d tasks acknowledged; %d calls; %d workers killed, Redis %d times, connections cut %d times",
		s.producer.acknowledged.Load(), s.platforms.Arrived(), s.storm.kills.Load(), s.storm.strikes.Load(), s.storm.cuts.Load())
}

// judge waits until all tasks have ended and consults the oracle.
func (s *scene) judge(ctx context.Context, when string) (verdict, error) {
	// How soon tasks end is part of what the variants behind a gateway check.
	var alone time.Duration
	if endsSoon(s.variant) {
		alone = drainsWithin(s.variant) - time.Since(s.calm)
	}
	open := func(context.Context) int { return 0 }
	if s.runner != nil {
		open = s.runner.open
	}
	n, err := s.operator.drain(ctx, s.drain, alone, open, s.logf)
	s.forward += n
	if err == nil && s.variant == late {
		err = s.resent(ctx, alone)
	}
	if err != nil {
		return verdict{}, err
	}
	if s.drained == 0 {
		s.drained = time.Since(s.calm)
	}
	if failing(s.variant) { // a hold that began with the last fault is seen to end, or not to
		pause(ctx, holdMost+4*holdsEvery-time.Since(s.calm))
	}
	s.logf("drained; %d retries that were more than %s off were brought forward", s.forward, soon)
	ev, err := s.evidence(ctx)
	if err != nil {
		return verdict{}, err
	}
	v := consult(ev, s.all(), s.variant)
	if s.runner != nil {
		v.violations = append(v.violations, s.runner.violations(ev)...)
	}
	s.describe(when, ev, v)
	return v, nil
}

// sweepsTake bounds how long the run waits for the sweeps that process tasks which
// ended unseen: they run every few seconds, some of them less often.
const sweepsTake = 90 * time.Second

// evidence collects it once nothing is left for a sweep to do, or time is up.
func (s *scene) evidence(ctx context.Context) (ev *evidence, err error) {
	for deadline := time.Now().Add(sweepsTake); ; {
		pause(ctx, 6*time.Second)
		err = eventually(ctx, "Redis, to be read", func(ctx context.Context) (err error) {
			if ev, err = collect(ctx, s.rdb, s.operator, s.platforms, s.all()); err != nil {
				return err
			}
			if s.runner != nil {
				if ev.sent, err = s.runner.results(ctx); err != nil {
					return err
				}
			}
			if s.runner != nil { // its targets have few changes: they are read at the end alone
				s.history.watch(s.runner.plan.all())
			}
			err = s.history.read(ctx)
			ev.history = s.history.histories()
			return err
		})
		if err != nil || ev.settled() || time.Now().After(deadline) || ctx.Err() != nil {
			return ev, err
		}
	}
}

// report lists the violations: the first of each rule on the screen, all in a file.
func (s *scene) report(v verdict) error {
	if len(v.violations) == 0 {
		s.logf("nothing is wrong")
		return nil
	}
	file, err := os.Create(filepath.Join(s.dir, "violations.txt"))
	if err != nil {
		return err
	}
	const shown = 5
	counts := map[string]int{}
	for _, x := range v.violations {
		fmt.Fprintf(file, "%s: %s\n", x.rule, x.text)
		if counts[x.rule]++; counts[x.rule] <= shown {
			fmt.Fprintf(s.out, "  %s: %s\n", x.rule, x.text)
		}
	}
	for _, rule := range sortedKeys(counts) {
		s.logf("%d × %s", counts[rule], rule)
	}
	return errors.Join(fmt.Errorf("%w, %d times: seed %d, %s", errViolated, len(v.violations), s.seed, file.Name()), file.Close())
}
