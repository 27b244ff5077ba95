package lane

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"rollcall/internal/backlog"
	"rollcall/internal/pace"
	"rollcall/internal/registry"
)

// damagedLasts is how long a lane takes no task after a damaged key of it was read. Then
// it tries again.
const damagedLasts = 13 * time.Second

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

// HoldDamaged holds the lanes whose keys an error names as damaged, and logs them. It
// returns an error that is about anything else.
func (s *Set) HoldDamaged(err error) error {
	if e, ok := errors.AsType[*backlog.DamagedError](err); ok {
		for queue, key := range e.Keys {
			s.hold(key, func(l *Lane) bool { return slices.Contains(registry.Queues(l.Tenant, l.Kind), queue) })
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

// PublishSoon makes the worker publish its lanes again.
func (s *Set) PublishSoon() {
	select {
	case s.back <- struct{}{}:
	default:
	}
}

func (s *Set) hold(key string, of func(*Lane) bool) {
	for _, l := range s.lanes {
		if of(l) {
			l.HoldDamaged(key)
		}
	}
}

// HoldDamaged keeps the lane from taking tasks for a moment, because a key of it is
// damaged.
func (l *Lane) HoldDamaged(key string) {
	l.damages.note(key, time.Now())
	l.set.faults.Of("damaged key in redis: the lane takes no task until it is repaired: see rollcall repair", "").
		Begin(l.Name()+" "+key, "lane", l.Name(), "key", key)
}

// Damages returns the damaged keys that keep the lane from taking tasks, sorted.
func (l *Lane) Damages() []string { return l.damages.now() }

// DamagedLanes returns a line for each lane that takes no task, because a key of it is
// damaged. It names no person.
func (s *Set) DamagedLanes() []string {
	var lines []string
	for _, l := range s.lanes {
		for _, key := range l.Damages() {
			lines = append(lines, fmt.Sprintf("lane %s not ready: damaged key in Redis, %q; see rollcall repair", l.Name(), key))
		}
	}
	return lines
}
