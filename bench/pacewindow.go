package main

import (
	"fmt"
	"time"
)

// The ways in which a platform may count.
const (
	slidingKind = "sliding"
	fixedKind   = "fixed"
	bucketKind  = "bucket"
)

// window counts calls as a platform does. Times are since an instant at which a
// period of the clock began, and do not go back. A call that does not fit is
// not counted.
type window interface {
	take(now time.Duration) bool
	// level is how many calls count now; of a bucket, how many tokens are left.
	level(now time.Duration) float64
	// allow sets the limit from now on.
	allow(calls int)
}

func newWindow(kind string, calls int, per time.Duration) (window, error) {
	switch kind {
	case slidingKind:
		return &slidingWindow{calls: calls, per: per}, nil
	case fixedKind:
		return &fixedWindow{calls: calls, per: per}, nil
	case bucketKind:
		return &bucketWindow{calls: calls, per: per, tokens: float64(calls)}, nil
	}
	return nil, fmt.Errorf("window %q: want sliding, fixed or bucket", kind)
}

// slidingWindow looks back from each call over the whole period.
type slidingWindow struct {
	calls int
	per   time.Duration
	log   []time.Duration
}

func (w *slidingWindow) take(now time.Duration) bool {
	if w.level(now) >= float64(w.calls) {
		return false
	}
	w.log = append(w.log, now)
	return true
}

func (w *slidingWindow) level(now time.Duration) float64 {
	gone := 0
	for gone < len(w.log) && now-w.log[gone] >= w.per {
		gone++
	}
	w.log = w.log[gone:]
	return float64(len(w.log))
}

func (w *slidingWindow) allow(calls int) { w.calls = calls }

// fixedWindow counts in periods of the clock.
type fixedWindow struct {
	calls  int
	per    time.Duration
	period int64
	used   int
}

func (w *fixedWindow) take(now time.Duration) bool {
	if w.level(now) >= float64(w.calls) {
		return false
	}
	w.used++
	return true
}

func (w *fixedWindow) level(now time.Duration) float64 {
	if period := int64(now / w.per); period != w.period {
		w.period, w.used = period, 0
	}
	return float64(w.used)
}

func (w *fixedWindow) allow(calls int) { w.calls = calls }

// bucketWindow is full at first and refills evenly.
type bucketWindow struct {
	calls  int
	per    time.Duration
	tokens float64
	filled time.Duration
}

func (w *bucketWindow) take(now time.Duration) bool {
	// A billionth is the rounding error of the additions.
	if w.level(now) < 1-1e-9 {
		return false
	}
	w.tokens--
	return true
}

func (w *bucketWindow) level(now time.Duration) float64 {
	w.tokens += float64(w.calls) * float64(now-w.filled) / float64(w.per)
	w.tokens = min(w.tokens, float64(w.calls))
	w.filled = now
	return w.tokens
}

func (w *bucketWindow) allow(calls int) { w.calls = calls }
