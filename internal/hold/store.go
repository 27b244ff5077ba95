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
	"github.com/go-json-experiment/json/jsontext"
	"github.com/redis/go-redis/v9"
)

//go:embed put.lua
var putLua string

//go:embed swap.lua
var swapLua string

// Store reads and writes the holds, and keeps those that it last read. Its methods are
// safe for concurrent use.
type Store struct {
	rdb       redis.UniversalClient
	put, swap *redis.Script

	mu     sync.Mutex
	holds  map[string]Hold // by field
	writes int             // number of writes of this Store
}

// NewStore returns a Store that has read nothing yet.
func NewStore(rdb redis.UniversalClient) *Store {
	return &Store{rdb: rdb, put: redis.NewScript(putLua), swap: redis.NewScript(swapLua), holds: map[string]Hold{}}
}

// rereads bounds how often a read is repeated because a write overtook it.
const rereads = 3

// Refresh reads all holds. It costs one round trip, unless this Store writes at the
// same time: an older read must not hide a newer write. A hold that cannot be read is
// left out: a newer worker may have written another form.
func (b *Store) Refresh(ctx context.Context) error {
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

// Damaged returns what is wrong with the entries of Key that no worker can have written, by
// field: they hold nothing. One of a newer form is not damaged.
func Damaged(holds map[string]string) map[string]string {
	damaged := map[string]string{}
	for field, raw := range holds {
		if !jsontext.Value(raw).IsValid() {
			damaged[field] = fmt.Sprintf("the hold %.80q is no JSON: it holds nothing", field)
		}
	}
	return damaged
}

func decode(raw string) (Hold, error) {
	var h Hold
	err := json.Unmarshal([]byte(raw), &h)
	h.raw = raw
	return h, err
}

// All returns the holds as last read, in a fixed order.
func (b *Store) All() []Hold {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]Hold, 0, len(b.holds))
	for _, field := range slices.Sorted(maps.Keys(b.holds)) {
		all = append(all, b.holds[field])
	}
	return all
}

// Of returns the holds of these scopes as last read, those with the largest scope
// first.
func (b *Store) Of(scopes ...Scope) []Hold {
	b.mu.Lock()
	defer b.mu.Unlock()
	return of(b.holds, scopes)
}

// Of returns those of some holds that are of these scopes, those with the largest scope
// first.
func Of(all []Hold, scopes ...Scope) []Hold {
	fields := make(map[string]Hold, len(all))
	for _, h := range all {
		fields[h.field()] = h
	}
	return of(fields, scopes)
}

func of(holds map[string]Hold, scopes []Scope) []Hold {
	var of []Hold
	for _, p := range scopes {
		for _, class := range []Class{Operator, ""} {
			if h, ok := holds[Hold{Scope: p, Class: class}.field()]; ok {
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

// Put adds a hold, or updates the reason and the end of an existing one. A hold that
// continues with the same class and probe keeps Since, Next and Tries. A hold whose
// time is over does not continue. Of several callers who put the same hold, exactly one
// gets Entered.
func (b *Store) Put(ctx context.Context, h Hold) (Hold, Change, error) {
	if h.Level == "" || h.Name == "" || h.Class == "" || h.Reason == "" {
		return h, Same, errors.New("a hold needs a place, a class and a reason")
	}
	// The text of a platform may contain any bytes, and a hold must not fail because of
	// it.
	h.Reason, h.By = strings.ToValidUTF8(h.Reason, "\ufffd"), strings.ToValidUTF8(h.By, "\ufffd")
	if h.Since.IsZero() {
		h.Since = time.Now()
	}
	// The script compares times as text, so they need one form.
	h.Since, h.Until = stored(h.Since), stored(h.Until)
	if h.Probe != ByTime && h.Next.IsZero() {
		h.Next = h.Since.Add(h.Wait(0))
	}
	h.Next, h.Seen.First, h.Seen.Last = stored(h.Next), stored(h.Seen.First), stored(h.Seen.Last)
	raw, err := json.Marshal(h, json.Deterministic(true))
	if err != nil {
		return h, Same, fmt.Errorf("hold %s: %w", h.Scope, err)
	}
	answer, err := b.put.Run(ctx, b.rdb, []string{Key}, h.field(), raw).StringSlice()
	if err != nil {
		return h, Same, fmt.Errorf("hold %s: %w", h.Scope, err)
	}
	change := Change(answer[0])
	now, err := decode(answer[1])
	if err != nil {
		return h, Same, fmt.Errorf("hold %s: read what is stored: %w", h.Scope, err)
	}
	b.keep(now)
	if change != Same {
		b.notify(ctx, change, now, h.By)
	}
	return now, change, nil
}

// Restore writes holds that Redis has lost, as they were last read, and skips those
// that exist again. Then it reads all of them. Cost: two round trips.
func (b *Store) Restore(ctx context.Context, holds []Hold) error {
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

// The fields of a hold that must not have changed. Seen may change: a call that was
// running when the hold began adds to it.
const (
	same        = "class reason since until bulk probe"
	sameProbe   = same + " next tries probing"
	sameProbing = "class since probe probing"
)

// End ends a hold if it is still the one that the caller knows; it returns false if it
// was changed. by names who found that it is over.
func (b *Store) End(ctx context.Context, h Hold, by string) (bool, error) {
	unchanged := same
	if h.Probe != ByTime { // each refusal moves its end, and a probe overrides it
		unchanged = "class reason since bulk probe"
	}
	_, done, err := b.exchange(ctx, h, "", unchanged)
	if err == nil && done {
		b.mu.Lock()
		b.writes++
		if b.holds[h.field()].Since.Equal(h.Since) { // otherwise it was added again in the meantime
			delete(b.holds, h.field())
		}
		b.mu.Unlock()
		b.notify(ctx, Left, h, by)
	}
	return done, err
}

// Claim takes the probe of a hold if it is due and no other worker has it. The caller
// owns it for [Lease], and can renew or end it.
func (b *Store) Claim(ctx context.Context, h Hold, now time.Time, by string) (Hold, bool, error) {
	if h.Probe == ByTime || now.Before(h.Next) {
		return h, false, nil
	}
	return b.update(ctx, h, patch{"next": stored(now.Add(Lease)), "probing": strings.ToValidUTF8(by, "\ufffd")}, sameProbe)
}

// Renew extends the lease of a claimed probe; false if it was lost.
func (b *Store) Renew(ctx context.Context, h Hold, now time.Time) (Hold, bool, error) {
	return b.update(ctx, h, patch{"next": stored(now.Add(Lease))}, sameProbing)
}

// EndProbe ends a claimed probe that did not end its hold. tries is the number of ended
// probes, next the time of the next one. It returns false if the claim was lost.
func (b *Store) EndProbe(ctx context.Context, h Hold, tries int, next time.Time) (Hold, bool, error) {
	return b.update(ctx, h, patch{"next": stored(next), "tries": tries, "probing": ""}, sameProbing)
}

// ProbeNow makes the probe of a hold due, for a person who has removed the cause. It
// returns false if the hold was changed in the meantime.
func (b *Store) ProbeNow(ctx context.Context, h Hold, now time.Time) (bool, error) {
	next, done, err := b.update(ctx, h, patch{"next": stored(now), "tries": 0, "probing": ""}, sameProbe)
	if done { // a lost notification only delays the probe
		_ = b.rdb.Publish(ctx, Channel, next.field()).Err()
	}
	return done, err
}

// patch is the set of stored fields that change; an empty text removes a field.
type patch map[string]any

func (b *Store) update(ctx context.Context, h Hold, change patch, unchanged string) (Hold, bool, error) {
	raw, err := json.Marshal(change, json.Deterministic(true))
	if err != nil {
		return h, false, fmt.Errorf("hold %s: %w", h.Scope, err)
	}
	now, done, err := b.exchange(ctx, h, string(raw), unchanged)
	if err != nil || !done {
		return h, false, err
	}
	next, err := decode(now)
	if err != nil {
		return h, false, fmt.Errorf("hold %s: read what is stored: %w", h.Scope, err)
	}
	b.keep(next)
	return next, true, nil
}

func (b *Store) keep(h Hold) {
	b.mu.Lock()
	b.writes++
	b.holds[h.field()] = h
	b.mu.Unlock()
}

// exchange changes a hold, or removes it if change is empty, unless the named fields
// differ from what was read.
func (b *Store) exchange(ctx context.Context, h Hold, change, unchanged string) (string, bool, error) {
	now, err := b.swap.Run(ctx, b.rdb, []string{Key}, h.field(), h.raw, change, unchanged).Text()
	switch {
	case errors.Is(err, redis.Nil):
		return "", false, nil
	case err != nil:
		return "", false, fmt.Errorf("hold %s: %w", h.Scope, err)
	}
	return now, true, nil
}
