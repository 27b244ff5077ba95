package main

import (
	"context"
	"fmt"
	"time"
)

// goodput is a scene with a backlog that never ends: how many of the calls that
// the platform allows are made, and how many it refuses.
type goodput struct {
	name       string
	kind       string
	configured bool
	calls      int
	per        time.Duration
	processes  int
	measured   time.Duration
	killed     bool // the first process, in the middle
	drawn      bool
}

// yield is the result of a side.
type yield struct {
	goodput, refused float64
	stretch          stretch
}

func (g goodput) scene() scene {
	names := []string{"pace.goodput." + g.name, "pace.refused." + g.name}
	return scene{names: names, play: func(ctx context.Context, t *theatre) ([]result, error) {
		s := setting{name: g.name, kind: g.kind, configured: g.configured, calls: g.calls, per: g.per}
		ours, peer, err := both(ctx, t, s, g.play)
		if err != nil {
			return nil, err
		}
		if g.drawn && t.plots != "" {
			err = trace{
				Window: g.kind, Calls: g.calls, Per: g.per, Processes: g.processes, Length: t.tempo.excerpt,
				Ours: ours.stretch, Peer: peer.stretch,
			}.save(t.plots)
		}
		peerIs := bareIs(g.processes)
		return []result{
			{names[0], ours.goodput, peer.goodput, "of_the_limit", peerIs},
			{names[1], ours.refused, peer.refused, "%", peerIs},
		}, err
	}}
}

func (g goodput) play(ctx context.Context, s *side) (yield, error) {
	tempo := s.theatre.tempo
	length := tempo.warm + g.measured
	// Half a minute more than can be sent, and one window that a cold start may
	// send at once.
	if err := s.fill(ctx, g.calls+int(s.perSecond()*(length+30*time.Second).Seconds())); err != nil {
		return yield{}, err
	}
	if err := s.staff(ctx, g.processes); err != nil {
		return yield{}, err
	}
	began, err := s.gate.first(ctx)
	if err != nil {
		return yield{}, err
	}
	from, to := began+tempo.warm, began+length
	if g.killed {
		if err := s.gate.until(ctx, from+g.measured/2); err != nil {
			return yield{}, err
		}
		s.procs[0].stop()
	}
	if err := s.gate.until(ctx, to); err != nil {
		return yield{}, err
	}
	all := s.gate.calls()
	if all.accepted() >= s.queued {
		return yield{}, fmt.Errorf("the %d tasks did not last", s.queued)
	}
	measured := all.between(from, to)
	return yield{
		goodput: float64(measured.accepted()) / (s.perSecond() * g.measured.Seconds()),
		refused: measured.refused(),
		stretch: stretch{From: from + g.measured/6, Calls: all},
	}, nil
}
