package pace

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/redis/go-redis/v9"
)

// described is the published description of a lane.
type described struct {
	Limits  []describedLimit `json:"limits"`
	Metered bool             `json:"metered"`
	Calls   int              `json:"calls"`
	Reserve int              `json:"reserve"`
	Warn    int              `json:"warn"`
}

type describedLimit struct {
	Calls  int    `json:"calls"`
	Per    int64  `json:"per_us"`
	Burst  int    `json:"burst,omitzero"`
	Window Window `json:"window,omitzero"`
}

func describe(limits []Limit, quota Quota, metered bool) (string, error) {
	d := described{Metered: metered, Calls: quota.Calls, Reserve: quota.Reserve, Warn: quota.Warn}
	for _, l := range limits {
		d.Limits = append(d.Limits, describedLimit{l.Calls, l.Per.Microseconds(), l.Burst, l.Window})
	}
	text, err := json.Marshal(d, json.Deterministic(true))
	return string(text), err
}

// undescribe reads the fields it knows: a newer worker may publish more.
func undescribe(text string) (limits []Limit, quota Quota, metered bool) {
	var d described
	if json.Unmarshal([]byte(text), &d) != nil {
		return nil, Quota{}, false
	}
	for _, l := range d.Limits {
		if l.Calls > l.Burst && l.Per > 0 {
			limits = append(limits, Limit{l.Calls, time.Duration(l.Per) * time.Microsecond, l.Burst, l.Window})
		}
	}
	return limits, Quota{Calls: d.Calls, Reserve: d.Reserve, Warn: d.Warn}, d.Metered
}

// Ref names a lane.
type Ref struct{ Organisation, Lane string }

// Status is the state of a lane, for all workers together.
type Status struct {
	Ref

	Limits  []Limit // as last published by a worker; empty: none has
	Metered bool
	Quota   Quota

	Allowed float64 // calls per second that the pace allows now
	InUse   float64 // calls per second, over about the last ten seconds
	// Share of the rate, 0 to 1. Below 1, another client uses the same quota, or the
	// quota has become smaller.
	Share   float64
	Spread  time.Duration // assumed spread of the one-way delay
	Bad     time.Duration // the spread at which a call was refused; 0: none yet
	Refused int64         // calls refused for their rate, since the lane was created
	Booked  int64         // slots booked, since the lane was created
	Paused  time.Duration // remaining pause; 0: none
	Day     int64         // calls booked today in Asia/Shanghai

	Month Month // month of the organisation
}

// MonthLeft returns how many metered calls the organisation has left, including the
// reserve for urgent ones; false if the month is not bounded.
func (s Status) MonthLeft() (left int64, bounded bool) {
	switch {
	case !s.Metered:
		return 0, false
	case s.Month.Said:
		return 0, true
	case s.Quota.Calls == 0:
		return 0, false
	}
	return max(0, int64(s.Quota.Calls)-s.Month.Spent), true
}

// Month is how many calls an organisation has spent in a calendar month in
// Asia/Shanghai.
type Month struct {
	Name  string // 2006-01
	Spent int64  // metered calls
	// Messages are those of robots, which have a quota of their own.
	Messages int64
	// Said means that the platform reports the calls as used up.
	Said bool
	// Quota is the quota in effect for all workers, if QuotaKnown.
	Quota      Quota
	QuotaKnown bool
	Ends       time.Time
}

// mostCalls bounds the calls of a month: 370 a second.
const mostCalls = 1_000_000_000

// limitsField holds what a lane's workers are allowed, for people and other processes.
const limitsField = "told" // stored letters

// quotaField holds the organisation's quota, as configured in the worker that was last
// started or reloaded. All workers use it.
const quotaField = "quota"

// saidField marks a month that the platform reports as spent.
func saidField(month string) string { return month + ":said" }

// Read returns the state of lanes. Cost: one round trip, and one for the time. What a
// damaged key would hold is zero, and the key is named by a *DamagedError.
func Read(ctx context.Context, rdb redis.UniversalClient, refs []Ref) ([]Status, error) {
	now, err := rdb.Time(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("pace: read the time: %w", err)
	}
	lanes := make([]*redis.SliceCmd, len(refs))
	months := map[string]*redis.SliceCmd{}
	month := shanghai(now.UnixMicro()).Format("2006-01")
	_, _ = rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, ref := range refs {
			lanes[i] = p.HMGet(ctx, LaneKey(ref.Organisation, ref.Lane), statusFields...)
			if months[ref.Organisation] == nil {
				months[ref.Organisation] = p.HMGet(ctx, MonthKey(ref.Organisation), monthFields(month)...)
			}
		}
		return nil
	}) // each command has its own error
	all := make([]Status, len(refs))
	var damaged DamagedError
	for i, ref := range refs {
		if err := damaged.judge(LaneKey(ref.Organisation, ref.Lane), lanes[i].Err()); err != nil {
			return nil, fmt.Errorf("pace: read %d lanes: %w", len(refs), err)
		}
		if err := damaged.judge(MonthKey(ref.Organisation), months[ref.Organisation].Err()); err != nil {
			return nil, fmt.Errorf("pace: read %d lanes: %w", len(refs), err)
		}
		all[i] = status(ref, laneFields(lanes[i].Val()), now.UnixMicro())
		var counted bool
		if all[i].Month, counted = monthOf(month, months[ref.Organisation].Val(), now); !counted {
			damaged.Keys = append(damaged.Keys, MonthKey(ref.Organisation))
		}
		if all[i].Month.QuotaKnown && all[i].Metered {
			all[i].Quota = all[i].Month.Quota
		}
	}
	return all, damaged.err("read lanes")
}

// ReadMonths returns what organisations have spent, in the given order. Cost: one round
// trip, and one for the time. What a damaged key would hold is zero, and the key is named
// by a *DamagedError.
func ReadMonths(ctx context.Context, rdb redis.UniversalClient, organisations ...string) ([]Month, error) {
	now, err := rdb.Time(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("pace: read the time: %w", err)
	}
	month := shanghai(now.UnixMicro()).Format("2006-01")
	read := make([]*redis.SliceCmd, len(organisations))
	_, _ = rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, o := range organisations {
			read[i] = p.HMGet(ctx, MonthKey(o), monthFields(month)...)
		}
		return nil
	}) // each command has its own error
	months := make([]Month, len(organisations))
	var damaged DamagedError
	for i, o := range organisations {
		if err := damaged.judge(MonthKey(o), read[i].Err()); err != nil {
			return nil, fmt.Errorf("pace: read the months of %d organisations: %w", len(organisations), err)
		}
		var counted bool
		if months[i], counted = monthOf(month, read[i].Val(), now); !counted {
			damaged.Keys = append(damaged.Keys, MonthKey(o))
		}
	}
	return months, damaged.err("read months")
}

// NoteMonthSpent records that the platform reports an organisation's month as used up,
// regardless of what was counted.
func NoteMonthSpent(ctx context.Context, rdb redis.UniversalClient, organisation string) error {
	m, err := ReadMonths(ctx, rdb, organisation)
	if err != nil {
		return err
	}
	if err := rdb.HSet(ctx, MonthKey(organisation), saidField(m[0].Name), 1).Err(); err != nil {
		return fmt.Errorf("pace: record the month of %s as spent: %w", organisation, err)
	}
	return nil
}

// NoteMonthNotSpent removes that record: more calls were bought. It returns the month as it was;
// if that was not [Month.Said], nothing is removed.
func NoteMonthNotSpent(ctx context.Context, rdb redis.UniversalClient, organisation string) (Month, error) {
	m, err := ReadMonths(ctx, rdb, organisation)
	if err != nil {
		return Month{}, err
	}
	if !m[0].Said {
		return m[0], nil
	}
	if err := rdb.HDel(ctx, MonthKey(organisation), saidField(m[0].Name)).Err(); err != nil {
		return Month{}, fmt.Errorf("pace: remove the record that the month of %s is spent: %w", organisation, err)
	}
	return m[0], nil
}

// WarnOnce returns true to the first caller for a month.
func WarnOnce(ctx context.Context, rdb redis.UniversalClient, organisation, month string) (bool, error) {
	first, err := rdb.HSetNX(ctx, MonthKey(organisation), month+":warned", 1).Result()
	if err != nil {
		return false, fmt.Errorf("pace: record a warning for %s: %w", organisation, err)
	}
	return first, nil
}

// isCount reports whether a text is a number of calls.
func isCount(text string) bool {
	n, err := strconv.ParseInt(text, 10, 64)
	return err == nil && n >= 0 && n <= mostCalls
}

// monthFields are what is read of a month.
func monthFields(month string) []string {
	return []string{month, saidField(month), quotaField, messagesField(month)}
}

// monthOf reads the values of monthFields; none of a damaged key. counted is false if the
// count of calls is there and no number that it can be.
func monthOf(name string, values []any, now time.Time) (m Month, counted bool) {
	y, mon, _ := shanghai(now.UnixMicro()).Date()
	m, counted = Month{Name: name, Ends: time.Date(y, mon+1, 1, 0, 0, 0, 0, Shanghai)}, true
	if len(values) == 4 {
		if text, ok := values[0].(string); ok {
			m.Spent, _ = strconv.ParseInt(text, 10, 64)
			counted = isCount(text)
		}
		m.Said = values[1] != nil
		if text, ok := values[2].(string); ok {
			m.Quota, m.QuotaKnown = readQuota(text)
		}
		if text, ok := values[3].(string); ok {
			m.Messages, _ = strconv.ParseInt(text, 10, 64)
		}
	}
	return m, counted
}

// statusFields are what is read of a lane's hash: half of it.
var statusFields = []string{
	limitsField, "seq", "pause", "spread", "bad", "share", "share_at", "refused", "day", "day_calls", "mark_at", "mark_seq", "old_at", "old_seq",
}

// laneFields returns the values of statusFields by their names.
func laneFields(values []any) map[string]string {
	fields := make(map[string]string, len(values))
	for i, value := range values {
		if text, ok := value.(string); ok {
			fields[statusFields[i]] = text
		}
	}
	return fields
}

func status(ref Ref, fields map[string]string, now int64) Status {
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(fields[name], 10, 64)
		return n
	}
	s := Status{
		Ref: ref, Refused: number("refused"), Booked: number("seq"),
		Spread: time.Duration(number("spread")) * time.Microsecond, Bad: time.Duration(number("bad")) * time.Microsecond,
		Paused: time.Duration(max(number("pause")-now, 0)) * time.Microsecond,
	}
	if fields["day"] == shanghai(now).Format("2006-01-02") {
		s.Day = number("day_calls")
	}
	share := number("share")
	if share == 0 {
		share = whole
	}
	share = shareNow(share, number("share_at"), now)
	s.Share = float64(share) / whole
	s.Limits, s.Quota, s.Metered = undescribe(fields[limitsField])
	for _, l := range spaced(s.Limits) {
		spread := number("spread")
		if spread == 0 {
			start, _ := l.Window.spread()
			spread = start.Microseconds()
		}
		if rate := 1e6 / float64(l.interval(spread, share)); s.Allowed == 0 || rate < s.Allowed {
			s.Allowed = rate
		}
	}
	// The last mark is up to ten seconds old, the one before it up to ten more.
	since, booked := number("old_at"), number("seq")-number("old_seq")
	if at := number("mark_at"); now-at > 10_000_000 {
		since, booked = at, number("seq")-number("mark_seq")
	}
	if since > 0 && now > since {
		s.InUse = float64(max(booked, 0)) * 1e6 / float64(now-since)
	}
	return s
}
