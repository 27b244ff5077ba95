package sandbox

import "time"

// window counts calls. fits checks without counting, so that several windows of one
// call can be checked before any of them counts.
type window interface {
	fits(now time.Time) bool
	count(now time.Time)
}

type windowKey struct{ api, tenant string }

// slidingWindow keeps the instants of the calls of the last period.
type slidingWindow struct {
	Window

	calls []time.Time
}

func (w *slidingWindow) fits(now time.Time) bool {
	gone := 0
	for gone < len(w.calls) && now.Sub(w.calls[gone]) >= w.Per {
		gone++
	}
	w.calls = w.calls[gone:]
	return len(w.calls) < w.Calls
}

func (w *slidingWindow) count(now time.Time) { w.calls = append(w.calls, now) }

type fixedWindow struct {
	Window

	period int64 // number of the period since 1970
	used   int
}

func (w *fixedWindow) fits(now time.Time) bool {
	if period := now.UnixNano() / int64(w.Per); period != w.period {
		w.period, w.used = period, 0
	}
	return w.used < w.Calls
}

func (w *fixedWindow) count(time.Time) { w.used++ }

type bucketWindow struct {
	Window

	tokens float64
	filled time.Time
}

func (w *bucketWindow) fits(now time.Time) bool {
	if !w.filled.IsZero() && now.After(w.filled) {
		w.tokens += float64(w.Calls) * float64(now.Sub(w.filled)) / float64(w.Per)
		w.tokens = min(w.tokens, float64(w.Calls))
	}
	w.filled = now
	// A billionth is the rounding error of the additions above.
	return w.tokens >= 1-1e-9
}

func (w *bucketWindow) count(time.Time) { w.tokens-- }

// throttle counts a call of tenant to api in all its windows. False: one of
// them is full and none has counted; per is the period of the first that is.
func (s *Sandbox) throttle(api, tenant string, now time.Time) (per time.Duration, ok bool) {
	key := windowKey{api, tenant}
	open, seen := s.windows[key]
	if !seen {
		for _, w := range s.limits.Windows[api] {
			open = append(open, w.open())
		}
		s.windows[key] = open
	}
	for i, w := range open {
		if !w.fits(now) {
			return s.limits.Windows[api][i].Per, false
		}
	}
	for _, w := range open {
		w.count(now)
	}
	return 0, true
}

// addressState is what DingTalk records about one client address.
type addressState struct {
	window      window
	bannedUntil time.Time
}

// banned counts a call from address. The call that breaks the limit starts the
// ban; calls during a ban neither count nor prolong it.
func (s *Sandbox) banned(address string, now time.Time) bool {
	if s.limits.Address.Calls < 0 {
		return false
	}
	state := s.address[address]
	if state == nil {
		state = &addressState{window: s.limits.Address.open()}
		s.address[address] = state
	}
	if now.Before(state.bannedUntil) {
		return true
	}
	if !state.window.fits(now) {
		state.bannedUntil = now.Add(s.limits.AddressBan)
		return true
	}
	state.window.count(now)
	return false
}
