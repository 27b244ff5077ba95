// Package pace spaces the calls of a lane evenly and as fast as the platform allows,
// over any number of workers: each books its slots in Redis and sleeps until they come.
// No sender is rejected and asks again, so none starves. All workers learn from the
// refusals that the platform still sends.
//
// The package must not know tasks or platforms; a lane is only a name to it. Model,
// in its tests, explains the arithmetic of the scripts.
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

// patience is how long a sender waits for a pause to end. A longer wait would block a
// worker and use up the sender's own time limit.
const patience = 5 * time.Second

// most bounds how many slots one request books: the arguments and the answer of a
// script are bounded.
const most = 128

// askFor bounds a round trip to Redis.
const askFor = 5 * time.Second

// BookedOutError reports that a lane is paused for longer than senders wait.
type BookedOutError struct {
	For time.Duration // remaining pause
}

// Error returns how far away the next slot is.
func (e *BookedOutError) Error() string {
	return fmt.Sprintf("the lane is paused: its next slot is %s away", e.For.Round(time.Millisecond))
}

// SpentError reports that a counted limit allows no further call.
type SpentError struct {
	Why   string // WhyMonth, WhyReserve or WhyDay
	Spent int64  // calls of the month; 0 for WhyDay
}

// Error returns which calls are spent.
func (e *SpentError) Error() string {
	switch e.Why {
	case WhyDay:
		return "the day's calls of this API are spent"
	case WhyReserve:
		return fmt.Sprintf("%d calls of the month are spent; the rest is reserved for urgent tasks", e.Spent)
	}
	return fmt.Sprintf("the month's calls are spent, %d were counted", e.Spent)
}

// Config describes the limits of a lane.
type Config struct {
	// Organisation selects the Redis hash tag, and the month.
	Organisation string
	// Name is the lane's name, unique among all lanes.
	Name string
	// Limits has one or more limits, at least one of them spaced.
	Limits []Limit
	// Metered means that calls count against the organisation's month.
	Metered bool
	Quota   Quota
	// Address is shared by the organisations that call from one address. nil: none.
	Address *Address
	// Dropped is called with a key and the names of its values that were dropped, because
	// they were no numbers, or further ahead than any pause: a clock was wrong, or another
	// program wrote them. They cost one window. nil: nothing is called.
	Dropped func(key, values string)
	// Guard runs a step of the booker, which is named by of, and returns its error. It
	// recovers from a panic and returns it as an error. nil: a panic ends the process.
	Guard func(of string, step func() error) error
}

func (l *Lane) dropped(key, values string) {
	if l.cfg.Dropped != nil {
		l.cfg.Dropped(key, values)
	}
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
	bookers sync.WaitGroup

	book, refuse, pause, give *redis.Script

	mu      sync.Mutex
	urgent  []*waiter // waiters without a slot, in order of arrival
	bulk    []*waiter
	booked  map[*waiter]struct{} // waiters whose slot is in the future
	returns []Slot               // unused slots, to be returned
	booking bool                 // a booker is running
	last    time.Time            // time of the last booking; used by the booker only
	again   time.Time            // earliest time of the next booking
	kick    chan struct{}        // wakes the booker
	late    int                  // consecutive slots that passed before their calls could leave
	left    time.Time            // time when the last call left
	seen    seen
}

// seen holds the highest values that this process has seen: lower ones mean that Redis
// has lost its data.
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

// MonthKey is the Redis hash of what an organisation has spent, one field per month.
func MonthKey(organisation string) string { return "rollcall:{" + organisation + "}:spent" }

// New returns the booking of a lane. It does not use Redis yet.
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

// SetLimits changes the limits of all later bookings of this process. Booked slots
// stay. Workers that still have the old limits continue to use them. It reports whether
// the limits changed.
func (l *Lane) SetLimits(limits []Limit) (changed bool) {
	return !slices.Equal(*l.limits.Swap(&limits), limits)
}

// SetQuota changes the quota of all later bookings of this process.
func (l *Lane) SetQuota(q Quota) { l.quota.Store(&q) }

// Rate returns how many calls per second the limits allow while nothing was learned.
func (l *Lane) Rate() float64 { return Rate(*l.limits.Load()) }

// PausedUntil returns the end of the last pause that this process knows.
func (l *Lane) PausedUntil() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen.pausedUntil
}

// Open publishes the lane's limits and the organisation's quota, and reads what Redis
// knows of the lane: a Redis that later knows less has lost its data. Cost: one round
// trip.
func (l *Lane) Open(ctx context.Context) error { return l.publish(ctx, true) }

// Remind does the same for a Redis that may have lost data. A quota that Redis has is
// not overwritten: it may be a newer one of another worker.
func (l *Lane) Remind(ctx context.Context) error { return l.publish(ctx, false) }

func (l *Lane) publish(ctx context.Context, overwrites bool) error {
	described, err := describe(*l.limits.Load(), *l.quota.Load(), l.cfg.Metered)
	if err != nil {
		return fmt.Errorf("pace: describe the limits: %w", err)
	}
	var known *redis.SliceCmd
	_, err = l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.HSet(ctx, l.keys[0], limitsField, described)
		switch quota := l.quota.Load().text(); {
		case !l.cfg.Metered:
		case overwrites:
			p.HSet(ctx, l.keys[1], quotaField, quota)
		default:
			p.HSetNX(ctx, l.keys[1], quotaField, quota)
		}
		known = p.HMGet(ctx, l.keys[0], "seq", "epoch")
		return nil
	})
	if err != nil {
		return fmt.Errorf("pace: open lane %s: %w", l.cfg.Name, diagnose(ctx, l.rdb, err, l.keys...))
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

// setClock samples Redis' clock a few times by a fast command. The lane's first booking
// loads a script, which is too slow for an accurate sample.
func (l *Lane) setClock(ctx context.Context) {
	for range 3 {
		sent := time.Now()
		now, err := l.rdb.Time(ctx).Result()
		if err != nil {
			return // the bookings will set it
		}
		l.clock.sample(sent, time.Now(), now.UnixMicro())
	}
}

// Close waits until the returned slots are recorded. No sender may wait for a slot any
// more.
func (l *Lane) Close() {
	l.mu.Lock()
	l.wake()
	l.mu.Unlock()
	l.bookers.Wait()
}

// terms returns the first arguments of all scripts of a lane. A bool is 1 or 0 to a script.
func (l *Lane) terms() []any {
	limits, quota := *l.limits.Load(), *l.quota.Load()
	even := spaced(limits)
	start, least := even[0].Window.spread()
	args := []any{
		l.cfg.Metered, quota.Calls, quota.Reserve, start.Microseconds(), least.Microseconds(), mostSpread(even[0]).Microseconds(),
		daily(limits), len(even),
	}
	for _, e := range even {
		args = append(args, e.Per.Microseconds(), e.Calls, e.Burst)
	}
	return args
}
