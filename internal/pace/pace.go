// Package pace lets the sends of a lane leave one after another, evenly spaced,
// however many workers there are: each books its slot in Redis and sleeps until
// it. Nothing is refused and asked again, so nothing is starved.
//
// This is its first form: one limit a lane. It must not know tasks or
// platforms; a lane is a name to it.
package pace

import (
	"context"
	_ "embed"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// spread is how unevenly requests that left evenly may arrive: the spread of
// the one-way delay. N calls per window T are never exceeded on a sliding
// window if they leave no faster than N per T + spread.
const spread = 50 * time.Millisecond

// Horizon is how far ahead a slot may be booked. It bounds how long a sender
// sleeps, and with it how long a stop takes.
const Horizon = time.Second

// patience is how long a sender asks again for a slot of a lane that is booked
// out. Beyond it the lane is paused, and a sender that slept through that would
// hold a worker and run out of its own time.
const patience = 5 * time.Second

// BookedOutError tells that a lane's next slot is too far away to wait for.
type BookedOutError struct {
	For time.Duration // how far
}

// Error says when to come back.
func (e *BookedOutError) Error() string {
	return fmt.Sprintf("the lane is paused or booked out: its next slot is %s away", e.For.Round(time.Millisecond))
}

// Limit is what a platform allows: Calls in any window of length Per.
type Limit struct {
	Calls int
	Per   time.Duration
}

// Interval is the time between two sends that keeps the limit on any window.
func (l Limit) Interval() time.Duration {
	return (l.Per + spread) / time.Duration(l.Calls)
}

//go:embed book.lua
var bookLua string

//go:embed pause.lua
var pauseLua string

// Lane books the slots of one lane. Its methods are safe for concurrent use.
type Lane struct {
	rdb         redis.UniversalClient
	key         string
	limit       atomic.Pointer[Limit]
	book, pause *redis.Script
	pausedUntil atomic.Int64 // Unix nanoseconds, of this process' last pause
}

// NewLane returns the booking of the lane called name. The organisation chooses
// the Redis hash tag. It does not talk to Redis yet.
func NewLane(rdb redis.UniversalClient, organisation, name string, limit Limit) *Lane {
	l := &Lane{
		rdb:   rdb,
		key:   "rollcall:{" + organisation + "}:pace:" + name,
		book:  redis.NewScript(bookLua),
		pause: redis.NewScript(pauseLua),
	}
	l.SetLimit(limit)
	return l
}

// SetLimit has every later booking of this process keep another limit. Slots
// that are booked stay, and so does the distance of the last one to the next:
// a lane that becomes faster does so after at most one of its old intervals.
// Workers that still keep the old limit space their own slots by it.
func (l *Lane) SetLimit(limit Limit) { l.limit.Store(&limit) }

// Wait books a slot and returns when it has come. It fails when ctx ends, with
// a *BookedOutError when the next slot is far away, and when Redis does not
// answer: without Redis nothing is sent. A slot that is booked and not used is
// lost to the lane, 1/N of a window. One round trip while the lane is not booked
// out.
func (l *Lane) Wait(ctx context.Context) error {
	for {
		booked, wait, err := l.Book(ctx)
		if err != nil {
			return err
		}
		if !booked && wait > patience {
			return &BookedOutError{For: wait}
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
		if booked && time.Now().UnixNano() >= l.pausedUntil.Load() {
			return nil
		}
	}
}

// Book asks for the next slot. booked: it is ours, after wait. Not booked: the
// lane is booked out up to the Horizon; ask again after wait.
func (l *Lane) Book(ctx context.Context) (booked bool, wait time.Duration, err error) {
	answer, err := l.book.Run(ctx, l.rdb, []string{l.key},
		l.limit.Load().Interval().Microseconds(), Horizon.Microseconds()).Int64Slice()
	if err != nil {
		return false, 0, fmt.Errorf("pace: book a slot: %w", err)
	}
	return answer[0] == 1, time.Duration(answer[1]) * time.Microsecond, nil
}

// Pause keeps every worker from booking a slot of this lane for d. Slots that
// this process booked before are given up; those of others, at most Horizon
// ahead, are not.
func (l *Lane) Pause(ctx context.Context, d time.Duration) error {
	l.pausedUntil.Store(time.Now().Add(d).UnixNano())
	if err := l.pause.Run(ctx, l.rdb, []string{l.key}, d.Microseconds()).Err(); err != nil {
		return fmt.Errorf("pace: pause the lane: %w", err)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
