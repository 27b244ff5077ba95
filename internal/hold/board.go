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
		h.Next = h.Since.Add(h.Class.Wait(0))
	}
	h.Next = stored(h.Next)
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

// Lift ends a hold, if it is still as the caller knows it; false if somebody was
// faster. by says who found out that it is over.
func (b *Board) Lift(ctx context.Context, h Hold, by string) (bool, error) {
	done, err := b.exchange(ctx, h, "")
	if err == nil && done {
		b.mu.Lock()
		b.writes++
		if b.holds[h.field()].raw == h.raw { // else it was put anew meanwhile
			delete(b.holds, h.field())
		}
		b.mu.Unlock()
		b.tell(ctx, Left, h, by)
	}
	return done, err
}

// Claim takes the probe of a hold, if it is due and nobody was faster: until the
// next one it is the caller's.
func (b *Board) Claim(ctx context.Context, h Hold, now time.Time) (Hold, bool, error) {
	if h.Probe == ByTime || now.Before(h.Next) {
		return h, false, nil
	}
	next := h
	next.Tries++
	next.Next = stored(now.Add(h.Class.Wait(next.Tries)))
	return b.update(ctx, h, next)
}

// ProbeNow makes a hold due for its probe, for a person who has mended its
// cause; false if it was changed meanwhile.
func (b *Board) ProbeNow(ctx context.Context, h Hold, now time.Time) (bool, error) {
	next := h
	next.Tries, next.Next = 0, stored(now)
	_, done, err := b.update(ctx, h, next)
	if done { // a word that is lost only makes them find out later
		_ = b.rdb.Publish(ctx, Channel, next.field()).Err()
	}
	return done, err
}

func (b *Board) update(ctx context.Context, h, next Hold) (Hold, bool, error) {
	raw, err := json.Marshal(next, json.Deterministic(true))
	if err != nil {
		return h, false, fmt.Errorf("hold %s: %w", h.Place, err)
	}
	done, err := b.exchange(ctx, h, string(raw))
	if err != nil || !done {
		return h, false, err
	}
	next.raw = string(raw)
	b.keep(next)
	return next, true, nil
}

func (b *Board) keep(h Hold) {
	b.mu.Lock()
	b.writes++
	b.holds[h.field()] = h
	b.mu.Unlock()
}

// exchange replaces a hold by raw, or removes it, if it is still as it was read.
func (b *Board) exchange(ctx context.Context, h Hold, raw string) (bool, error) {
	n, err := b.swap.Run(ctx, b.rdb, []string{Key}, h.field(), h.raw, raw).Int()
	if err != nil {
		return false, fmt.Errorf("hold %s: %w", h.Place, err)
	}
	return n == 1, nil
}
