// Package pace lets the calls of a lane leave one after another, evenly spaced
// and as fast as the platform allows, however many workers there are: each books
// its slots in Redis and sleeps until they come. Nothing is refused and asked
// again, so nothing is starved. What the platform refuses all the same is
// learned from, for all workers at once.
//
// It must not know tasks or platforms; a lane is a name to it. Model holds the
// arithmetic.
package pace

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// patience is how long a sender waits for a pause to end. Beyond it a sender
// would hold a worker and run out of its own time.
const patience = 5 * time.Second

// most bounds how many slots are asked for at once: a script's arguments and
// its answer are finite.
const most = 128

// askFor bounds a round trip to Redis.
const askFor = 5 * time.Second

// BookedOutError tells that a lane is paused for longer than is waited for.
type BookedOutError struct {
	For time.Duration // how long
}

// Error says when to come back.
func (e *BookedOutError) Error() string {
	return fmt.Sprintf("the lane is paused: its next slot is %s away", e.For.Round(time.Millisecond))
}

// SpentError tells that a counted limit allows no further call.
type SpentError struct {
	Why   string // WhyMonth, WhyReserve or WhyDay
	Spent int64  // calls of the month; 0 for WhyDay
}

// Error says what is spent.
func (e *SpentError) Error() string {
	switch e.Why {
	case WhyDay:
		return "the day's calls of this API are spent"
	case WhyReserve:
		return fmt.Sprintf("%d calls of the month are spent; the rest is kept for urgent tasks", e.Spent)
	}
	return fmt.Sprintf("the month's calls are spent, %d were counted", e.Spent)
}

// Config says what a lane is held to.
type Config struct {
	// Organisation chooses the Redis hash tag, and whose month it is.
	Organisation string
	// Name is the lane's, unique among all.
	Name string
	// Limits are one or more, at least one of them spaced.
	Limits []Limit
	// Metered tells that calls count against the organisation's month.
	Metered bool
	Quota   Quota
	// Address is what several organisations share that call from one address.
	// nil: none.
	Address *Address
}

//go:embed state.lua
var stateLua string

//go:embed book.lua
var bookLua string

//go:embed refuse.lua
var refuseLua string

//go:embed pause.lua
var pauseLua string

//go:embed give.lua
var giveLua string

// Lane books the slots of one lane for one process. Its methods are safe for
// concurrent use. Close it when done.
type Lane struct {
	rdb     redis.UniversalClient
	cfg     Config
	keys    []string
	limits  atomic.Pointer[[]Limit]
	quota   atomic.Pointer[Quota]
	clock   *clock
	asked   atomic.Int64
	bookers sync.WaitGroup

	book, refuse, pause, give *redis.Script

	mu      sync.Mutex
	urgent  []*waiter // without a slot, first come first
	bulk    []*waiter
	booked  map[*waiter]struct{} // whose slot is still to come
	returns []Slot               // not used, to be given back
	booking bool                 // a booker is at work
	last    time.Time            // when it asked last; the booker's alone
	again   time.Time            // not to ask before
	kick    chan struct{}        // wakes the booker
	late    int                  // slots in a row that have passed before their calls could leave
	left    time.Time            // when the last call did
	closed  bool
	seen    seen
}

// seen is the highest that this process has seen of what Redis must not forget.
type seen struct {
	seq, epoch, spent int64
	month             string
	pausedUntil       time.Time
}

// LaneKey is the Redis hash of a lane's pace. The tag in braces keeps all lanes
// of an organisation and its month together.
func LaneKey(organisation, lane string) string {
	return "rollcall:{" + organisation + "}:lane:" + lane
}

// MonthKey is the Redis hash of what an organisation has spent, a field a month.
func MonthKey(organisation string) string { return "rollcall:{" + organisation + "}:spent" }

// New returns the booking of a lane. It does not talk to Redis yet.
func New(rdb redis.UniversalClient, cfg Config) *Lane {
	l := &Lane{
		rdb: rdb, cfg: cfg, clock: newClock(),
		keys:   []string{LaneKey(cfg.Organisation, cfg.Name), MonthKey(cfg.Organisation)},
		book:   redis.NewScript(stateLua + bookLua),
		refuse: redis.NewScript(stateLua + refuseLua),
		pause:  redis.NewScript(stateLua + pauseLua),
		give:   redis.NewScript(stateLua + giveLua),
		booked: map[*waiter]struct{}{},
		kick:   make(chan struct{}, 1),
	}
	l.limits.Store(&cfg.Limits)
	l.quota.Store(&cfg.Quota)
	return l
}

// Name is the lane's.
func (l *Lane) Name() string { return l.cfg.Name }

// SetLimits has every later booking of this process keep other limits. Slots
// that are booked stay. Workers that still keep the old ones go on by them.
// It reports whether they are others.
func (l *Lane) SetLimits(limits []Limit) (changed bool) {
	return !slices.Equal(*l.limits.Swap(&limits), limits)
}

// SetQuota has every later booking of this process keep another quota.
func (l *Lane) SetQuota(q Quota) { l.quota.Store(&q) }

// Rate is how many calls a second the limits allow while nothing was learned.
func (l *Lane) Rate() float64 { return Rate(*l.limits.Load()) }

// Asked is how many round trips to Redis the booking has taken so far.
func (l *Lane) Asked() int64 { return l.asked.Load() }

// Waiting is how many senders wait for a slot, booked or not.
func (l *Lane) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.urgent) + len(l.bulk) + len(l.booked)
}

// PausedUntil is the end of the last pause that this process knows of.
func (l *Lane) PausedUntil() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen.pausedUntil
}

// Open tells all who look what the lane is held to, and all workers the
// organisation's quota, and learns what Redis knows of the lane: a Redis that
// knows less later has lost its memory. One round trip.
func (l *Lane) Open(ctx context.Context) error { return l.tell(ctx, redis.Pipeliner.HSet) }

// Remind does the same for a Redis that may have forgotten; a quota that it knows
// is another worker's, and newer maybe.
func (l *Lane) Remind(ctx context.Context) error {
	return l.tell(ctx, func(p redis.Pipeliner, ctx context.Context, key string, values ...any) *redis.IntCmd {
		p.HSetNX(ctx, key, quotaField, values[1])
		return nil
	})
}

func (l *Lane) tell(ctx context.Context, quota func(redis.Pipeliner, context.Context, string, ...any) *redis.IntCmd) error {
	told, err := describe(*l.limits.Load(), *l.quota.Load(), l.cfg.Metered)
	if err != nil {
		return fmt.Errorf("pace: describe the limits: %w", err)
	}
	var known *redis.SliceCmd
	_, err = l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.HSet(ctx, l.keys[0], "told", told)
		if l.cfg.Metered {
			quota(p, ctx, l.keys[1], quotaField, l.quota.Load().text())
		}
		known = p.HMGet(ctx, l.keys[0], "seq", "epoch")
		return nil
	})
	if err != nil {
		return fmt.Errorf("pace: open lane %s: %w", l.cfg.Name, err)
	}
	l.setClock(ctx)
	numbers := [2]int64{}
	for i, v := range known.Val() {
		if text, ok := v.(string); ok {
			_, _ = fmt.Sscan(text, &numbers[i])
		}
	}
	l.mu.Lock()
	l.seen.seq, l.seen.epoch = max(l.seen.seq, numbers[0]), max(l.seen.epoch, numbers[1])
	l.mu.Unlock()
	return nil
}

// setClock reads Redis' clock a few times by a command that is always quick: a
// lane's first booking brings a script, and takes too long to tell the time.
func (l *Lane) setClock(ctx context.Context) {
	for range 3 {
		sent := time.Now()
		now, err := l.rdb.Time(ctx).Result()
		if err != nil {
			return // the bookings will tell
		}
		l.clock.sample(sent, time.Now(), now.UnixMicro())
	}
}

// Close waits until what was given back is written down. Nobody may wait for a
// slot any more.
func (l *Lane) Close() {
	l.mu.Lock()
	l.closed = true
	l.wake()
	l.mu.Unlock()
	l.bookers.Wait()
}

// terms are the arguments that all scripts of a lane begin with.
func (l *Lane) terms() []any {
	limits, quota := *l.limits.Load(), *l.quota.Load()
	even := spaced(limits)
	start, least := even[0].Window.spread()
	metered := 0
	if l.cfg.Metered {
		metered = 1
	}
	args := []any{
		metered, quota.Calls, quota.Reserve, start.Microseconds(), least.Microseconds(), mostSpread(even[0]).Microseconds(),
		daily(limits), len(even),
	}
	for _, e := range even {
		args = append(args, e.Per.Microseconds(), e.Calls, e.Burst, e.cost())
	}
	return args
}
