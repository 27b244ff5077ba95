package pace

import (
	"fmt"
	"slices"
	"time"
)

// Window is how a platform counts the calls of a window. No platform documents it, so
// set it only if you have found out.
type Window string

// The kinds of window.
const (
	// Unknown is paced as Sliding, the strictest.
	Unknown Window = "unknown"
	// Sliding counts the calls of the whole length before each call.
	Sliding Window = "sliding"
	// Fixed counts in consecutive periods.
	Fixed Window = "fixed"
	// Bucket holds as many calls as the limit and refills evenly.
	Bucket Window = "bucket"
)

// Day is the length of a limit that is counted by the calendar day in Asia/Shanghai,
// without spacing.
const Day = 24 * time.Hour

// Shanghai is the time zone of the platforms' days and months. It has had no summer time
// since 1991.
var Shanghai = time.FixedZone("Asia/Shanghai", 8*60*60)

// shanghai returns a Unix time in microseconds in that zone.
func shanghai(us int64) time.Time { return time.UnixMicro(us).In(Shanghai) }

// Limit is what a platform allows: Calls in any window of length Per.
type Limit struct {
	Calls int
	Per   time.Duration // 100 ms to an hour: spaced; Day: counted
	// Burst is how many calls may leave back to back beyond the even spacing. The
	// spacing widens accordingly: (Calls-Burst) per window. 0: none.
	Burst  int
	Window Window // empty: Unknown
}

// spread returns the assumed spread of the one-way delay: how unevenly requests that
// left evenly may arrive. N calls per window T exceed no sliding window if they leave
// no faster than N per T + spread. A lane starts with start, which is safe on most
// networks, and gradually learns how far it can go towards least. A fixed window is
// rarely full and a bucket absorbs the spread, so both need less.
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

// mostSpread bounds the spread that refusals can lead to.
func mostSpread(l Limit) time.Duration { return max(l.Per, time.Second) }

// Interval returns the time between two calls while nothing was learned. 0 for a limit
// by the day.
func (l Limit) Interval() time.Duration {
	if l.Per >= Day {
		return 0
	}
	start, _ := l.Window.spread()
	us := l.interval(start.Microseconds(), whole)
	return time.Duration(us) * time.Microsecond
}

// Horizon is how far ahead an urgent slot may be booked, bulkHorizon how far any other:
// an urgent call waits for at most bulkHorizon of other calls. Both bound how long a
// sender sleeps, and so how long a stop takes.
const (
	Horizon     = time.Second
	bulkHorizon = 500 * time.Millisecond
)

// LongestPause bounds a pause: what is further ahead was not written by a worker, or by
// another clock.
const LongestPause = time.Hour

const (
	whole       = 1000 // share of the full rate, in thousandths
	shareGrowth = 30   // thousandths per second
)

// shareNow returns the share in thousandths to which a share has grown since a time in
// microseconds.
func shareNow(share, at, now int64) int64 {
	return min(whole, share+max(now-at, 0)*shareGrowth/1_000_000)
}

// interval returns the time between two calls in microseconds, rounded up. spread is in
// microseconds, share in thousandths.
func (l Limit) interval(spread, share int64) int64 {
	n := (l.Per.Microseconds() + spread) * whole
	d := int64(l.Calls-l.Burst) * share
	return (n + d - 1) / d
}

// spaced returns the limits that are kept by spacing, the shortest first.
func spaced(limits []Limit) []Limit {
	out := slices.DeleteFunc(slices.Clone(limits), func(l Limit) bool { return l.Per >= Day })
	slices.SortStableFunc(out, func(a, b Limit) int { return int(a.Per - b.Per) })
	return out
}

// daily returns the limit by the day; 0: none.
func daily(limits []Limit) int64 {
	for _, l := range limits {
		if l.Per >= Day {
			return int64(l.Calls)
		}
	}
	return 0
}

// Rate returns how many calls per second the limits allow on average while nothing was
// learned.
func Rate(limits []Limit) float64 {
	rate := 0.0
	for _, l := range spaced(limits) {
		if r := 1 / l.Interval().Seconds(); rate == 0 || r < rate {
			rate = r
		}
	}
	return rate
}

// Quota is how many calls an organisation may make in a calendar month in
// Asia/Shanghai, over all its tenants. See
// https://open.dingtalk.com/document/development/dingtalk-application-development-platform-billing-model.
type Quota struct {
	Calls   int // 0: counted but not bounded
	Reserve int // part of Calls, reserved for urgent calls
	Warn    int // number of spent calls from which a warning is given; 0: none
}

// text returns the quota as it is stored for all workers: numbers separated by blanks.
func (q Quota) text() string { return fmt.Sprintf("%d %d %d", q.Calls, q.Reserve, q.Warn) }

// readQuota parses that text; false if there is no quota.
func readQuota(text string) (q Quota, ok bool) {
	n, err := fmt.Sscanf(text, "%d %d %d", &q.Calls, &q.Reserve, &q.Warn)
	return q, err == nil && n == 3
}
