// Package overview reads what is going on now: every lane with its pace, its queues and what
// holds it, the months, the workers and Redis. The page Now, the HTTP API and the command
// show it.
//
// It must not know who looks, nor change anything.
package overview

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
	"rollcall/internal/hold"
	"rollcall/internal/pace"
	"rollcall/internal/registry"
)

// UnseenFor is the time after which a lane counts as without a worker. Workers publish their
// lanes every minute.
const UnseenFor = 3 * time.Minute

// Lanes are all lanes at one time.
type Lanes struct {
	Now   time.Time
	Lanes []Lane // those that need a person first
	// Strays are holds without a lane: of a shared address, or of a scope that is no longer
	// served.
	Strays []hold.Hold
	// Damage names keys that are damaged: what they would hold is zero. nil: none is.
	Damage error
}

// Lane is the state of one lane.
type Lane struct {
	registry.Lane

	Urgent, Bulk Queue
	Pace         pace.Status
	Holds        []hold.Hold // in force, the widest effect first
	Unseen       bool        // no worker for a while
}

// Queue is one of the two queues of a lane.
type Queue struct{ backlog.Queue }

// Waits counts the tasks that wait for the lane.
func (q Queue) Waits() int64 { return q.Pending + q.Retry + q.Due }

// Name is the name of the lane and of its queue for tasks that are not urgent.
func (l Lane) Name() string { return registry.Queue(l.Tenant, l.Kind, false) }

// Ref names the lane in the pace.
func (l Lane) Ref() pace.Ref { return pace.Ref{Organisation: l.Organisation, Lane: l.Name()} }

// Scopes returns the scopes whose holds stop the lane.
func (l Lane) Scopes() []hold.Scope {
	scopes := []hold.Scope{{Level: hold.Lane, Name: l.Name()}, {Level: hold.Tenant, Name: l.Tenant}}
	if l.Pace.Metered {
		scopes = append(scopes, hold.Scope{Level: hold.Organisation, Name: l.Organisation})
	}
	if l.Address != "" {
		scopes = append(scopes, hold.Scope{Level: hold.Address, Name: l.Address})
	}
	return scopes
}

// Waits counts the tasks that wait for the lane.
func (l Lane) Waits() int64 { return l.Urgent.Waits() + l.Bulk.Waits() }

// Paused reports whether asynq's pause button is set on a queue.
func (l Lane) Paused() bool { return l.Urgent.Paused || l.Bulk.Paused }

// Held reports whether holds stop the waiting tasks: all of them, or those that are not
// urgent if such tasks wait or no task waits.
func (l Lane) Held() bool {
	return len(l.Holds) > 0 && (!l.Holds[0].Bulk || l.Bulk.Waits() > 0 || l.Urgent.Waits() == 0)
}

// ETA estimates the time to run the waiting tasks at the allowed rate, including the rest of
// a pause; false if it cannot be estimated.
func (l Lane) ETA() (time.Duration, bool) {
	switch {
	case l.Waits() == 0:
		return 0, true
	case l.Held(), l.Unseen, l.Pace.Allowed <= 0, l.Urgent.Paused && l.Urgent.Waits() > 0, l.Bulk.Paused && l.Bulk.Waits() > 0:
		return 0, false
	}
	return l.Pace.Paused + time.Duration(float64(l.Waits())/l.Pace.Allowed*float64(time.Second)), true
}

// Urgency orders lanes; the lowest needs a person first. Nothing is
// wrong with those of 4.
func (l Lane) Urgency() int {
	switch {
	case len(l.Holds) > 0 && !l.Holds[0].Bulk:
		return 0
	case len(l.Holds) > 0:
		return 1
	case l.Unseen:
		return 2
	case l.Paused():
		return 3
	}
	return 4
}

// ReadLanes reads all lanes in five round trips for any number of lanes, and in one more if
// queues without a worker exist.
func ReadLanes(ctx context.Context, rdb redis.UniversalClient, now time.Time) (*Lanes, error) {
	served, err := readServed(ctx, rdb, now)
	if err != nil {
		return nil, err
	}
	holds := hold.NewStore(rdb)
	if err := holds.Refresh(ctx); err != nil {
		return nil, err
	}
	s := &Lanes{Now: now, Lanes: make([]Lane, len(served))}
	for i, l := range served {
		s.Lanes[i].Lane = l
	}
	if len(served) > 0 {
		if err := s.fill(ctx, rdb); err != nil {
			return nil, err
		}
	}
	s.arrange(holds.All())
	return s, nil
}

// New returns lanes that were read at a time elsewhere, with all holds that are known.
func New(now time.Time, lanes []Lane, holds []hold.Hold, damage error) *Lanes {
	s := &Lanes{Now: now, Lanes: slices.Clone(lanes), Damage: damage}
	s.arrange(holds)
	return s
}

// arrange gives the lanes those of all holds that stop them, marks those without a worker, and
// orders them.
func (s *Lanes) arrange(holds []hold.Hold) {
	over := func(h hold.Hold) bool { return !h.Until.IsZero() && !s.Now.Before(h.Until) }
	known := map[hold.Scope]bool{}
	for i, l := range s.Lanes {
		for _, p := range l.Scopes() {
			known[p] = true
		}
		s.Lanes[i].Unseen = s.Now.Sub(l.Seen) > UnseenFor
		s.Lanes[i].Holds = slices.DeleteFunc(hold.Of(holds, l.Scopes()...), over)
	}
	s.Strays = slices.DeleteFunc(slices.Clone(holds), func(h hold.Hold) bool { return known[h.Scope] || over(h) })
	slices.SortStableFunc(s.Lanes, func(x, y Lane) int {
		return cmp.Or(cmp.Compare(x.Urgency(), y.Urgency()), cmp.Compare(x.Name(), y.Name()))
	})
}

// fill reads the queues, limits and counts of each lane.
func (s *Lanes) fill(ctx context.Context, rdb redis.UniversalClient) error {
	refs := make([]pace.Ref, len(s.Lanes))
	var queues []string
	for i, l := range s.Lanes {
		refs[i] = l.Ref()
		queues = append(queues, registry.Queue(l.Tenant, l.Kind, true), l.Name())
	}
	// A damaged key costs the numbers of its own lane.
	paces, err := pace.Read(ctx, rdb, refs)
	if _, damaged := errors.AsType[*pace.DamagedError](err); err != nil && !damaged {
		return err
	}
	s.Damage = err
	lengths, err := backlog.Read(ctx, rdb, queues)
	if _, damaged := errors.AsType[*backlog.DamagedError](err); err != nil && !damaged {
		return err
	}
	s.Damage = errors.Join(s.Damage, err)
	for i := range s.Lanes {
		s.Lanes[i].Pace, s.Lanes[i].Urgent, s.Lanes[i].Bulk = paces[i], Queue{lengths[2*i]}, Queue{lengths[2*i+1]}
	}
	return nil
}

// readServed reads the served lanes, and lanes without a worker whose queues still hold tasks.
func readServed(ctx context.Context, rdb redis.UniversalClient, now time.Time) ([]registry.Lane, error) {
	all, err := registry.Read(ctx, rdb, time.Time{})
	if err != nil {
		return nil, err
	}
	queues, err := backlog.Queues(ctx, rdb)
	if err != nil {
		return nil, err
	}
	listed := map[string]bool{}
	lanes := slices.DeleteFunc(slices.Clone(all), func(l registry.Lane) bool { return now.Sub(l.Seen) > registry.Life })
	for _, l := range lanes {
		listed[registry.Queue(l.Tenant, l.Kind, false)] = true
	}
	var left []string
	var of []registry.Lane // in the order of left
	for _, queue := range queues {
		if listed[strings.TrimSuffix(queue, ".urgent")] { // most are
			continue
		}
		if l, ok := registry.OfQueue(queue, all); ok && !listed[registry.Queue(l.Tenant, l.Kind, false)] {
			left, of = append(left, queue), append(of, l)
		}
	}
	if len(left) == 0 {
		return lanes, nil
	}
	read, err := backlog.Read(ctx, rdb, left)
	if err != nil {
		return nil, err
	}
	for i, q := range read {
		if name := registry.Queue(of[i].Tenant, of[i].Kind, false); q.Waiting() > 0 && !listed[name] {
			listed[name] = true
			lanes = append(lanes, of[i])
		}
	}
	return lanes, nil
}
