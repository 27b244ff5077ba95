package ledger

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/redis/go-redis/v9"
)

// ClosedDeadLetter is a dead letter that closed automatically: all fields of its task
// were applied at a higher revision. It has no payload.
type ClosedDeadLetter struct {
	ID        string    `json:"id"` // of the task
	Lane      string    `json:"lane"`
	Tenant    string    `json:"tenant"`
	Kind      string    `json:"kind"`
	Target    string    `json:"target"`
	Revision  int64     `json:"revision"`
	Class     string    `json:"class"`
	Code      string    `json:"code,omitzero"`
	Last      time.Time `json:"last"`                // of the task's last failure
	Applied   int64     `json:"applied"`             // the lowest revision that was applied to one of its fields
	Closed    time.Time `json:"closed"`              // when
	RequestID string    `json:"request_id,omitzero"` // of the answer that ended the task
}

const (
	// closedKept is how many closed dead letters of a lane are kept.
	closedKept = 1000
	// closedFor is how long they are kept after the last one.
	closedFor = runKept
)

func (k deadKeys) closed() string { return k.key("closed") }

var closeDeadLetter = script("deadclose")

// CloseDeadLetter removes a dead letter, as all fields of its task were applied at the
// revision applied or a higher one, and records that in the same step. It reports
// whether the dead letter was there; one that was written again since it was read
// stays. One round trip.
func (l *Ledger) CloseDeadLetter(ctx context.Context, dead DeadLetter, applied int64, now time.Time) (closed bool, err error) {
	record, err := json.Marshal(ClosedDeadLetter{
		ID: dead.ID, Lane: dead.Lane, Tenant: dead.Tenant, Kind: dead.Kind, Target: dead.Target, Revision: dead.Revision,
		Class: dead.Class, Code: dead.Code, Last: dead.Last, Applied: applied, Closed: now.UTC().Truncate(time.Microsecond),
		RequestID: dead.RequestID,
	}, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return false, fmt.Errorf("ledger: close the dead letter of task %s: %w", dead.ID, err)
	}
	keys := deadKeys(dead.Lane)
	n, err := closeDeadLetter.Run(ctx, l.rdb, append(keys.keys(), keys.closed()),
		dead.ID, instant(dead.Last)+cause(dead.Class, dead.Code), record, closedKept, closedFor.Milliseconds()).Int()
	if err != nil {
		return false, fmt.Errorf("ledger: close the dead letter of task %s: %w", dead.ID, err)
	}
	return n == 1, nil
}

// ClosedDeadLetters returns at most n dead letters of lanes that closed automatically,
// newest first. The newest 1,000 of a lane are kept, for 90 days after the last. One
// pipelined round trip.
func (l *Ledger) ClosedDeadLetters(ctx context.Context, n int, lanes ...string) ([]ClosedDeadLetter, error) {
	if n <= 0 || len(lanes) == 0 {
		return nil, nil
	}
	answers := make([]*redis.StringSliceCmd, len(lanes))
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, lane := range lanes {
			answers[i] = p.LRange(ctx, deadKeys(lane).closed(), 0, int64(n)-1)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ledger: read closed dead letters: %w", err)
	}
	var all []ClosedDeadLetter
	for _, answer := range answers {
		for _, record := range answer.Val() {
			var c ClosedDeadLetter
			if json.Unmarshal([]byte(record), &c, jsontext.AllowInvalidUTF8(true)) == nil { // else a newer version wrote it
				all = append(all, c)
			}
		}
	}
	slices.SortStableFunc(all, func(x, y ClosedDeadLetter) int { return y.Closed.Compare(x.Closed) })
	return all[:min(n, len(all))], nil
}

// ForgetClosed removes the closed dead letters of a lane for which matches returns true, and
// returns how many there were. One round trip to read, and one if there are any.
func (l *Ledger) ForgetClosed(ctx context.Context, lane string, matches func(ClosedDeadLetter) bool) (int, error) {
	key := deadKeys(lane).closed()
	records, err := l.rdb.LRange(ctx, key, 0, -1).Result()
	if err != nil {
		return 0, fmt.Errorf("ledger: read closed dead letters: %w", err)
	}
	n := 0
	remove := l.rdb.Pipeline()
	for _, record := range records {
		var c ClosedDeadLetter
		if json.Unmarshal([]byte(record), &c, jsontext.AllowInvalidUTF8(true)) == nil && matches(c) {
			remove.LRem(ctx, key, 1, record)
			n++
		}
	}
	if n == 0 {
		return 0, nil
	}
	if _, err := remove.Exec(ctx); err != nil {
		return 0, fmt.Errorf("ledger: remove closed dead letters of lane %s: %w", lane, err)
	}
	return n, nil
}

// Applied returns for each task the lowest revision that was applied to one of its
// fields; 0 where one was never applied. A task with an edit has 0, as edits
// replace nothing. One pipelined round trip.
func (l *Ledger) Applied(ctx context.Context, changes ...Change) ([]int64, error) {
	answers := make([]*redis.SliceCmd, len(changes))
	asked := 0
	pipe := l.rdb.Pipeline()
	for i, w := range changes {
		if len(w.Fields) == 0 || edits(w.Fields) {
			continue
		}
		names := make([]string, len(w.Fields))
		for f, field := range w.Fields {
			names[f] = entryApplied + field.Name
		}
		answers[i] = pipe.HMGet(ctx, w.Target.redisKey(), names...)
		asked++
	}
	applied := make([]int64, len(changes))
	if asked == 0 {
		return applied, nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("ledger: read what was applied: %w", err)
	}
	for i, answer := range answers {
		if answer == nil {
			continue
		}
		for f, value := range answer.Val() {
			text, _ := value.(string)
			n, _ := strconv.ParseInt(text, 10, 64)
			if f == 0 || n < applied[i] {
				applied[i] = n
			}
		}
	}
	return applied, nil
}
