package lanes

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/cli"
	"rollcall/internal/hold"
	"rollcall/internal/overview"
	"rollcall/internal/pace"
)

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
	overview.Lane

	addressPause time.Duration
}

// Read reads all lanes from Redis.
func Read(ctx context.Context, rdb redis.UniversalClient, now time.Time) (*Survey, error) {
	read, err := overview.ReadLanes(ctx, rdb, now)
	if err != nil {
		return nil, err
	}
	return New(read), nil
}

// New returns what was read of the lanes as it is shown.
func New(read *overview.Lanes) *Survey {
	s := &Survey{now: read.Now, Lanes: make([]State, len(read.Lanes)), strays: read.Strays}
	for i, l := range read.Lanes {
		s.Lanes[i].Lane = l
	}
	return s
}

// dayLimit is the lane's limit in calls per day; 0: no limit.
func (l State) dayLimit() int {
	for _, limit := range l.Pace.Limits {
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
		if l.Pace.Metered && !slices.ContainsFunc(all, func(o organisation) bool { return o.name == l.Organisation }) {
			all = append(all, organisation{l.Organisation, l.Pace})
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
	case l.Held():
		return "the lane is on hold: " + heldBy(l.Holds[0])
	case l.Unseen:
		return "no worker serves the lane now"
	case l.Urgent.Paused || l.Bulk.Paused:
		return "asynq's pause button is set on " + l.pausedQueues()
	}
	return ""
}
