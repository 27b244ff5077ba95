package pace

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The reasons why slots were not granted.
const (
	WhyHorizon = "horizon" // booked as far ahead as allowed; ask again
	WhyPaused  = "paused"
	WhyMonth   = "month"   // the month's calls are spent
	WhyReserve = "reserve" // the rest of the month's calls is reserved for urgent calls
	WhyDay     = "day"     // the day's calls are spent
)

// Reply is the answer to a booking: as many slots as could be booked, the urgent ones
// first. Why is the reason for missing slots, and Again when to ask again.
type Reply struct {
	Slots []int64
	Why   string // empty: all were booked
	Again int64
	Epoch int64 // epoch of the slots; a higher one makes them void
	At    int64 // time of the booking
	// Dropped names the values that were dropped, because they were no numbers or further
	// ahead than they can have been written, such as "pause next:1000000". They cost one
	// window, but for times in the past.
	Dropped string
}

// ask books slots for the given number of urgent and bulk senders.
func (l *Lane) ask(urgent, bulk int) (Reply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), askFor)
	defer cancel()
	urgent = min(urgent, most)
	bulk = min(bulk, most-urgent)
	var early []int64
	if a := l.cfg.Address; a != nil {
		times, none, err := a.times(ctx, urgent+bulk)
		if none.Dropped != "" {
			l.dropped(a.key, none.Dropped)
		}
		if err != nil || len(times) == 0 {
			return none, err
		}
		urgent = min(urgent, len(times))
		bulk = min(bulk, len(times)-urgent)
		early = times
	}
	l.mu.Lock()
	known := l.seen
	l.mu.Unlock()
	args := append(l.terms(), urgent, bulk, Horizon.Microseconds(), bulkHorizon.Microseconds(), known.seq, known.month, known.spent, known.epoch)
	for _, at := range early {
		args = append(args, at)
	}
	sent := time.Now()
	answer, err := l.book.Run(ctx, l.rdb, l.keys, args...).Slice()
	if err != nil {
		return Reply{}, fmt.Errorf("pace: book slots of lane %s: %w", l.cfg.Name, diagnose(ctx, l.rdb, err, l.keys...))
	}
	r, err := l.read(answer, sent, time.Now())
	if a := l.cfg.Address; a != nil && err == nil {
		a.spare.Add(int64(len(early) - len(r.Slots)))
	}
	return r, err
}

var errAnswer = errors.New("pace: unexpected form of Redis' answer; check whether another program writes rollcall's keys")

func (l *Lane) read(answer []any, sent, received time.Time) (Reply, error) {
	if len(answer) < 8 {
		return Reply{}, errAnswer
	}
	now, ok1 := answer[0].(int64)
	epoch, ok2 := answer[1].(int64)
	seq, ok3 := answer[2].(int64)
	why, ok4 := answer[3].(string)
	again, ok5 := answer[4].(int64)
	month, ok6 := answer[5].(string)
	spent, ok7 := answer[6].(int64)
	dropped, ok8 := answer[7].(string)
	if !ok8 || !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || !ok6 || !ok7 {
		return Reply{}, errAnswer
	}
	r := Reply{Why: why, Again: again, Epoch: epoch, At: now, Dropped: dropped}
	for _, v := range answer[8:] {
		at, ok := v.(int64)
		if !ok {
			return Reply{}, errAnswer
		}
		r.Slots = append(r.Slots, at)
	}
	l.clock.sample(sent, received, now)
	if dropped != "" {
		l.dropped(l.keys[0], dropped)
	}
	l.mu.Lock()
	l.seen.seq, l.seen.month, l.seen.spent = max(l.seen.seq, seq), month, spent
	l.mu.Unlock()
	return r, nil
}
