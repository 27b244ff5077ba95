package lane

import (
	"context"

	"rollcall/internal/redisdb"
)

// The log messages of a recall that failed, and of the first that succeeded after that.
const (
	notRecalled = "recent results not written again to a Redis that may have lost them; retried at the next poll"
	recalled    = "recent results written again"
)

// recall writes this worker's recent results again to a Redis that may have lost its
// data. A loss is possible when a server accepts writes that did not before: a server
// that was restarted, or a replica that took over. Cost: one round trip, or one to each
// master of a Cluster.
func (s *Set) recall(ctx context.Context) {
	ids, err := redisdb.Servers(ctx, s.rdb)
	if err != nil {
		s.log.Debug("masters of Redis unknown; retried at the next poll", "err", err)
		return
	}
	known := s.servers
	if known == nil {
		s.servers = map[string]bool{}
	}
	for _, id := range ids {
		if known != nil && !known[id] {
			forgotten, err := s.ledger.Recall(ctx)
			s.Outcome(notRecalled, recalled, err)
			if err != nil {
				return
			}
			s.log.Info("redis has a new or restarted master: recent results written again",
				"targets_forgotten", forgotten)
			known = nil // recall wrote the results of all organisations
		}
		s.servers[id] = true
	}
}
