// Package night carries out one night of one schedule: it reads a roster from its source,
// compares it with what was applied, makes a run of the differences, holds it if
// something looks wrong, and reports what became of it.
//
// It must not know when a night is due, where rosters live, nor how a run is sent:
// package schedule calls it at each tick, package source reads, package run sends.
package night

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/ledger"
	"rollcall/internal/run"
	"rollcall/internal/source"
)

// Night is what one schedule does at each of its times.
type Night struct {
	Name   string // of the schedule; part of the keys in Redis
	Source source.Source
	Rule   Rule
	// Absence is what happens when somebody is missing in the roster.
	Absence Absence
	// Limits are how much smaller a roster may be than the last one.
	Limits Limits
	// Refresh is how unchanged names are confirmed.
	Refresh Refresh
	// Allowed are flags of guards that never hold this schedule, without dashes.
	Allowed []string
	// Canary is how many rows must end before the rest is sent. 0: 20. Negative: none.
	Canary int
	// Approvable is how long a held night can be approved. 0: 72 h.
	Approvable time.Duration
	// Notify is when others are notified. Empty: NotifyDecisions.
	Notify Notify
}

// Absence is what happens when members are missing in a complete reading.
type Absence struct {
	// Nights is how many complete nights in a row a member must be missing before they are
	// removed. 0: no member is removed.
	Nights int
	// Chats are those whose members the roster decides, by ID. Members of other chats are
	// never removed: they may have been there before.
	Chats []string
}

// Limits bound how much smaller a roster may be than the last accepted one. A night is
// held if a count and its share are both exceeded. Zero values: the defaults.
type Limits struct {
	Missing          int     // members in all. 0: 10
	MissingShare     float64 // 0: 0.1
	ChatMissing      int     // members of one chat. 0: 5
	ChatMissingShare float64 // 0: 0.3
}

// Notify is when others are notified of a report.
type Notify string

// The values of Notify.
const (
	NotifyDecisions Notify = "decisions" // when a person must decide
	NotifyAlways    Notify = "always"
	NotifyNever     Notify = "never"
)

// Config is what a Service needs.
type Config struct {
	// Redis keeps what is known between nights. Required; the caller closes it.
	Redis redis.UniversalClient
	// Runs makes and steers runs, on the same Redis. Required.
	Runs *run.Service
	// Ledger is on the same Redis. Required.
	Ledger *ledger.Ledger
	// Announce notifies others of a report. It may be called again with the same one. nil:
	// no one is notified.
	Announce func(ctx context.Context, r Report) error
	// Log receives a line for each report. nil: no log.
	Log *slog.Logger
	// Now returns the time. nil: time.Now.
	Now func() time.Time
}

// Service carries out nights. It is safe for concurrent use; the schedule sees to it that
// one schedule has one night at a time.
type Service struct {
	rdb      redis.UniversalClient
	runs     *run.Service
	ledger   *ledger.Ledger
	announce func(ctx context.Context, r Report) error
	log      *slog.Logger
	now      func() time.Time

	mu     sync.Mutex
	notify map[string]Notify // by schedule, of nights that this worker has carried out or knows
}

// New returns a Service. It does not connect yet.
func New(cfg Config) *Service {
	s := &Service{rdb: cfg.Redis, runs: cfg.Runs, ledger: cfg.Ledger, announce: cfg.Announce, log: cfg.Log, now: cfg.Now, notify: map[string]Notify{}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	return s
}

// patience is how long a source is read again that cannot be read.
const patience = 15 * time.Minute

// Run carries out the night that was due at tick until its run is sent or held, and returns
// its report so far. It may be repeated with the same tick: a night makes one run.
//
// An error says that the same tick is to be tried again: a *source.Error for about 15
// minutes while the source may become readable, others of Redis. A source that needs a
// person is a report in the state StateFailed.
func (s *Service) Run(ctx context.Context, n Night, tick time.Time) (Report, error) {
	s.Know(n)
	open, err := s.settle(ctx, n.Name)
	if err != nil {
		return Report{}, err
	}
	r := Report{Schedule: n.Name, Tick: tick.UTC(), At: s.now().UTC(), Tenants: []string{}}
	if open != nil && open.Report.Tick.Equal(tick) {
		if again, err := s.resume(ctx, n, open); again.State != "" || err != nil {
			return again, err
		}
		open = nil // its run was never planned
	} else if done, err := s.begin(ctx, &r); done || err != nil {
		return r, err
	}
	read, err := s.read(ctx, n, tick)
	if fault, ok := errors.AsType[*source.Error](err); ok {
		return s.unread(ctx, r, fault)
	}
	if err != nil {
		return r, err
	}
	return s.carryOut(ctx, n, r, read, open)
}

// begin fills in what earlier attempts at a night reported, and returns whether nothing is
// left to do: the night has a run, or a newer one began.
func (s *Service) begin(ctx context.Context, r *Report) (done bool, err error) {
	history, err := s.History(ctx, r.Schedule)
	if err != nil {
		return false, err
	}
	for _, old := range history {
		switch {
		case old.Tick.Equal(r.Tick) && old.State != StateWaiting:
			*r = old
			return true, nil
		case old.Tick.Equal(r.Tick):
			r.At = old.At // of the first attempt
		case old.Tick.After(r.Tick):
			r.State = StateReplaced
			return true, nil
		}
	}
	return false, nil
}

// unread reports a source that cannot be used, or that it is read again.
func (s *Service) unread(ctx context.Context, r Report, fault *source.Error) (Report, error) {
	r.Cause, r.Why = fault.Cause, fault.Error()
	if comesBack(fault.Cause) && s.now().Sub(r.At) < patience {
		r.State = StateWaiting
		if err := s.saveReport(ctx, r, nil); err != nil {
			return r, err
		}
		return r, fault
	}
	r.State, r.At = StateFailed, s.now().UTC()
	r.Decide = []string{fmt.Sprintf("source %s: %s", fault.Cause, fault)}
	return s.publish(ctx, r)
}

// comesBack reports whether a source may be readable a little later, without a person.
func comesBack(c source.Cause) bool {
	return c == source.Down || c == source.Slow || c == source.NotReady || c == source.Missing
}

// Know notes when others want to know of the reports of schedules, before their first
// night in this worker.
func (s *Service) Know(nights ...Night) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range nights {
		s.notify[n.Name] = n.Notify
	}
}

// attempt is an attempt at a night whose source was read, as far as it has come.
type attempt struct {
	Night

	read   *reading
	before base // the last accepted night
	marks  *marks
	found  *compared
	gone   *absences
	guards []run.Guard
	chosen *choice
}

// carryOut compares what was read, makes the run, and applies it.
func (s *Service) carryOut(ctx context.Context, n Night, r Report, read *reading, open *openNight) (Report, error) {
	if open != nil && open.Run != "" {
		if err := s.stopSending(ctx, open, r.Tick); err != nil {
			return r, err
		}
	}
	a, err := s.decide(ctx, n, read)
	if err != nil {
		return r, err
	}
	r.describe(a)
	next := &openNight{Fingerprint: a.fingerprint(), Base: a.nextBase(r.Tick), Complete: read.Complete, Report: r}
	if open != nil {
		kept, err := s.keepHeld(ctx, n.Name, open, next)
		if err != nil {
			return r, err
		}
		if kept != nil {
			return *kept, nil
		}
	}
	made, err := s.makeRun(ctx, a, next)
	if err != nil {
		return r, err
	}
	return s.conclude(ctx, n.Name, made, next, a)
}

// decide compares what was read with what is remembered, and decides what the night sends.
func (s *Service) decide(ctx context.Context, n Night, read *reading) (a *attempt, err error) {
	a = &attempt{Night: n, read: read}
	if a.before, err = s.base(ctx, n.Name); err != nil {
		return nil, err
	}
	if a.marks, err = s.marks(ctx, n.Name); err != nil {
		return nil, err
	}
	if a.found, err = s.compare(ctx, n, read, a.marks); err != nil {
		return nil, err
	}
	if a.gone, err = s.absences(ctx, a); err != nil {
		return nil, err
	}
	a.guards = a.holds()
	a.chosen, err = s.choose(ctx, a)
	return a, err
}
