package lane

import (
	"context"

	"rollcall/internal/redisdb"
)

// The messages of a recall that failed, and of one that succeeded after that.
const (
	notRecalled = "recent results not written again to a Redis that may have lost them; the next look tries again"
	recalled    = "recent results written again"
)

// recall tells a Redis that may have lost its memory what this worker did last. It
// may have where a server takes writes that did not before: one that was started
// anew, or a replica that took over. One round trip, or one to each master of a
// Cluster.
func (s *Set) recall(ctx context.Context) {
	ids, err := redisdb.Servers(ctx, s.rdb)
	if err != nil {
		s.log.Debug("which servers take writes is not known; the next look asks again", "err", err)
		return
	}
	known := s.servers
	if known == nil {
		s.servers = map[string]bool{}
	}
	for _, id := range ids {
		if known != nil && !known[id] {
			forgotten, err := s.ledger.Recall(ctx)
			s.outcome(notRecalled, recalled, err)
			if err != nil {
				return
			}
			s.log.Info("another Redis server takes writes, or it was started anew, and was told what this worker did last",
				"targets_forgotten", forgotten)
			known = nil // it was told for all of them
		}
		s.servers[id] = true
	}
}
