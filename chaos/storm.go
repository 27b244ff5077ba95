package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// storm is the chaos.
type storm struct {
	fleet   *fleet
	servers *servers
	seed    uint64
	logf    func(format string, arguments ...any)
	spare   time.Duration // the longest time between two kills of workers

	kills, strikes, cuts atomic.Int64
}

func newStorm(s *scene) *storm {
	storm := &storm{fleet: s.fleet, servers: s.servers, seed: s.seed, logf: s.logf, spare: 5 * time.Second}
	if failing(s.variant) {
		storm.spare = 4 * time.Second
	}
	return storm
}

// rage kills and disconnects until ctx ends, and returns when everything it stopped
// runs again. An error means that something did not start again.
func (s *storm) rage(ctx context.Context, length time.Duration) error {
	// A step that was started is finished: a stopped Redis must run again.
	outlive := context.WithoutCancel(ctx)
	var group sync.WaitGroup
	var failed [2]error
	every := func(stream uint64, least, most time.Duration, do func(*rand.Rand) error) (err error) {
		r := rand.New(rand.NewPCG(s.seed, stream)) //nolint:gosec // equal seeds must give equal chaos
		for err == nil {
			if pause(ctx, between(r, least, most)); ctx.Err() != nil {
				break // it is over, as it should be
			}
			err = do(r)
		}
		return err
	}
	group.Go(func() {
		failed[0] = every(2, 2*time.Second, s.spare, func(r *rand.Rand) error {
			s.kills.Add(1)
			return s.fleet.kill(r.IntN(len(s.fleet.workers)))
		})
	})
	group.Go(func() {
		// A short run sees one, too.
		least := min(s.servers.every, length/4)
		failed[1] = every(3, least, 2*least, func(r *rand.Rand) error {
			did, err := s.servers.strike(outlive, r)
			s.strikes.Add(1)
			s.logf("%s", did)
			return err
		})
	})
	group.Go(func() {
		_ = every(4, 5*time.Second, 15*time.Second, func(*rand.Rand) error {
			s.cuts.Add(1)
			s.servers.cut(outlive)
			return nil
		})
	})
	group.Wait()
	return errors.Join(failed[:]...)
}
