package ledger

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"
)

var (
	deadTrend  = script("deadtrend")
	deadCauses = script("deadcauses")
)

// DeadTrend is how the dead letters of a lane with one cause came.
type DeadTrend struct {
	First, Last time.Time  // times of death of the oldest and the newest that are there
	Newest      DeadLetter // the newest, if it can be read
	Periods     []int64    // how many died in each
}

// DeadTrend returns the trend of a lane's dead letters with one cause: bounds are the times
// between which the periods are, from early to late. found is false if there are none. One
// round trip, O(log n) for each period.
func (l *Ledger) DeadTrend(ctx context.Context, lane, class, code string, bounds ...time.Time) (t DeadTrend, found bool, err error) {
	keys := deadKeys(lane)
	args := make([]any, len(bounds))
	for i, at := range bounds {
		args[i] = instant(at)
	}
	answer, err := deadTrend.Run(ctx, l.rdb, []string{keys.bodies(), keys.index(cause(class, code))}, args...).StringSlice()
	if err != nil {
		return DeadTrend{}, false, fmt.Errorf("ledger: read the trend of dead letters of lane %s: %w", lane, l.explainDead(ctx, keys, err, cause(class, code)))
	}
	if len(answer) < 3 {
		return DeadTrend{}, false, nil
	}
	oldest, newest, body := answer[0], answer[1], answer[2]
	t.First, t.Last = timeOf(oldest), timeOf(newest)
	if body != "" && len(newest) > instantLen {
		t.Newest = readDeadLetter(lane, newest[instantLen:], body)
	}
	for _, text := range answer[3:] {
		n, _ := strconv.ParseInt(text, 10, 64)
		t.Periods = append(t.Periods, n)
	}
	return t, true, nil
}

// timeOf is the time of a member of an index; zero if it has none.
func timeOf(member string) time.Time {
	if len(member) < instantLen {
		return time.Time{}
	}
	us, err := strconv.ParseInt(member[:instantLen], 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

const (
	// fewLanes is how many lanes are read with a command each.
	fewLanes = 8
	// lanesTogether is how many lanes share a script: a millisecond of Redis' time.
	lanesTogether = 200
)

// manyCauses reads the keys of counts of many lanes of a Redis that is one node, with a script
// for each 200. A key of another type is left out.
func (l *Ledger) manyCauses(ctx context.Context, lanes []string) (map[string]map[string]string, error) {
	all := make(map[string]map[string]string, len(lanes))
	for some := range slices.Chunk(lanes, lanesTogether) {
		keys := make([]string, len(some))
		for i, lane := range some {
			keys[i] = deadKeys(lane).causes()
		}
		answer, err := deadCauses.Run(ctx, l.rdb, keys).Slice()
		if err != nil {
			return nil, fmt.Errorf("ledger: count dead letters: %w", err)
		}
		for i, lane := range some {
			fields, _ := answer[i].([]any)
			if len(fields)%2 == 1 {
				continue
			}
			counts := make(map[string]string, len(fields)/2)
			for k := 0; k < len(fields); k += 2 {
				name, _ := fields[k].(string)
				counts[name], _ = fields[k+1].(string)
			}
			all[lane] = counts
		}
	}
	return all, nil
}
