package run

import (
	"context"
	"iter"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
	"rollcall/internal/ledger"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

// Config is what a Service needs.
type Config struct {
	// Redis is where runs are kept. Required; the caller closes it.
	Redis redis.UniversalClient
	// Ledger is on the same Redis. Required.
	Ledger *ledger.Ledger
	// Lanes are the lanes that are served. nil: read from Redis.
	Lanes *registry.Directory
	// Now returns the time. nil: time.Now.
	Now func() time.Time
	// Keep is how long a run is kept after its last change. 0: 90 days.
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
	keep   time.Duration
	asynq  *asynq.Client
}

// New returns a Service. It does not connect yet.
func New(cfg Config) *Service {
	s := &Service{
		rdb: cfg.Redis, ledger: cfg.Ledger, lanes: cfg.Lanes, now: cfg.Now, keep: cfg.Keep,
		asynq: asynq.NewClientFromRedisClient(backlog.Tolerant(cfg.Redis)),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.lanes == nil {
		s.lanes = registry.NewDirectory(s.rdb, s.now)
	}
	if s.keep == 0 {
		s.keep = defaultKeep
	}
	return s
}

// Create makes a run without rows, in the state uploading.
func (s *Service) Create(ctx context.Context, draft Draft) (Run, error) {
	return s.create(ctx, draft)
}

// Add adds rows from a position on, which counts from 0, and returns how many rows are
// in. Rows before that number are skipped: after a failure, add the same rows again, or
// continue at Run.Rows. Give a multiple of 256 rows at once, at most 4,096.
func (s *Service) Add(ctx context.Context, id string, from int, rows []Row) (in int, err error) {
	return s.add(ctx, id, from, rows)
}

// Seal ends the upload of a run that has n rows. It may be repeated.
func (s *Service) Seal(ctx context.Context, id string, n int) (Run, error) {
	return s.seal(ctx, id, n)
}

// Plan compares every row of a sealed run with the ledger and returns the run with its
// plan. It may be repeated until the run is applied; each time may give another digest.
// progress is called with the number of rows that are done; nil: it is not.
func (s *Service) Plan(ctx context.Context, id string, progress func(done, of int)) (Run, error) {
	return s.plan(ctx, id, progress)
}

// Allow adds guards to those that do not hold the run, by their Guard.Flag. The digest
// stays.
func (s *Service) Allow(ctx context.Context, id string, flags ...string) (Run, error) {
	return s.allow(ctx, id, flags)
}

// Rows returns the rows of the plan, in order.
func (s *Service) Rows(ctx context.Context, id string) iter.Seq2[Planned, error] {
	return s.planRows(ctx, id)
}

// Exclude leaves rows out of the plan with a digest, by their numbers, and returns the run
// with the plan of a new digest. Rows that were left out before stay out.
func (s *Service) Exclude(ctx context.Context, id, digest string, numbers []int) (Run, error) {
	return s.exclude(ctx, id, digest, numbers)
}

// Apply applies the plan with a digest, of which the first eight characters suffice. If a
// guard objects, the run is held instead. It may be repeated.
func (s *Service) Apply(ctx context.Context, id, digest, by string) (Run, error) {
	return s.apply(ctx, id, digest, by)
}

// Approve applies a run that is held.
func (s *Service) Approve(ctx context.Context, id, digest, by string) (Run, error) {
	return s.approve(ctx, id, digest, by)
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

// Resume continues a paused run.
func (s *Service) Resume(ctx context.Context, id, by string) (Run, error) {
	return s.resume(ctx, id, by)
}

// Cancel ends a run: no call leaves later than one second after it returns.
func (s *Service) Cancel(ctx context.Context, id, by, reason string) (Run, error) {
	return s.end(ctx, id, eventCancel, by, reason)
}

// Get returns a run, with its rows counted by outcome.
func (s *Service) Get(ctx context.Context, id string) (Run, error) {
	return s.get(ctx, id)
}

// Wait returns when the run has ended, or needs a person: it is held or paused. Before a
// run is applied it waits too.
func (s *Service) Wait(ctx context.Context, id string) (Run, error) { return s.wait(ctx, id) }

// Filter selects runs of a list. The zero value: the newest 20.
type Filter struct {
	Name   string    // only runs with this label
	Tenant string    // only runs with rows of this tenant; runs that are not planned have none
	States []State   // only in these states; nil: all
	Before time.Time // only runs that were created before; zero: all
	N      int       // at most so many; 0: 20
}

// List returns the newest runs, newest first, without Outcomes unless they have ended.
func (s *Service) List(ctx context.Context, f Filter) ([]Run, error) {
	return s.filtered(ctx, f)
}

// Find returns the id of a run by its id, by the beginning of its id (at least six
// characters), or by its name, of which the newest run counts. *NotFoundError if there is
// none.
func (s *Service) Find(ctx context.Context, word string) (id string, err error) {
	return s.find(ctx, word)
}

// Results returns all rows with their outcomes, in order. Rows of a run that was not
// applied have the outcome of their decision, or Waiting.
func (s *Service) Results(ctx context.Context, id string) iter.Seq2[Result, error] {
	return s.results(ctx, id)
}

// Undoable returns all rows of a run with the values that would undo them now, or why
// they cannot be undone.
func (s *Service) Undoable(ctx context.Context, id string) iter.Seq2[Undone, error] {
	return s.undoable(ctx, id)
}

// Undo makes a run that takes another one back, of the rows that can be undone, and seals
// it. Plan and apply it as any other. The run that is taken back must have ended, or be
// paused. Without a row that can be undone it returns a run without rows.
func (s *Service) Undo(ctx context.Context, id string, draft Draft) (Run, error) {
	return s.undo(ctx, id, draft)
}

// Verify compares the run that an undo takes back with what the undo did, by row.
func (s *Service) Verify(ctx context.Context, undo string) iter.Seq2[Verified, error] {
	return s.verify(ctx, undo)
}

// Forget removes what runs hold about some rows: their tasks, old values, request ids and
// messages. The rows keep their numbers, and the run its counts. Runs that were applied and
// have not ended are left alone. It reads all rows of all runs.
func (s *Service) Forget(ctx context.Context, matches func(tasks.Task) bool) (Forgotten, error) {
	return s.forget(ctx, matches)
}
