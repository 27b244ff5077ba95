package overview

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/hold"
	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
	"rollcall/internal/pace"
	"rollcall/internal/redisdb"
	"rollcall/internal/run"
	"rollcall/internal/schedule"
)

const (
	// fresh is how old a reading may be that several callers share.
	fresh = 2 * time.Second
	// freshest bounds that age if a reading is expensive: a reading may take a sixtieth of the
	// time at most, unless it takes more than 80 ms.
	freshest = 5 * time.Second
	// expensive is a reading that no page waits for if another one is at hand, and so is one of
	// more than fewLanes lanes: it needs a command for each.
	expensive = 100 * time.Millisecond
	fewLanes  = 40
	// usable bounds the age of that other one: Watch reads a new one in the meantime.
	usable = 2 * sampleEvery
	// within bounds a reading: a page must say within 10 s that Redis does not answer.
	within = 3 * time.Second
	// sampleEvery and samplesKept give ten minutes of the lanes' rates.
	sampleEvery = 10 * time.Second
	samplesKept = 60
	// newestRuns is how many runs are searched for those that wait for a person.
	newestRuns = 100
	// probeKey never exists: see [redisdb.Writable].
	probeKey = "rollcall:probe"
)

// Config is what a Reader needs.
type Config struct {
	// Redis is what is read. Required; the caller closes it.
	Redis redis.UniversalClient
	// Ledger counts dead letters. Required.
	Ledger *ledger.Ledger
	// Runs finds runs that wait for a person. Required.
	Runs *run.Service
	// Within bounds a reading. 0: 3 s.
	Within time.Duration
	// Now returns the time. nil: time.Now.
	Now func() time.Time
}

// Reader reads the state for all who look, and remembers the rates of the last minutes. It is
// safe for concurrent use.
type Reader struct {
	rdb       redis.UniversalClient
	ledger    *ledger.Ledger
	runs      *run.Service
	schedules *schedule.Store
	within    time.Duration
	now       func() time.Time

	reading sync.Mutex // held during a reading, so that one serves all callers
	sampled time.Time
	samples map[string][]Sample
	workers map[string]Worker
	days    map[string][]pace.MonthDay // by organisation
	daysAt  time.Time                  // when they were read

	asked chan struct{} // wakes Watch

	mu       sync.Mutex // guards what follows
	watching bool
	last     *State
	tried    time.Time // zero: the next caller needs a new reading
	looked   time.Time // when State was called last
	cost     time.Duration
}

// State is what is going on at one time.
type State struct {
	Lanes

	// Err is why the rest is older than this: Redis is unavailable, or refuses writes. nil: it
	// is not. Since is when that was first seen.
	Err   error
	Since time.Time
	// Read is when the rest was read. Zero: never.
	Read time.Time

	Holds     []Held
	Months    []Month
	Workers   []Worker
	Servers   []Server
	Runs      []run.Run // that wait for a person's decision, or are paused
	Recent    []run.Run // the newest 100, also those
	Dead      []Dead
	Schedules schedule.Survey
	Rates     map[string][]Sample // by lane, the oldest first
}

// Held is a hold with the lanes that it stops.
type Held struct {
	hold.Hold

	Lanes []string
}

// Dead counts the dead letters of a lane by class.
type Dead struct {
	Lane  string
	Class outcome.Class
	Count int64
}

// Sample is a lane's rate at a time, in calls per second.
type Sample struct {
	At            time.Time
	Used, Allowed float64
}

// NewReader returns a Reader that has read nothing yet.
func NewReader(cfg Config) *Reader {
	r := &Reader{
		rdb: cfg.Redis, ledger: cfg.Ledger, runs: cfg.Runs, schedules: schedule.NewStore(cfg.Redis), within: cmp.Or(cfg.Within, within), now: cfg.Now,
		samples: map[string][]Sample{}, workers: map[string]Worker{}, asked: make(chan struct{}, 1),
	}
	if r.now == nil {
		r.now = time.Now
	}
	return r
}

// Watch reads the state until ctx ends: every ten seconds, so that a page shows the last
// minutes when it is opened, and as soon as it is due while somebody looks.
func (r *Reader) Watch(ctx context.Context) {
	r.setWatching(true)
	defer r.setWatching(false)
	for {
		r.renew(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(r.pause()):
		case <-r.asked:
		}
	}
}

// pause returns how long Watch waits for the next reading.
func (r *Reader) pause() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now().Sub(r.looked) > sampleEvery {
		return sampleEvery
	}
	return r.shared()
}

// shared returns how old a reading may be that several callers share.
func (r *Reader) shared() time.Duration { return min(max(fresh, 60*r.cost), freshest) }

func (r *Reader) setWatching(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watching = on
}

// State returns the state, at most 2 s old, or 5 s if reading it takes long. If Redis is
// unavailable it returns the last state that was read, with the reason. Cost: some 15 round
// trips for any number of lanes, shared by all callers; none if that takes long and Watch runs,
// which then reads the next state.
func (r *Reader) State(ctx context.Context) *State {
	r.mu.Lock()
	r.looked = r.now()
	r.mu.Unlock()
	last, due := r.recent()
	if last == nil {
		return r.renew(ctx)
	}
	if due {
		select {
		case r.asked <- struct{}{}:
		default: // Watch knows.
		}
	}
	return last
}

// recent returns the last state if a caller may have it, and whether the next one is due.
func (r *Reader) recent() (last *State, due bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	age := r.now().Sub(r.tried)
	due = age >= r.shared()
	cheap := r.cost < expensive && r.last != nil && len(r.last.Lanes.Lanes) <= fewLanes
	if r.tried.IsZero() || due && (!r.watching || cheap || age > usable) {
		return nil, true
	}
	return r.last, due
}

// renew reads the state, unless another caller has done so in the meantime.
func (r *Reader) renew(ctx context.Context) *State {
	r.reading.Lock()
	defer r.reading.Unlock()
	if last, due := r.recent(); !due {
		return last
	}
	// The caller may leave, but the reading serves others, too.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.within)
	defer cancel()
	now := r.now()
	next, err := r.read(ctx, now)
	if err == nil {
		next.Read = now
		err = redisdb.Writable(ctx, r.rdb, probeKey)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.last
	if next == nil {
		next = &State{Lanes: Lanes{Now: now}}
		if last != nil {
			old := *last
			next = &old
			next.Now = now
		}
	}
	next.Err, next.Since = err, now
	if err == nil {
		next.Since = time.Time{}
	} else if last != nil && last.Err != nil {
		next.Since = last.Since
	}
	r.tried, r.cost, r.last = now, r.now().Sub(now), next
	return next
}

// Refresh makes the next State read again what a person has just changed.
func (r *Reader) Refresh() {
	r.reading.Lock() // The reading under way may be from before the change.
	defer r.reading.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tried = time.Time{}
}

// read reads everything. What a person could repair without the rest, such as a damaged list of
// runs, is left out: the lanes must be seen.
func (r *Reader) read(ctx context.Context, now time.Time) (*State, error) {
	lanes, err := ReadLanes(ctx, r.rdb, now)
	if err != nil {
		return nil, err
	}
	s := &State{Lanes: *lanes, Holds: lanes.held(), Months: lanes.Months()}
	if err := r.readDays(ctx, s.Months, now); err != nil {
		return nil, err
	}
	if s.Workers, err = r.readWorkers(ctx, now); err != nil {
		return nil, err
	}
	s.Servers = readServers(ctx, r.rdb)
	var faults []error
	runs, err := r.runs.List(ctx, run.Filter{N: newestRuns})
	faults = append(faults, passing(err))
	s.Recent = runs
	for _, some := range runs {
		if some.State == run.StateHeld || some.State == run.StatePaused {
			s.Runs = append(s.Runs, some)
		}
	}
	s.Dead, err = r.readDead(ctx)
	faults = append(faults, passing(err))
	s.Schedules, err = r.schedules.List(ctx)
	if err := errors.Join(append(faults, passing(err))...); err != nil {
		return nil, err
	}
	r.sample(s, now)
	return s, nil
}

// readDead counts the dead letters, also of lanes that are no longer served. Cost: two round
// trips.
func (r *Reader) readDead(ctx context.Context) ([]Dead, error) {
	lanes, err := r.ledger.DeadLetterLanes(ctx)
	if err != nil || len(lanes) == 0 {
		return nil, err
	}
	causes, err := r.ledger.DeadCauses(ctx, lanes...)
	if err != nil {
		return nil, err
	}
	var all []Dead
	for _, lane := range slices.Sorted(maps.Keys(causes)) {
		counts := map[outcome.Class]int64{}
		for _, c := range causes[lane] {
			counts[outcome.Class(c.Class)] += c.DeadLetters
		}
		for _, class := range slices.Sorted(maps.Keys(counts)) {
			all = append(all, Dead{lane, class, counts[class]})
		}
	}
	return all, nil
}

// passing returns an error of a Redis that is unavailable, and nil for one of a damaged key.
func passing(err error) error {
	if _, is := redisdb.FaultOf(err); is {
		return fmt.Errorf("read the state: %w", err)
	}
	return nil
}

// sample remembers the rates.
func (r *Reader) sample(s *State, now time.Time) {
	if now.Sub(r.sampled) >= sampleEvery/2 {
		r.sampled = now
		next := make(map[string][]Sample, len(s.Lanes.Lanes))
		for _, l := range s.Lanes.Lanes {
			all := append(slices.Clone(r.samples[l.Name()]), Sample{now, l.Pace.InUse, l.Pace.Allowed})
			next[l.Name()] = all[max(0, len(all)-samplesKept):]
		}
		r.samples = next
	}
	s.Rates = r.samples
}

// held returns each hold once, with the lanes that it stops; those that stop most first.
func (s *Lanes) held() []Held {
	at := map[string]int{}
	var all []Held
	for _, l := range s.Lanes {
		for _, h := range l.Holds {
			i, known := at[h.ID()]
			if !known {
				i = len(all)
				at[h.ID()] = i
				all = append(all, Held{Hold: h})
			}
			all[i].Lanes = append(all[i].Lanes, l.Name())
		}
	}
	for _, h := range s.Strays {
		all = append(all, Held{Hold: h})
	}
	slices.SortStableFunc(all, func(x, y Held) int {
		if x.Bulk != y.Bulk {
			if x.Bulk {
				return 1
			}
			return -1
		}
		return cmp.Compare(len(y.Lanes), len(x.Lanes))
	})
	return all
}

// Find returns a hold of the state by its identity.
func (s *State) Find(id string) (Held, bool) {
	i := slices.IndexFunc(s.Holds, func(h Held) bool { return h.ID() == id })
	if i < 0 {
		return Held{}, false
	}
	return s.Holds[i], true
}

// Covers reports whether a lane is in a scope.
func (s *State) Covers(scope hold.Scope) bool {
	return slices.ContainsFunc(s.Lanes.Lanes, func(l Lane) bool { return slices.Contains(l.Scopes(), scope) })
}
