package main

import (
	"context"
	"fmt"
	"time"
)

const (
	strangerTakes = 15 // calls a second
	changed       = 4  // processes
)

// change is a side's times after a change of the limit.
type change struct{ first, second float64 }

// stranger lets another client use a part of the limit for a while.
func stranger(ctx context.Context, t *theatre) ([]result, error) {
	s := setting{name: "stranger", kind: slidingKind, calls: sustained, per: time.Second}
	ours, peer, err := both(ctx, t, s, func(ctx context.Context, s *side) (change, error) {
		from, err := s.atFullRate(ctx, 2*t.tempo.visit+t.tempo.bound)
		if err != nil {
			return change{}, err
		}
		visit, leave := context.WithTimeout(ctx, t.tempo.visit)
		s.gate.stranger(visit, strangerTakes)
		leave()
		left := s.gate.now()
		back, err := s.back(ctx, left)
		if err != nil {
			return change{}, err
		}
		return change{s.gate.calls().between(from, left+back).refused(), back.Seconds()}, nil
	})
	if err != nil {
		return nil, err
	}
	peerIs := fmt.Sprintf("%s; no more than %s is waited", bareIs(changed), t.tempo.bound)
	return []result{
		{"pace.stranger.refused", ours.first, peer.first, "%", peerIs},
		{"pace.stranger.back", ours.second, peer.second, "s", peerIs},
	}, nil
}

// halved is a platform that allows half as much for a while.
func halved(ctx context.Context, t *theatre) ([]result, error) {
	s := setting{name: "halved", kind: slidingKind, calls: sustained, per: time.Second}
	ours, peer, err := both(ctx, t, s, func(ctx context.Context, s *side) (change, error) {
		if _, err := s.atFullRate(ctx, t.tempo.settled+2*t.tempo.bound); err != nil {
			return change{}, err
		}
		settled, err := s.since(ctx, s.gate.allow(sustained/2), t.tempo.settled, func(c calls) bool {
			return c.refused() <= 5 && float64(c.accepted()) >= 0.85*sustained/2*t.tempo.settled.Seconds()
		})
		if err != nil {
			return change{}, err
		}
		back, err := s.back(ctx, s.gate.allow(sustained))
		return change{settled.Seconds(), back.Seconds()}, err
	})
	if err != nil {
		return nil, err
	}
	peerIs := fmt.Sprintf("%s; no more than %s is waited", bareIs(changed), t.tempo.bound)
	return []result{
		{"pace.halved.settled", ours.first, peer.first, "s", peerIs},
		{"pace.halved.back", ours.second, peer.second, "s", peerIs},
	}, nil
}

// atFullRate starts the processes with work for so long and returns when they
// are warm.
func (s *side) atFullRate(ctx context.Context, length time.Duration) (time.Duration, error) {
	length += s.theatre.tempo.warm + 15*time.Second
	if err := s.fill(ctx, int(s.perSecond()*length.Seconds())); err != nil {
		return 0, err
	}
	if err := s.staff(ctx, changed); err != nil {
		return 0, err
	}
	began, err := s.gate.first(ctx)
	if err != nil {
		return 0, err
	}
	warm := began + s.theatre.tempo.warm
	return warm, s.gate.until(ctx, warm)
}

// back is how long after from the full rate is reached again.
func (s *side) back(ctx context.Context, from time.Duration) (time.Duration, error) {
	full := s.theatre.tempo.full
	return s.since(ctx, from, full, func(c calls) bool {
		return float64(c.accepted()) >= restored*s.perSecond()*full.Seconds()
	})
}

// since waits until something is true of the calls of a span that began after
// from, and returns how long after; the bound if it did not become true.
func (s *side) since(ctx context.Context, from, span time.Duration, holds func(calls) bool) (time.Duration, error) {
	bound := s.theatre.tempo.bound
	for now := s.gate.now(); now < from+bound+span; now = s.gate.now() {
		if after, ok := s.gate.calls().since(from, now, span, holds); ok {
			return after, nil
		}
		if err := s.gate.until(ctx, now+4*step); err != nil {
			return 0, err
		}
	}
	return bound, nil
}
