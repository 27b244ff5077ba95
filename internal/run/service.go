package run

import (
	"context"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
	"rollcall/internal/ledger"
	"rollcall/internal/registry"
)

// Config is what a Service needs.
type Config struct {
	// Redis is where runs are kept. Required; the caller closes it.
	Redis redis.UniversalClient
	// Ledger is on the same Redis. Required.
	Ledger *ledger.Ledger
	// Now returns the time. nil: time.Now.
	Now func() time.Time
	// Keep is how long a run is kept after its last change. 0: as long as the workers say, 90
	// days if none does.
	Keep time.Duration
}

// Service makes, plans and steers runs. Commands, schedules and the worker use the same.
// It is safe for concurrent use. Errors that the caller can act on are *NotFoundError,
// *StateError, *DigestError, *GapError and *CountError; others are of Redis, and then the
// call may be repeated.
type Service struct {
	rdb    redis.UniversalClient
	ledger *ledger.Ledger
	lanes  *registry.Directory
	now    func() time.Time
	keep   keeping
	asynq  *asynq.Client
}

// New returns a Service. It does not connect yet.
func New(cfg Config) *Service {
	s := &Service{
		rdb: cfg.Redis, ledger: cfg.Ledger, now: cfg.Now, keep: keeping{set: cfg.Keep},
		asynq: asynq.NewClientFromRedisClient(backlog.Tolerant(cfg.Redis)),
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.lanes = registry.NewDirectory(s.rdb, s.now)
	return s
}

// Reject ends a run that is planned or held.
func (s *Service) Reject(ctx context.Context, id, by, reason string) (Run, error) {
	return s.end(ctx, id, eventReject, by, reason)
}

// Pause stops a run that was applied: no call leaves later than one second after it
// returns. Rows that are in queues wait there.
func (s *Service) Pause(ctx context.Context, id, by, reason string) (Run, error) {
	return s.end(ctx, id, eventPause, by, reason)
}

// Cancel ends a run: no call leaves later than one second after it returns.
func (s *Service) Cancel(ctx context.Context, id, by, reason string) (Run, error) {
	return s.end(ctx, id, eventCancel, by, reason)
}

// Filter selects runs of a list. The zero value: the newest 20.
type Filter struct {
	Name   string    // only runs with this label
	Tenant string    // only runs with rows of this tenant; runs that are not planned have none
	States []State   // only in these states; nil: all
	Before time.Time // only runs that were created before; zero: all
	After  time.Time // only runs that were created after, the oldest of these; zero: all
	N      int       // at most so many; 0: 20
}
