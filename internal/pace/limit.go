package pace

import (
	"fmt"
	"slices"
	"time"
)

// Window says how a platform counts the calls of a window. It is documented by
// none, so it is for those who have found out.
type Window string

// The kinds of window.
const (
	// Unknown is paced as Sliding, the strictest.
	Unknown Window = "unknown"
	// Sliding looks back from each call over the whole length.
	Sliding Window = "sliding"
	// Fixed counts in periods that follow on each other.
	Fixed Window = "fixed"
	// Bucket holds as many calls as the limit and refills evenly.
	Bucket Window = "bucket"
)

// Day is the length of a limit that is counted by the calendar day in
// Asia/Shanghai, and not spaced.
const Day = 24 * time.Hour

// Limit is what a platform allows: Calls in any window of length Per.
type Limit struct {
	Calls int
	Per   time.Duration // 100 ms to an hour: spaced; Day: counted
	// Burst is how many calls may leave back to back beyond the even spacing,
	// which grows by it: (Calls-Burst) per window. 0: none.
	Burst int
	// Cost is how much of Calls one call takes. 0: 1.
	Cost   int
	Window Window // empty: Unknown
}

// The assumed spread of the one-way delay: how unevenly requests that left
// evenly may arrive. N calls per window T are exceeded on no sliding window if
// they leave no faster than N per T + spread. A lane begins with the first of
// each pair, which is safe on most networks, and by and by finds out how far it
// can go towards the second. A fixed window is filled to the brim only now and
// then, and a bucket swallows the spread, so they need less.
func (w Window) spread() (start, least time.Duration) {
	switch w {
	case Fixed:
		return 25 * time.Millisecond, 10 * time.Millisecond
	case Bucket:
		return 5 * time.Millisecond, time.Millisecond
	case Unknown, Sliding:
	}
	return 45 * time.Millisecond, 2 * time.Millisecond
}

// mostSpread bounds what refusals can make of the spread.
func mostSpread(l Limit) time.Duration { return max(l.Per, time.Second) }

// Interval is the time between two calls while nothing was learned yet. 0 for a
// limit by the day.
func (l Limit) Interval() time.Duration {
	if l.Per >= Day {
		return 0
	}
	start, _ := l.Window.spread()
	us := l.interval(start.Microseconds(), whole)
	return time.Duration(us) * time.Microsecond
}

// Horizon is how far ahead an urgent slot may be booked, and bulkHorizon any
// other: an urgent call is behind at most the latter. Both bound how long a
// sender sleeps, and with it how long a stop takes.
const (
	Horizon     = time.Second
	bulkHorizon = 500 * time.Millisecond
)

// whole is a share of the rate, in thousandths, that cuts nothing off.
const whole = 1000

// interval is the time between two calls in microseconds, rounded up, when the
// spread is in microseconds and the share in thousandths.
func (l Limit) interval(spread, share int64) int64 {
	n := (l.Per.Microseconds() + spread) * whole * l.cost()
	d := int64(l.Calls-l.Burst) * share
	return (n + d - 1) / d
}

// length is the window's, in microseconds: what the limit is told apart by.
func (l Limit) length() int64 { return l.Per.Microseconds() }

func (l Limit) cost() int64 { return int64(max(l.Cost, 1)) }

// tolerance is how early a call may come, by the burst.
func (l Limit) tolerance(interval int64) int64 { return int64(l.Burst) * interval }

// spaced are the limits that are kept by spacing, the shortest first.
func spaced(limits []Limit) []Limit {
	out := slices.DeleteFunc(slices.Clone(limits), func(l Limit) bool { return l.Per >= Day })
	slices.SortStableFunc(out, func(a, b Limit) int { return int(a.Per - b.Per) })
	return out
}

// daily is the limit by the day; 0: none.
func daily(limits []Limit) int64 {
	for _, l := range limits {
		if l.Per >= Day {
			return int64(l.Calls)
		}
	}
	return 0
}

// Rate is what the limits allow in a second for any length of time, while
// nothing was learned yet.
func Rate(limits []Limit) float64 {
	rate := 0.0
	for _, l := range spaced(limits) {
		if r := 1 / l.Interval().Seconds(); rate == 0 || r < rate {
			rate = r
		}
	}
	return rate
}

// Quota is what an organisation may call in a calendar month in Asia/Shanghai,
// over all its tenants.
// See https://open.dingtalk.com/document/development/dingtalk-application-development-platform-billing-model.
type Quota struct {
	Calls   int // 0: counted, not bounded
	Reserve int // of Calls, kept for urgent calls
	Warn    int // from so many calls spent on a warning stands; 0: none
}

// text is the quota as it is stored for all workers, numbers apart by blanks.
func (q Quota) text() string { return fmt.Sprintf("%d %d %d", q.Calls, q.Reserve, q.Warn) }

// readQuota reads it; false if there is none.
func readQuota(text string) (q Quota, ok bool) {
	n, err := fmt.Sscanf(text, "%d %d %d", &q.Calls, &q.Reserve, &q.Warn)
	return q, err == nil && n == 3
}
