package main

import (
	"context"
	"fmt"
	"time"

	"rollcall/internal/ledger"
	runs "rollcall/internal/run"
)

const (
	// renames are those of a school, at a limit that is five times as high as that of the
	// platform: at 20 a second they would take twenty minutes.
	renames       = 24_000
	renamesQuick  = 600
	renamesLimit  = 100
	renamesShared = 2 // processes
)

// runGoodput compares a run of many renames with tasks of the same renames, as a share of
// the calls that the platform allows from the first call on: of ours until the last row,
// of the peer in the time in which all could have been made.
func runGoodput(ctx context.Context, t *theatre) ([]result, error) {
	s := setting{name: "run.goodput", kind: slidingKind, calls: renamesLimit, per: time.Second}
	ours, peer, err := both(ctx, t, s, func(ctx context.Context, s *side) (float64, error) { return s.rename(ctx, t.tempo.renames) })
	return []result{{
		"run.goodput", ours, peer, "of_the_limit", fmt.Sprintf("asynq.Client.Enqueue of the %d rows in a loop; %s", t.tempo.renames, bareIs(renamesShared)),
	}}, err
}

func (s *side) rename(ctx context.Context, n int) (float64, error) {
	if s.peer {
		if err := s.fill(ctx, n); err != nil {
			return 0, err
		}
	} else if err := s.applyRun(ctx, n); err != nil {
		return 0, err
	}
	if err := s.staff(ctx, renamesShared); err != nil {
		return 0, err
	}
	first, err := s.gate.first(ctx)
	if err != nil {
		return 0, err
	}
	possible := time.Duration(float64(n) / s.perSecond() * float64(time.Second))
	if s.peer {
		if err := s.gate.until(ctx, first+possible); err != nil {
			return 0, err
		}
		return float64(s.gate.calls().accepted()) / float64(n), nil
	}
	for end := first + 2*possible + drains; s.gate.now() < end; {
		if err := s.gate.until(ctx, s.gate.now()+50*time.Millisecond); err != nil {
			return 0, err
		}
		if all := s.gate.calls(); all.accepted() >= n {
			return possible.Seconds() / (all[len(all)-1].At - first).Seconds(), nil
		}
	}
	return 0, fmt.Errorf("%d of %d rows were carried out in twice the time", s.gate.calls().accepted(), n)
}

// applyRun plans and applies a run of n renames, which the workers feed.
func (s *side) applyRun(ctx context.Context, n int) error {
	planned, err := planRun(ctx, s.rdb, 0, n, task)
	if err != nil {
		return err
	}
	applied, err := runs.New(runs.Config{Redis: s.rdb, Ledger: ledger.New(s.rdb)}).Apply(ctx, planned.ID, planned.Plan.Digest, "bench")
	if err == nil && !applied.State.Applied() {
		err = fmt.Errorf("the run is %s: %s", applied.State, applied.Reason)
	}
	return err
}
