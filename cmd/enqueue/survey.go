package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
	"rollcall/internal/hold"
	"rollcall/internal/pace"
	"rollcall/internal/registry"
)

// unseenFor is when a lane counts as without a worker: they publish it every
// minute.
const unseenFor = 3 * time.Minute

// survey is how all lanes get on at one time.
type survey struct {
	now   time.Time
	lanes []laneState // those that need somebody first
	// strays are holds of which no lane says that they hold it: of a shared
	// address, or of what is no longer served.
	strays []hold.Hold
}

// laneState is how one lane gets on.
type laneState struct {
	registry.Lane

	urgent, bulk queueState
	pace         pace.Status
	holds        []hold.Hold // that hold it now, those that hold most first
	unseen       bool        // no worker for a while
	addressPause time.Duration
}

type queueState struct {
	backlog.Queue

	due int64 // scheduled, and its time has come
}

// places are those whose holds hold the lane.
func (l laneState) places() []hold.Place {
	places := []hold.Place{{Level: hold.Lane, Name: l.name()}, {Level: hold.Tenant, Name: l.Tenant}}
	if l.pace.Metered {
		places = append(places, hold.Place{Level: hold.Organisation, Name: l.Organisation})
	}
	if l.Address != "" {
		places = append(places, hold.Place{Level: hold.Address, Name: l.Address})
	}
	return places
}

// readSurvey reads all lanes, in seven round trips however many there are, and
// two more where queues of others are left.
func readSurvey(ctx context.Context, rdb redis.UniversalClient, now time.Time) (*survey, error) {
	lanes, err := readLanes(ctx, rdb, now)
	if err != nil {
		return nil, err
	}
	board := hold.NewBoard(rdb)
	if err := board.Refresh(ctx); err != nil {
		return nil, err
	}
	s := &survey{now: now, lanes: make([]laneState, len(lanes))}
	if len(lanes) > 0 {
		if err := s.fill(ctx, rdb, lanes); err != nil {
			return nil, err
		}
	}
	over := func(h hold.Hold) bool { return !h.Until.IsZero() && !now.Before(h.Until) }
	known := map[hold.Place]bool{}
	for i, l := range s.lanes {
		for _, p := range l.places() {
			known[p] = true
		}
		s.lanes[i].holds = slices.DeleteFunc(board.Of(l.places()...), over)
	}
	s.strays = slices.DeleteFunc(board.All(), func(h hold.Hold) bool { return known[h.Place] || over(h) })
	slices.SortStableFunc(s.lanes, func(x, y laneState) int {
		return cmp.Or(cmp.Compare(x.urgency(), y.urgency()), cmp.Compare(x.name(), y.name()))
	})
	return s, nil
}

// fill reads what is kept of each lane.
func (s *survey) fill(ctx context.Context, rdb redis.UniversalClient, lanes []registry.Lane) error {
	refs := make([]pace.Ref, len(lanes))
	var queues []string
	for i, l := range lanes {
		refs[i] = pace.Ref{Organisation: l.Organisation, Lane: registry.Queue(l.Tenant, l.Kind, false)}
		queues = append(queues, registry.Queue(l.Tenant, l.Kind, true), registry.Queue(l.Tenant, l.Kind, false))
	}
	paces, err := pace.Read(ctx, rdb, refs)
	if err != nil {
		return err
	}
	lengths, err := backlog.Read(ctx, rdb, queues)
	if err != nil {
		return err
	}
	due, err := readDue(ctx, rdb, queues, s.now)
	if err != nil {
		return err
	}
	for i, l := range lanes {
		s.lanes[i] = laneState{
			Lane: l, pace: paces[i], unseen: s.now.Sub(l.Seen) > unseenFor,
			urgent: queueState{lengths[2*i], due[2*i]}, bulk: queueState{lengths[2*i+1], due[2*i+1]},
		}
	}
	return nil
}

// readDue counts scheduled tasks whose time has come: asynq moves them on while
// a worker is there.
func readDue(ctx context.Context, rdb redis.UniversalClient, queues []string, now time.Time) ([]int64, error) {
	answers := make([]*redis.IntCmd, len(queues))
	if _, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, queue := range queues {
			answers[i] = p.ZCount(ctx, backlog.Key(queue, "scheduled"), "-inf", strconv.FormatInt(now.Unix(), 10))
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("count scheduled tasks: %w", err)
	}
	due := make([]int64, len(queues))
	for i, answer := range answers {
		due[i] = answer.Val()
	}
	return due, nil
}

// urgency orders lanes by how soon somebody must look at them.
func (l laneState) urgency() int {
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

func (l laneState) waits() int64 { return l.urgent.waits() + l.bulk.waits() }

// held tells that nothing of what waits is taken: all of it, or all that is not
// urgent where there is more than that.
func (l laneState) held() bool {
	return len(l.holds) > 0 && (!l.holds[0].Bulk || l.bulk.waits() > 0 || l.urgent.waits() == 0)
}

// eta is how long what waits takes at the allowed rate, an ongoing pause
// included; false if nobody can tell.
func (l laneState) eta() (time.Duration, bool) {
	switch {
	case l.waits() == 0:
		return 0, true
	case l.held(), l.unseen, l.pace.Allowed <= 0, l.urgent.Paused && l.urgent.waits() > 0, l.bulk.Paused && l.bulk.waits() > 0:
		return 0, false
	}
	return l.pace.Paused + time.Duration(float64(l.waits())/l.pace.Allowed*float64(time.Second)), true
}

// dayLimit is what the lane may call in a day; 0: as much as it likes.
func (l laneState) dayLimit() int {
	for _, limit := range l.pace.Limits {
		if limit.Per >= pace.Day {
			return limit.Calls
		}
	}
	return 0
}

// organisation is what an organisation has spent of its month.
type organisation struct {
	name   string
	status pace.Status // of one of its metered lanes
}

// organisations are those of the lanes that have metered lanes, in order.
func (s *survey) organisations() []organisation {
	var all []organisation
	for _, l := range s.lanes {
		if l.pace.Metered && !slices.ContainsFunc(all, func(o organisation) bool { return o.name == l.Organisation }) {
			all = append(all, organisation{l.Organisation, l.pace})
		}
	}
	slices.SortFunc(all, func(x, y organisation) int { return cmp.Compare(x.name, y.name) })
	return all
}

// lift says what ends a hold, for a person.
func (s *survey) lift(h hold.Hold) string {
	if h.Class == hold.Quota && h.Level == hold.Organisation {
		for _, o := range s.organisations() {
			if o.name == h.Name && o.status.Month.Said {
				return "by itself when the month turns; when more calls were bought: enqueue lanes release organisation " + h.Name
			}
		}
	}
	return h.HowToLift()
}
