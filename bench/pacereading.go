package main

import (
	"math"
	"slices"
	"sort"
	"time"
)

// step is how finely a moment is looked for in the calls.
const step = 50 * time.Millisecond

// call is one call as the platform judged it.
type call struct {
	At time.Duration `json:"at_ns"` // since the platform's own beginning
	OK bool          `json:"ok"`    // accepted

	who string
}

// calls are in the order of time.
type calls []call

// between returns the calls from one time on and before another.
func (c calls) between(from, to time.Duration) calls {
	at := func(t time.Duration) int {
		return sort.Search(len(c), func(i int) bool { return c[i].At >= t })
	}
	return c[at(from):max(at(from), at(to))]
}

func (c calls) accepted() int {
	n := 0
	for _, one := range c {
		if one.OK {
			n++
		}
	}
	return n
}

// refused is the share of calls that were refused, in percent.
func (c calls) refused() float64 {
	if len(c) == 0 {
		return 0
	}
	return 100 * float64(len(c)-c.accepted()) / float64(len(c))
}

// since returns the shortest time after from at which holds is true for the calls of
// the next span. ok: there is one by now.
func (c calls) since(from, now, span time.Duration, holds func(calls) bool) (after time.Duration, ok bool) {
	for t := from; t+span <= now; t += step {
		if holds(c.between(t, t+span)) {
			return t - from, true
		}
	}
	return 0, false
}

// arrivals returns when a call for each user was first accepted.
func (c calls) arrivals() map[string]time.Duration {
	first := map[string]time.Duration{}
	for _, one := range c {
		if _, seen := first[one.who]; one.OK && !seen {
			first[one.who] = one.At
		}
	}
	return first
}

// percentile is the least value that p percent of the values do not exceed.
func percentile(values []float64, p float64) float64 {
	slices.Sort(values)
	rank := int(math.Ceil(p / 100 * float64(len(values))))
	return values[min(max(rank, 1), len(values))-1]
}
