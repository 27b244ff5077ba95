package lane

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"rollcall/internal/backlog"
	"rollcall/internal/damage"
	"rollcall/internal/pace"
	"rollcall/internal/registry"
)

const (
	// keysEvery is how often the types of the lanes' keys are checked: at every second
	// sweep.
	keysEvery = 8 * time.Second
	// damagedLasts is how long a lane takes no task after a damaged key of it was read.
	// Then it tries again.
	damagedLasts = 13 * time.Second
)

// damages are the damaged keys of a lane, and when each was read last. Safe for
// concurrent use.
type damages struct {
	mu   sync.Mutex
	keys map[string]time.Time
}

func (d *damages) note(key string, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.keys == nil {
		d.keys = map[string]time.Time{}
	}
	d.keys[key] = now
}

// now returns the keys that are damaged, sorted.
func (d *damages) now() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var keys []string
	for key, at := range d.keys {
		if time.Since(at) < damagedLasts {
			keys = append(keys, key)
		} else {
			delete(d.keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// judge holds the lanes whose keys an error names as damaged, and logs them. It returns
// an error that is about anything else.
func (s *Set) judge(err error) error {
	if e, ok := errors.AsType[*backlog.DamagedError](err); ok {
		for queue, key := range e.Keys {
			s.hold(key, func(l *Lane) bool {
				return queue == registry.Queue(l.Tenant, l.Kind, true) || queue == registry.Queue(l.Tenant, l.Kind, false)
			})
		}
		return nil
	}
	if e, ok := errors.AsType[*pace.DamagedError](err); ok {
		for _, key := range e.Keys {
			s.hold(key, func(l *Lane) bool {
				return key == pace.LaneKey(l.Organisation, l.Name()) || l.Metered && key == pace.MonthKey(l.Organisation) ||
					l.Address != nil && key == pace.AddressKey(l.AddressName)
			})
		}
		return nil
	}
	return err
}

// unlessDamaged returns an error unless a key of another type caused it: the check of the
// keys names that one.
func unlessDamaged(err error) error {
	if damage.WrongType(err) {
		return nil
	}
	return err
}

// keys checks the types of the lanes' keys, and what all lanes share. A lane whose keys
// are damaged takes no task; other damage is logged. Cost: two round trips for all lanes,
// with fifty commands a lane.
func (s *sweeper) keys(ctx context.Context, now time.Time) error {
	if now.Sub(s.checked) < keysEvery {
		return nil
	}
	s.checked = now
	within, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	lanes := make([]registry.Lane, len(s.set.lanes))
	for i, l := range s.set.lanes {
		lanes[i] = registry.Lane{Organisation: l.Organisation, Tenant: l.Tenant, Kind: l.Kind, Address: l.AddressName}
	}
	found, err := damage.Check(within, s.set.rdb, lanes)
	if err != nil {
		return err
	}
	for i, l := range s.set.lanes {
		for _, d := range found[i] {
			if d.Type != "" && damage.Holds(d.Key) {
				s.set.hold(d.Key, func(other *Lane) bool { return other == l })
			} else {
				s.set.Damaged(d)
			}
		}
	}
	shared, err := damage.Shared(within, s.set.rdb)
	if err != nil {
		return err
	}
	for _, d := range shared {
		s.set.Damaged(d)
		if d.Key == registry.Key {
			s.set.publishSoon()
		}
	}
	return nil
}

// publishSoon makes the worker publish its lanes again.
func (s *Set) publishSoon() {
	select {
	case s.back <- struct{}{}:
	default:
	}
}

func (s *Set) hold(key string, of func(*Lane) bool) {
	for _, l := range s.lanes {
		if of(l) {
			l.damages.note(key, time.Now())
			s.faults.Of("damaged key in redis: the lane takes no task until it is repaired: see rollcall repair", "").
				Begin(l.Name()+" "+key, "lane", l.Name(), "key", key)
		}
	}
}

// DamagedLanes returns a line for each lane that takes no task, because a key of it is
// damaged. It names no person.
func (s *Set) DamagedLanes() []string {
	var lines []string
	for _, l := range s.lanes {
		for _, key := range l.damages.now() {
			lines = append(lines, fmt.Sprintf("lane %s not ready: damaged key in Redis, %q; see rollcall repair", l.Name(), key))
		}
	}
	return lines
}
