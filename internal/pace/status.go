package pace

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/redis/go-redis/v9"
)

// described is what a lane tells those who look.
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
	Cost   int    `json:"cost,omitzero"`
	Window Window `json:"window,omitzero"`
}

func describe(limits []Limit, quota Quota, metered bool) (string, error) {
	d := described{Metered: metered, Calls: quota.Calls, Reserve: quota.Reserve, Warn: quota.Warn}
	for _, l := range limits {
		d.Limits = append(d.Limits, describedLimit{l.Calls, l.Per.Microseconds(), l.Burst, l.Cost, l.Window})
	}
	text, err := json.Marshal(d, json.Deterministic(true))
	return string(text), err
}

// undescribe takes what it can: a newer worker may tell more.
func undescribe(text string) (limits []Limit, quota Quota, metered bool) {
	var d described
	if json.Unmarshal([]byte(text), &d) != nil {
		return nil, Quota{}, false
	}
	for _, l := range d.Limits {
		if l.Calls > l.Burst && l.Per > 0 {
			limits = append(limits, Limit{l.Calls, time.Duration(l.Per) * time.Microsecond, l.Burst, l.Cost, l.Window})
		}
	}
	return limits, Quota{Calls: d.Calls, Reserve: d.Reserve, Warn: d.Warn}, d.Metered
}

// Ref names a lane.
type Ref struct{ Organisation, Lane string }

// Status is how a lane goes, for all workers together.
type Status struct {
	Ref

	Limits  []Limit // as a worker last told; empty: none has
	Metered bool
	Quota   Quota

	Allowed float64 // calls a second that the pace lets through now
	InUse   float64 // calls a second of the last ten seconds or so
	// Share of the rate, 0 to 1: below 1 somebody else takes calls of the same
	// quota, or it has become smaller.
	Share   float64
	Spread  time.Duration // of the one-way delay, as assumed now
	Bad     time.Duration // the spread at which a call was refused; 0: none yet
	Refused int64         // calls refused for their rate, since the lane is known
	Booked  int64         // slots booked, since the lane is known
	Paused  time.Duration // what is left of a pause; 0: none
	Day     int64         // calls booked today in Asia/Shanghai

	Month Month // of the organisation
}

// MonthLeft is how many metered calls the organisation has left, the reserve for
// urgent ones included; false if the month is not bounded.
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

// Month is what an organisation has spent of a calendar month in Asia/Shanghai.
type Month struct {
	Name  string // 2006-01
	Spent int64  // metered calls
	// Said tells that the platform says they are used up.
	Said bool
	Ends time.Time
	// Quota is what was said last of the organisation's; nil: nothing. ReadMonths
	// alone reads it.
	Quota *Quota
}

// saidField marks a month of which the platform says that it is spent.
func saidField(month string) string { return month + ":said" }

// Read reads how lanes go. One round trip, and one for the time.
func Read(ctx context.Context, rdb redis.UniversalClient, refs []Ref) ([]Status, error) {
	now, err := rdb.Time(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("pace: read the time: %w", err)
	}
	lanes := make([]*redis.MapStringStringCmd, len(refs))
	months := map[string]*redis.SliceCmd{}
	month := shanghai(now.UnixMicro()).Format("2006-01")
	if _, err = rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, ref := range refs {
			lanes[i] = p.HGetAll(ctx, LaneKey(ref.Organisation, ref.Lane))
			if months[ref.Organisation] == nil {
				months[ref.Organisation] = p.HMGet(ctx, MonthKey(ref.Organisation), month, saidField(month))
			}
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("pace: read %d lanes: %w", len(refs), err)
	}
	all := make([]Status, len(refs))
	for i, ref := range refs {
		all[i] = status(ref, lanes[i].Val(), now.UnixMicro())
		all[i].Month = monthOf(month, months[ref.Organisation].Val(), now)
	}
	return all, nil
}

// ReadMonths reads what organisations have spent, in their order. One round
// trip, and one for the time.
func ReadMonths(ctx context.Context, rdb redis.UniversalClient, organisations ...string) ([]Month, error) {
	now, err := rdb.Time(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("pace: read the time: %w", err)
	}
	month := shanghai(now.UnixMicro()).Format("2006-01")
	read := make([]*redis.SliceCmd, len(organisations))
	if _, err = rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, o := range organisations {
			read[i] = p.HMGet(ctx, MonthKey(o), month, saidField(month), quotaField)
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("pace: read the months of %d organisations: %w", len(organisations), err)
	}
	months := make([]Month, len(organisations))
	for i := range months {
		months[i] = monthOf(month, read[i].Val(), now)
	}
	return months, nil
}

// SayMonthSpent writes down that the platform says an organisation's month is
// used up, whatever was counted.
func SayMonthSpent(ctx context.Context, rdb redis.UniversalClient, organisation string) error {
	m, err := ReadMonths(ctx, rdb, organisation)
	if err != nil {
		return err
	}
	if err := rdb.HSet(ctx, MonthKey(organisation), saidField(m[0].Name), 1).Err(); err != nil {
		return fmt.Errorf("pace: write down that the month of %s is spent: %w", organisation, err)
	}
	return nil
}

// UnsayMonthSpent takes that back: somebody has bought more calls.
func UnsayMonthSpent(ctx context.Context, rdb redis.UniversalClient, organisation string) error {
	m, err := ReadMonths(ctx, rdb, organisation)
	if err != nil {
		return err
	}
	if err := rdb.HDel(ctx, MonthKey(organisation), saidField(m[0].Name)).Err(); err != nil {
		return fmt.Errorf("pace: take back that the month of %s is spent: %w", organisation, err)
	}
	return nil
}

// WarnOnce reports true to the first who asks for a month.
func WarnOnce(ctx context.Context, rdb redis.UniversalClient, organisation, month string) (bool, error) {
	first, err := rdb.HSetNX(ctx, MonthKey(organisation), month+":warned", 1).Result()
	if err != nil {
		return false, fmt.Errorf("pace: note a warning for %s: %w", organisation, err)
	}
	return first, nil
}

func monthOf(name string, values []any, now time.Time) Month {
	y, mon, _ := shanghai(now.UnixMicro()).Date()
	m := Month{Name: name, Ends: time.Date(y, mon+1, 1, 0, 0, 0, 0, shanghai(0).Location())}
	if len(values) >= 2 {
		if text, ok := values[0].(string); ok {
			m.Spent, _ = strconv.ParseInt(text, 10, 64)
		}
		m.Said = values[1] != nil
	}
	if len(values) == 3 {
		m.Quota = readQuota(values[2])
	}
	return m
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
	m := Model{Share: number("share"), ShareAt: number("share_at")}
	if m.Share == 0 {
		m.Share = whole
	}
	share := m.share(now)
	s.Share = float64(share) / whole
	s.Limits, s.Quota, s.Metered = undescribe(fields["told"])
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
	// The last mark is up to ten seconds old, the one before it ten more.
	since, booked := number("old_at"), number("seq")-number("old_seq")
	if at := number("mark_at"); now-at > 10_000_000 {
		since, booked = at, number("seq")-number("mark_seq")
	}
	if since > 0 && now > since {
		s.InUse = float64(booked) * 1e6 / float64(now-since)
	}
	return s
}
