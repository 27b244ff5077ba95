package lanes

import (
	"context"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/cli"
	"rollcall/internal/hold"
	"rollcall/internal/overview"
	"rollcall/internal/pace"
)

// Survey is the state of all lanes at one time, as it is shown.
type Survey overview.Lanes

// Read reads all lanes from Redis.
func Read(ctx context.Context, rdb redis.UniversalClient, now time.Time) (*Survey, error) {
	read, err := overview.ReadLanes(ctx, rdb, now)
	return (*Survey)(read), err
}

// dayLimit is the limit of a lane in calls per day; 0: no limit.
func dayLimit(l overview.Lane) int {
	for _, limit := range l.Pace.Limits {
		if limit.Per >= pace.Day {
			return limit.Calls
		}
	}
	return 0
}

func (s *Survey) months() []overview.Month { return (*overview.Lanes)(s).Months() }

// howToEnd describes what ends a hold.
func (s *Survey) howToEnd(h hold.Hold) string {
	if h.Class == hold.Quota && h.Level == hold.Organisation {
		for _, m := range s.months() {
			if m.Organisation == h.Name && m.Status.Month.Said {
				return "automatically when the next month begins; if you bought more calls: rollcall lanes release organisation " + h.Name
			}
		}
	}
	return h.HowToEnd()
}

// Named finds a lane by its name or that of its urgent queue.
func (s *Survey) Named(name string) (overview.Lane, error) {
	lane := strings.TrimSuffix(name, ".urgent")
	for _, l := range s.Lanes {
		if l.Name() == lane {
			return l, nil
		}
	}
	return overview.Lane{}, cli.BadInput("no worker serves lane %q; %s", name, s.served())
}

// Blocked describes what stops a lane; empty: nothing does.
func Blocked(l overview.Lane) string {
	switch {
	case l.Held():
		return "the lane is on hold: " + heldBy(l.Holds[0])
	case l.Unseen:
		return "no worker serves the lane now"
	case l.Paused():
		return "asynq's pause button is set on " + pausedQueues(l)
	}
	return ""
}
