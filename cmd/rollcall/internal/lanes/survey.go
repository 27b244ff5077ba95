package lanes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
	"rollcall/internal/cli"
	"rollcall/internal/hold"
	"rollcall/internal/pace"
	"rollcall/internal/registry"
)

// unseenFor is the time after which a lane counts as without a worker. Workers
// publish their lanes every minute.
const unseenFor = 3 * time.Minute

// Survey is the state of all lanes at one time.
type Survey struct {
	now   time.Time
	Lanes []State // the most urgent first
	// strays are holds without a lane: of a shared address, or of a scope that is
	// no longer served.
	strays []hold.Hold
}

// State is the state of one lane.
type State struct {
	registry.Lane

	urgent, bulk queueState
	pace         pace.Status
	holds        []hold.Hold // in force, the widest effect first
	unseen       bool        // no worker for a while
	addressPause time.Duration
}

type queueState struct {
	backlog.Queue

	due int64 // scheduled and due
}

// scopes returns the scopes whose holds stop the lane.
func (l State) scopes() []hold.Scope {
	scopes := []hold.Scope{{Level: hold.Lane, Name: l.Name()}, {Level: hold.Tenant, Name: l.Tenant}}
	if l.pace.Metered {
		scopes = append(scopes, hold.Scope{Level: hold.Organisation, Name: l.Organisation})
	}
	if l.Address != "" {
		scopes = append(scopes, hold.Scope{Level: hold.Address, Name: l.Address})
	}
	return scopes
}

// Read reads all lanes in seven round trips for any number of lanes, and in two more
// if queues without a worker exist.
func Read(ctx context.Context, rdb redis.UniversalClient, now time.Time) (*Survey, error) {
	lanes, err := readLanes(ctx, rdb, now)
	if err != nil {
		return nil, err
	}
	holds := hold.NewStore(rdb)
	if err := holds.Refresh(ctx); err != nil {
		return nil, err
	}
	s := &Survey{now: now, Lanes: make([]State, len(lanes))}
	if len(lanes) > 0 {
		if err := s.fill(ctx, rdb, lanes); err != nil {
			return nil, err
		}
	}
	over := func(h hold.Hold) bool { return !h.Until.IsZero() && !now.Before(h.Until) }
	known := map[hold.Scope]bool{}
	for i, l := range s.Lanes {
		for _, p := range l.scopes() {
			known[p] = true
		}
		s.Lanes[i].holds = slices.DeleteFunc(holds.Of(l.scopes()...), over)
	}
	s.strays = slices.DeleteFunc(holds.All(), func(h hold.Hold) bool { return known[h.Scope] || over(h) })
	slices.SortStableFunc(s.Lanes, func(x, y State) int {
		return cmp.Or(cmp.Compare(x.urgency(), y.urgency()), cmp.Compare(x.Name(), y.Name()))
	})
	return s, nil
}

// fill reads the queues, limits and counts of each lane.
func (s *Survey) fill(ctx context.Context, rdb redis.UniversalClient, lanes []registry.Lane) error {
	refs := make([]pace.Ref, len(lanes))
	var queues []string
	for i, l := range lanes {
		refs[i] = pace.Ref{Organisation: l.Organisation, Lane: registry.Queue(l.Tenant, l.Kind, false)}
		queues = append(queues, registry.Queue(l.Tenant, l.Kind, true), registry.Queue(l.Tenant, l.Kind, false))
	}
	// A damaged key costs the numbers of its own lane.
	paces, err := pace.Read(ctx, rdb, refs)
	if _, damaged := errors.AsType[*pace.DamagedError](err); err != nil && !damaged {
		return err
	}
	lengths, err := backlog.Read(ctx, rdb, queues)
	if _, damaged := errors.AsType[*backlog.DamagedError](err); err != nil && !damaged {
		return err
	}
	due, err := readDue(ctx, rdb, queues, s.now)
	if err != nil {
		return err
	}
	for i, l := range lanes {
		s.Lanes[i] = State{
			Lane: l, pace: paces[i], unseen: s.now.Sub(l.Seen) > unseenFor,
			urgent: queueState{lengths[2*i], due[2*i]}, bulk: queueState{lengths[2*i+1], due[2*i+1]},
		}
	}
	return nil
}

// readDue counts scheduled tasks that are due. asynq makes them pending only while
// a worker runs.
func readDue(ctx context.Context, rdb redis.UniversalClient, queues []string, now time.Time) ([]int64, error) {
	answers := make([]*redis.IntCmd, len(queues))
	if _, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, queue := range queues {
			answers[i] = p.ZCount(ctx, backlog.Key(queue, "scheduled"), "-inf", strconv.FormatInt(now.Unix(), 10))
		}
		return nil
	}); err != nil && !redis.HasErrorPrefix(err, "WRONGTYPE") {
		return nil, fmt.Errorf("count scheduled tasks: %w", err)
	}
	due := make([]int64, len(queues))
	for i, answer := range answers {
		due[i] = answer.Val()
	}
	return due, nil
}

// urgency orders lanes; the lowest needs an operator first.
func (l State) urgency() int {
	switch {
	case len(l.holds) > 0 && !l.holds[0].Bulk:
		return 0
	case len(l.holds) > 0:
		return 1
	case l.unseen:
		return 2
	case l.urgent.Paused || l.bulk.Paused:
		return 3
	}
	return 4
}

func (q queueState) waits() int64 { return q.Pending + q.Retry + q.due }

func (l State) waits() int64 { return l.urgent.waits() + l.bulk.waits() }

// held reports whether holds stop the waiting tasks: all of them, or those that
// are not urgent if such tasks wait or no task waits.
func (l State) held() bool {
	return len(l.holds) > 0 && (!l.holds[0].Bulk || l.bulk.waits() > 0 || l.urgent.waits() == 0)
}

// eta estimates the time to run the waiting tasks at the allowed rate, including the
// rest of a pause; false if it cannot be estimated.
func (l State) eta() (time.Duration, bool) {
	switch {
	case l.waits() == 0:
		return 0, true
	case l.held(), l.unseen, l.pace.Allowed <= 0, l.urgent.Paused && l.urgent.waits() > 0, l.bulk.Paused && l.bulk.waits() > 0:
		return 0, false
	}
	return l.pace.Paused + time.Duration(float64(l.waits())/l.pace.Allowed*float64(time.Second)), true
}

// dayLimit is the lane's limit in calls per day; 0: no limit.
func (l State) dayLimit() int {
	for _, limit := range l.pace.Limits {
		if limit.Per >= pace.Day {
			return limit.Calls
		}
	}
	return 0
}

// organisation counts the calls of an organisation in this month.
type organisation struct {
	name   string
	status pace.Status // of one of its metered lanes
}

// organisations returns the organisations with metered lanes, sorted by name.
func (s *Survey) organisations() []organisation {
	var all []organisation
	for _, l := range s.Lanes {
		if l.pace.Metered && !slices.ContainsFunc(all, func(o organisation) bool { return o.name == l.Organisation }) {
			all = append(all, organisation{l.Organisation, l.pace})
		}
	}
	slices.SortFunc(all, func(x, y organisation) int { return cmp.Compare(x.name, y.name) })
	return all
}

// howToEnd describes what ends a hold.
func (s *Survey) howToEnd(h hold.Hold) string {
	if h.Class == hold.Quota && h.Level == hold.Organisation {
		for _, o := range s.organisations() {
			if o.name == h.Name && o.status.Month.Said {
				return "automatically when the next month begins; if you bought more calls: rollcall lanes release organisation " + h.Name
			}
		}
	}
	return h.HowToEnd()
}

// Named finds a lane by its name or that of its urgent queue.
func (s *Survey) Named(name string) (State, error) {
	lane := strings.TrimSuffix(name, ".urgent")
	for _, l := range s.Lanes {
		if l.Name() == lane {
			return l, nil
		}
	}
	return State{}, cli.BadInput("no worker serves lane %q; %s", name, s.served())
}

// Blocked describes what stops the lane; empty: nothing does.
func (l State) Blocked() string {
	switch {
	case l.held():
		return "the lane is on hold: " + heldBy(l.holds[0])
	case l.unseen:
		return "no worker serves the lane now"
	case l.urgent.Paused || l.bulk.Paused:
		return "asynq's pause button is set on " + l.pausedQueues()
	}
	return ""
}
