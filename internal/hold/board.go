package hold

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/redis/go-redis/v9"
)

//go:embed put.lua
var putLua string

//go:embed swap.lua
var swapLua string

// Board reads and writes the holds, and keeps what it last read. Its methods are
// safe for concurrent use.
type Board struct {
	rdb       redis.UniversalClient
	put, swap *redis.Script

	mu     sync.Mutex
	holds  map[string]Hold // by field
	writes int             // by this board
}

// NewBoard returns a board on which nothing was read yet.
func NewBoard(rdb redis.UniversalClient) *Board {
	return &Board{rdb: rdb, put: redis.NewScript(putLua), swap: redis.NewScript(swapLua), holds: map[string]Hold{}}
}

// rereads bounds how often a reading that was overtaken is repeated.
const rereads = 3

// Refresh reads all holds. One round trip, unless this board writes meanwhile:
// what was read before must not hide what was written after. A field that
// cannot be read is left out: a newer worker may write it otherwise.
func (b *Board) Refresh(ctx context.Context) error {
	for i := 0; ; i++ {
		b.mu.Lock()
		before := b.writes
		b.mu.Unlock()
		fields, err := b.rdb.HGetAll(ctx, Key).Result()
		if err != nil {
			return fmt.Errorf("read the holds: %w", err)
		}
		read := make(map[string]Hold, len(fields))
		for field, raw := range fields {
			if h, err := decode(raw); err == nil && h.field() == field {
				read[field] = h
			}
		}
		b.mu.Lock()
		if b.writes == before || i == rereads {
			b.holds = read
			b.mu.Unlock()
			return nil
		}
		b.mu.Unlock()
	}
}

func decode(raw string) (Hold, error) {
	var h Hold
	err := json.Unmarshal([]byte(raw), &h)
	h.raw = raw
	return h, err
}

// All are the holds as last read, in a steady order.
func (b *Board) All() []Hold {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]Hold, 0, len(b.holds))
	for _, field := range slices.Sorted(maps.Keys(b.holds)) {
		all = append(all, b.holds[field])
	}
	return all
}

// Of are the holds of places as last read, those that hold most first.
func (b *Board) Of(places ...Place) []Hold {
	b.mu.Lock()
	defer b.mu.Unlock()
	var of []Hold
	for _, p := range places {
		for _, class := range []Class{Operator, ""} {
			if h, ok := b.holds[Hold{Place: p, Class: class}.field()]; ok {
				of = append(of, h)
			}
		}
	}
	slices.SortStableFunc(of, func(x, y Hold) int {
		switch {
		case x.Bulk == y.Bulk:
			return 0
		case x.Bulk:
			return 1
		}
		return -1
	})
	return of
}

// Put sets a hold, or brings the reason and the end of one up to date. Since,
// Next and Tries of one that goes on, of the same class and probe, stay as they
// are. One whose time is over does not go on. Exactly one of those who put the
// same hold is told that it Entered.
func (b *Board) Put(ctx context.Context, h Hold) (Hold, Change, error) {
	if h.Level == "" || h.Name == "" || h.Class == "" || h.Reason == "" {
		return h, Same, errors.New("a hold needs a place, a class and a reason")
	}
	// A platform's words may hold anything, and a hold must not fail for it.
	h.Reason, h.By = strings.ToValidUTF8(h.Reason, "\ufffd"), strings.ToValidUTF8(h.By, "\ufffd")
	if h.Since.IsZero() {
		h.Since = time.Now()
	}
	// One form of a moment, for the script to compare.
	h.Since, h.Until = stored(h.Since), stored(h.Until)
	if h.Probe != ByTime && h.Next.IsZero() {
		h.Next = h.Since.Add(h.Wait(0))
	}
	h.Next, h.Seen.First, h.Seen.Last = stored(h.Next), stored(h.Seen.First), stored(h.Seen.Last)
	raw, err := json.Marshal(h, json.Deterministic(true))
	if err != nil {
		return h, Same, fmt.Errorf("hold %s: %w", h.Place, err)
	}
	answer, err := b.put.Run(ctx, b.rdb, []string{Key}, h.field(), raw).StringSlice()
	if err != nil {
		return h, Same, fmt.Errorf("hold %s: %w", h.Place, err)
	}
	change := Change(answer[0])
	now, err := decode(answer[1])
	if err != nil {
		return h, Same, fmt.Errorf("hold %s: read what is stored: %w", h.Place, err)
	}
	b.keep(now)
	if change != Same {
		b.tell(ctx, change, now, h.By)
	}
	return now, change, nil
}

// Restore writes holds that a Redis has lost, as they were last read, and leaves
// out those that are there again. Then it reads all of them. Two round trips.
func (b *Board) Restore(ctx context.Context, holds []Hold) error {
	if _, err := b.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, h := range holds {
			p.HSetNX(ctx, Key, h.field(), h.raw)
		}
		p.Publish(ctx, Channel, "restored")
		return nil
	}); err != nil {
		return fmt.Errorf("restore %d holds: %w", len(holds), err)
	}
	return b.Refresh(ctx)
}

func stored(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// What must not have changed of a hold. What was seen may: a call that was under
// way when the hold began adds to it.
const (
	same        = "class reason since until bulk probe"
	sameProbe   = same + " next tries probing"
	sameProbing = "class since probe probing"
)

// Lift ends a hold, if it is still the one that the caller knows; false if it is
// another by now. by says who found out that it is over.
func (b *Board) Lift(ctx context.Context, h Hold, by string) (bool, error) {
	unchanged := same
	if h.Probe != ByTime { // its end moves on with each refusal, and a probe knows better
		unchanged = "class reason since bulk probe"
	}
	_, done, err := b.exchange(ctx, h, "", unchanged)
	if err == nil && done {
		b.mu.Lock()
		b.writes++
		if b.holds[h.field()].Since.Equal(h.Since) { // else it was put anew meanwhile
			delete(b.holds, h.field())
		}
		b.mu.Unlock()
		b.tell(ctx, Left, h, by)
	}
	return done, err
}

// Claim takes the probe of a hold, if it is due and nobody was faster: it is the
// caller's for [Lease] from now on, until the caller renews or ends it.
func (b *Board) Claim(ctx context.Context, h Hold, now time.Time, by string) (Hold, bool, error) {
	if h.Probe == ByTime || now.Before(h.Next) {
		return h, false, nil
	}
	return b.update(ctx, h, patch{"next": stored(now.Add(Lease)), "probing": strings.ToValidUTF8(by, "\ufffd")}, sameProbe)
}

// Renew extends the lease of a claimed probe; false if it was lost.
func (b *Board) Renew(ctx context.Context, h Hold, now time.Time) (Hold, bool, error) {
	return b.update(ctx, h, patch{"next": stored(now.Add(Lease))}, sameProbing)
}

// EndProbe ends a claimed probe that did not end its hold: so many have ended by
// now, and the next is due at next. A claim that was lost stays lost.
func (b *Board) EndProbe(ctx context.Context, h Hold, tries int, next time.Time) (Hold, bool, error) {
	return b.update(ctx, h, patch{"next": stored(next), "tries": tries, "probing": ""}, sameProbing)
}

// ProbeNow makes a hold due for its probe, for a person who has removed its
// cause; false if it was changed meanwhile.
func (b *Board) ProbeNow(ctx context.Context, h Hold, now time.Time) (bool, error) {
	next, done, err := b.update(ctx, h, patch{"next": stored(now), "tries": 0, "probing": ""}, sameProbe)
	if done { // a word that is lost only makes them find out later
		_ = b.rdb.Publish(ctx, Channel, next.field()).Err()
	}
	return done, err
}

// patch are the fields of a stored hold that change; an empty text removes one.
type patch map[string]any

func (b *Board) update(ctx context.Context, h Hold, change patch, unchanged string) (Hold, bool, error) {
	raw, err := json.Marshal(change, json.Deterministic(true))
	if err != nil {
		return h, false, fmt.Errorf("hold %s: %w", h.Place, err)
	}
	now, done, err := b.exchange(ctx, h, string(raw), unchanged)
	if err != nil || !done {
		return h, false, err
	}
	next, err := decode(now)
	if err != nil {
		return h, false, fmt.Errorf("hold %s: read what is stored: %w", h.Place, err)
	}
	b.keep(next)
	return next, true, nil
}

func (b *Board) keep(h Hold) {
	b.mu.Lock()
	b.writes++
	b.holds[h.field()] = h
	b.mu.Unlock()
}

// exchange changes a hold, or removes it for an empty change, if the named
// fields are still as they were read.
func (b *Board) exchange(ctx context.Context, h Hold, change, unchanged string) (string, bool, error) {
	now, err := b.swap.Run(ctx, b.rdb, []string{Key}, h.field(), h.raw, change, unchanged).Text()
	switch {
	case errors.Is(err, redis.Nil):
		return "", false, nil
	case err != nil:
		return "", false, fmt.Errorf("hold %s: %w", h.Place, err)
	}
	return now, true, nil
}
