package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"rollcall/internal/enqueue"
	"rollcall/internal/sandbox"
	"rollcall/tasks"
)

const (
	// warmUp is how long the lanes may take to reach their pace.
	warmUp = 10 * time.Second
	// paceKept is the part of the twin's pace that another organisation must reach.
	paceKept = 0.9
	// final is how many targets of each kind are changed at the end, to see that the
	// victim's lanes work, and finalWithin how long that may take.
	final       = 10
	finalWithin = 2 * time.Minute
)

// sides are the organisations of the variant vandal that the plan does not know.
func sides(variant string) []side {
	if variant != vandal {
		return nil
	}
	return []side{newSide(victim, "1000011"), newSide(paced, "1000012")}
}

// vandalise is rage for the variant vandal: the plan's organisation and two others work,
// a while undisturbed and then with the keys of one of them being damaged. A twin, with a
// Redis and workers of its own, does the same next to it without any damage: what else the
// machine does slows down both.
func (s *scene) vandalise(ctx context.Context) error {
	s.logf("chaos: %s, %d workers, %d tasks in %s, seed %d", s.variant, s.workers, s.tasks, s.duration, s.seed)
	twin := &scene{settings: s.settings, out: io.Discard, dir: filepath.Join(s.dir, "twin"), began: s.began, school: s.school}
	defer twin.close()
	if err := os.Mkdir(twin.dir, 0o700); err != nil {
		return err
	}
	if err := twin.open(ctx); err != nil {
		return err
	}
	twin.changes = plan(s.school, s.tasks, s.seed)
	work, err := s.work(ctx)
	if err != nil {
		return err
	}
	defer work.end()
	undisturbed, err := twin.work(ctx)
	if err != nil {
		return err
	}
	defer undisturbed.end()

	begin := time.Now()
	pause(ctx, max(warmUp, s.duration/6))
	s.logf("the damage begins")
	damaged := span{from: time.Now()}
	if err := s.damage(ctx, begin.Add(s.duration)); err != nil {
		return err
	}
	damaged.to = time.Now()
	s.pace = paces(s.platforms.Calls(), twin.platforms.Calls(), paced, damaged)
	s.logf("the damage is over")
	undisturbed.end()
	if err := s.vandals.repairAll(ctx); err != nil {
		return err
	}
	work.dry()
	s.logf("%s: %d tasks stored, %d not", victim, work.victim.stored.Load(), work.victim.failed.Load())
	s.calm = time.Now()
	s.late = s.finish(ctx, work.victim)
	select {
	case <-work.asked:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// work is what enqueues the tasks of all organisations.
type work struct {
	victim *feeder
	asked  chan struct{} // closed when the plan is enqueued
	dry    func()        // ends the tasks of the victim
	end    func()        // ends all; it may be called again
}

func (s *scene) work(ctx context.Context) (*work, error) {
	fed, enough := context.WithCancel(ctx)
	trickling, stop := context.WithCancel(fed)
	w := &work{asked: make(chan struct{})}
	var busy, trickle sync.WaitGroup
	var feeders []*feeder
	w.dry = func() { stop(); trickle.Wait() }
	w.end = sync.OnceFunc(func() {
		enough()
		w.dry()
		busy.Wait()
		for _, f := range feeders {
			_ = f.client.Close()
		}
	})
	pacers := map[tasks.Kind]*feeder{}
	for _, other := range sides(s.variant) {
		kinds := []tasks.Kind{tasks.KindNickname, tasks.KindGroup, tasks.KindCourse}
		if other.name == victim {
			kinds = kinds[:1]
		}
		for _, kind := range kinds {
			f, err := s.feeder(other)
			if err != nil {
				w.end()
				return nil, err
			}
			feeders = append(feeders, f)
			if other.name == victim {
				w.victim = f
			} else {
				pacers[kind] = f
			}
		}
	}
	busy.Go(func() { saturate(fed, pacers) })
	trickle.Go(func() { w.victim.trickle(trickling) })
	if options, err := s.servers.spot.Options(); err == nil {
		trickle.Go(func() { w.victim.applyRuns(trickling, options) })
	}
	busy.Go(func() {
		defer close(w.asked)
		s.producer.run(fed, s.changes, s.duration*9/10)
	})
	return w, nil
}

func (s *scene) feeder(of side) (*feeder, error) {
	options, err := s.servers.spot.Options()
	if err != nil {
		return nil, err
	}
	client, err := enqueue.New(enqueue.Config{Redis: options})
	if err != nil {
		return nil, err
	}
	return &feeder{side: of, client: client, rdb: s.rdb}, nil
}

// damage lets the vandals at the victim's keys until a time.
func (s *scene) damage(ctx context.Context, until time.Time) error {
	s.vandals = &vandals{
		rdb: s.rdb, random: rand.New(rand.NewPCG(s.seed, 5)), //nolint:gosec // equal seeds must give equal chaos
		logs: newLogTail(s.fleet.logs), logf: s.logf, lost: map[string]int{},
		repairer: repairer{filepath.Join(filepath.Dir(s.worker), "rollcall"), s.servers.spot.URL.Reveal()},
	}
	if _, err := s.vandals.logs.warnings(); err != nil { // those of before
		return err
	}
	raging, calm := context.WithDeadline(ctx, until)
	defer calm()
	ticking, stop := context.WithCancel(ctx)
	var progress sync.WaitGroup
	progress.Go(func() {
		for ticking.Err() == nil {
			pause(ticking, logEvery)
			s.logf("%d of %d tasks acknowledged; %d calls", s.producer.acknowledged.Load(), len(s.changes), s.platforms.Arrived())
		}
	})
	err := s.vandals.run(raging)
	if err == nil {
		err = s.vandals.rest(ctx)
	}
	stop()
	progress.Wait()
	return err
}

// span is a stretch of time.
type span struct{ from, to time.Time }

// paceRatio is how fast the calls of an API were, compared with those of the twin.
type paceRatio struct {
	api   string
	twin  float64 // calls a second
	ratio float64
}

// paces counts the calls of an organisation in a span, by API.
func paces(calls, twin []sandbox.Call, organisation string, during span) []paceRatio {
	counts := map[string]*[2]float64{}
	for i, list := range [][]sandbox.Call{calls, twin} {
		for _, c := range list {
			if c.Organisation != organisation || c.API == sandbox.APIToken || c.Time.Before(during.from) || !c.Time.Before(during.to) {
				continue
			}
			if counts[c.API] == nil {
				counts[c.API] = &[2]float64{}
			}
			counts[c.API][i] += 1 / during.to.Sub(during.from).Seconds()
		}
	}
	var all []paceRatio
	for _, api := range slices.Sorted(maps.Keys(counts)) {
		p := paceRatio{api: api, twin: counts[api][1]}
		if p.twin > 0 {
			p.ratio = counts[api][0] / p.twin
		}
		all = append(all, p)
	}
	return all
}

// finish changes some targets of the victim, and returns those that do not have their
// values in time.
func (s *scene) finish(ctx context.Context, f *feeder) (late []string) {
	var requests []tasks.Request
	wanted := map[fieldOf]string{}
	for i := range final {
		chat, pupil, person := f.chats[i], f.pupils[0], f.people[len(f.people)-1-i]
		name, id := fmt.Sprintf("last%d", i), fmt.Sprintf("last%s%02d", f.name, i)
		for _, task := range []tasks.Task{
			tasks.NicknameSync{Tenant: f.dingtalk(), ChatID: chat, UserID: pupil, Nickname: name},
			tasks.GroupUpdate{Tenant: f.dingtalk(), ChatID: chat, Name: name},
			tasks.IDChange{Tenant: f.dingtalk(), UserID: person, DingTalkID: id},
		} {
			requests = append(requests, tasks.Request{Task: task, Options: tasks.Options{Key: fmt.Sprintf("last/%d", len(requests))}})
		}
		wanted[fieldOf{string(tasks.KindNickname), chat + "/" + pupil, "nickname"}] = name
		wanted[fieldOf{string(tasks.KindGroup), chat, "name"}] = name
		wanted[fieldOf{string(tasks.KindID), person, "id"}] = id
	}
	deadline := time.Now().Add(finalWithin)
	for left := requests; len(left) > 0 && time.Now().Before(deadline); {
		var again []tasks.Request
		for i, r := range f.client.EnqueueAll(ctx, left) {
			if r.Outcome != tasks.Stored && r.Outcome != tasks.AlreadyThere {
				again = append(again, left[i])
			}
		}
		left = again
		pause(ctx, askAgain)
	}
	for {
		late = nil
		state, _ := s.platforms.State().Organisation(f.name)
		has := believed(state)
		for _, field := range slices.SortedFunc(maps.Keys(wanted), func(a, b fieldOf) int { return strings.Compare(a.api+a.key, b.api+b.key) }) {
			if has[field] != wanted[field] {
				late = append(late, fmt.Sprintf("%s %s: %s is %q, want %q", field.api, field.key, field.field, has[field], wanted[field]))
			}
		}
		if len(late) == 0 || time.Now().After(deadline) || ctx.Err() != nil {
			return late
		}
		pause(ctx, time.Second)
	}
}

// vandalViolations are those of the variant vandal alone.
func (s *scene) vandalViolations() []violation {
	all := s.vandals.violations()
	for _, p := range s.pace {
		if p.ratio < paceKept {
			all = append(all, violation{rulePace, fmt.Sprintf("%s of %s: %.3f of the %.1f calls a second of the undisturbed twin", p.api, paced, p.ratio, p.twin)})
		}
	}
	if len(s.pace) == 0 {
		all = append(all, violation{rulePace, paced + " made no call at all"})
	}
	for _, text := range s.late {
		all = append(all, violation{ruleUnrepaired, text})
	}
	for _, h := range s.holds.violations() {
		if !strings.Contains(h.text, victim) {
			all = append(all, h)
		}
	}
	return all
}

// describeDamage prints what the vandals did.
func (s *scene) describeDamage(row func(string, any)) {
	counts := map[string]int{}
	for _, k := range s.vandals.marks {
		counts["damaged keys: "+string(k.manner)]++
		switch reason := k.excuse(); {
		case !k.named.IsZero():
			counts["damaged keys that a log named"]++
		case k.read.IsZero():
			counts["damaged keys that were not read"]++
		case reason != "":
			counts["damaged keys without a name: "+reason]++
		}
	}
	for _, text := range sortedKeys(counts) {
		row(text, counts[text])
	}
	longest := time.Duration(0)
	for _, k := range s.vandals.marks {
		if !k.named.IsZero() && !k.read.IsZero() && k.excuse() == "" {
			longest = max(longest, k.named.Sub(k.read))
		}
	}
	row("longest from the first reading to the log, in seconds", int(longest.Seconds()))
	for _, what := range sortedKeys(s.vandals.lost) {
		row("lost: "+what, s.vandals.lost[what])
	}
	for _, p := range s.pace {
		row(fmt.Sprintf("%s of %s, of %.1f calls a second of the twin", p.api, paced, p.twin), fmt.Sprintf("%.3f", p.ratio))
	}
}
