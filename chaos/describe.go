package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"rollcall/internal/sandbox"
	"rollcall/tasks"
)

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// describe prints what happened, in numbers.
func (s *scene) describe(when string, ev *evidence, v verdict) {
	s.logf("%s:", when)
	row := func(name string, n any) { fmt.Fprintf(s.out, "  %-60s %7v\n", name, n) }
	row("workers killed", s.storm.kills.Load())
	row("Redis killed", s.storm.strikes.Load())
	row("connections cut", s.storm.cuts.Load())
	said, err := s.fleet.said(saidRecovered, saidArchived)
	if err == nil {
		row("tasks of dead workers, run again", said[saidRecovered])
		row("archived by asynq alone, and found", said[saidArchived])
	}
	row("seconds from the last fault until all tasks had ended", int(s.drained.Seconds()))
	held, longest := s.holds.held(), time.Duration(0)
	for _, h := range held {
		longest = max(longest, h.seen.Sub(h.Since))
	}
	row("holds that workers set", len(held))
	row("the longest of them, in seconds", int(longest.Seconds()))
	row("answers to producers lost twice", s.producer.unknown.Load())
	row("times a producer got the result that nothing is stored", s.producer.refused.Load())
	if s.producer.other != nil {
		row("requests of the other commit's command", s.producer.byOther.Load())
	}
	for _, end := range sortedKeys(v.ends) {
		row("tasks: "+end, v.ends[end])
	}
	for _, reason := range sortedKeys(v.excused) {
		row("not the value of the latest change: "+reason, v.excused[reason])
	}
	if s.runner != nil {
		s.runner.describe(ev, row)
	}
	c := count(ev, s.all(), v)
	row("calls", c.calls)
	row("calls refused for the rate", c.refused)
	row("calls struck by a fault", c.struck)
	row("calls carried out", c.carried)
	row("tasks that needed one, and calls beyond 40 members each", c.needed)
	row("duplicate calls", c.duplicate)
	if s.variant == late {
		row("settled while an earlier request could still take effect", v.lateSettles)
		row("values sent again", v.again)
		row("targets with a gap in their history, in neither", v.gaps)
	}
	if s.vandals != nil {
		s.describeDamage(row)
	}
	if lossy(s.variant) {
		row("acknowledged and lost", len(v.lost))
	}
	for _, rule := range sortedKeys(byRule(v)) {
		row("wrong: "+rule, byRule(v)[rule])
	}
}

func byRule(v verdict) map[string]int {
	counts := map[string]int{}
	for _, x := range v.violations {
		counts[x.rule]++
	}
	return counts
}

// What workers log, docs/worker.md.
const (
	saidRecovered = "task of a dead worker made pending again"
	saidArchived  = "dead letters written for tasks that asynq archived"
)

type counts struct{ calls, refused, struck, carried, needed, duplicate int }

// count counts calls. A call that a platform carried out in addition to the one that
// its task needed is a duplicate: it did no harm, but it had a cost.
func count(ev *evidence, changes []*change, v verdict) (c counts) {
	for _, call := range ev.calls {
		if call.API == "" || call.API == sandbox.APIToken {
			continue
		}
		c.calls++
		if call.Fault != "" {
			c.struck++
		}
		switch {
		case strings.Contains(call.Code, "QpsLimit"), call.Code == "90018", call.Code == "101003001":
			c.refused++
		case call.Effect != 0, call.Code == "0", call.Code == "1", call.Code == "ok":
			c.carried++
		}
	}
	for _, w := range changes {
		if f := v.results[w]; f.what == done && f.word != "unchanged" && f.word != "superseded" {
			c.needed++
			if t, ok := w.task.(tasks.GroupUpdate); ok {
				c.needed += max(0, len(t.AddUserIDs)-1) / 40
			}
		}
	}
	c.duplicate = c.carried - c.needed
	return c
}
