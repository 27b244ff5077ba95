package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"rollcall/tasks"
)

const (
	urgentLimit     = 20 // calls a second
	urgentProcesses = 2
	// urgentEvery is the mean interval of urgent tasks, which vary by up to a quarter
	// of it.
	urgentEvery = 400 * time.Millisecond
)

// urgent measures urgent tasks ahead of many others, from before they are enqueued
// until the platform accepts their calls.
func urgent(ctx context.Context, t *theatre) ([]result, error) {
	s := setting{name: "urgent", kind: slidingKind, calls: urgentLimit, per: time.Second}
	ours, peer, err := both(ctx, t, s, func(ctx context.Context, s *side) (float64, error) {
		if err := s.fill(ctx, t.tempo.bulk); err != nil {
			return 0, err
		}
		if err := s.staff(ctx, urgentProcesses); err != nil {
			return 0, err
		}
		began, err := s.gate.first(ctx)
		if err != nil {
			return 0, err
		}
		from := began + t.tempo.warm
		due := from
		enqueued := map[string]time.Duration{}
		for due < from+t.tempo.urgent {
			if err := s.gate.until(ctx, due); err != nil {
				return 0, err
			}
			task := task(t.tempo.bulk + len(enqueued))
			task.UserID = fmt.Sprintf("urgent%03d", len(enqueued))
			enqueued[task.UserID] = s.gate.now()
			if err := s.enqueue(ctx, task, bareQueue(0, true), tasks.Options{Urgent: true}); err != nil {
				return 0, err
			}
			due += urgentEvery*3/4 + rand.N(urgentEvery/2) //nolint:gosec // spreads, keeps no secret
		}
		return s.waits(ctx, enqueued)
	})
	if err != nil {
		return nil, err
	}
	return []result{{
		"pace.urgent_p99", ours, peer, "s",
		bareIs(urgentProcesses) + "; a queue for the urgent and StrictPriority",
	}}, nil
}

// waits is the 99th percentile, in seconds. A task that did not arrive by the
// end counts as if it had arrived then.
func (s *side) waits(ctx context.Context, enqueued map[string]time.Duration) (float64, error) {
	end := s.gate.now() + s.theatre.tempo.bound
	for {
		now := s.gate.now()
		arrived := s.gate.calls().arrivals()
		var waits []float64
		missing := 0
		for who, at := range enqueued {
			came, ok := arrived[who]
			if !ok {
				missing++
				came = now
			}
			waits = append(waits, (came - at).Seconds())
		}
		if missing == 0 || now >= end {
			return percentile(waits, 99), nil
		}
		if err := s.gate.until(ctx, now+4*step); err != nil {
			return 0, err
		}
	}
}
