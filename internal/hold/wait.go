package hold

import "time"

const (
	// Lease is how long a worker owns a probe without renewing its claim. A worker that
	// dies during a probe delays the next one by at most that long.
	Lease = 5 * time.Second
	// noticed bounds the wait between two probes of a cause that can end without a
	// person. With the probe itself and the next read of the holds, the end is detected
	// within 30 s.
	noticed = 25 * time.Second
	// patient is the number of probes, some 15 minutes of them, after which the calls
	// that probes of a failing platform cost matter more than an extra minute of delay.
	patient = 40
)

// waits returns the first and the longest wait before a probe. A probe by a task costs
// a call, and a refusal needs a person; an unmetered call costs nothing.
func (h Hold) waits() (first, longest time.Duration) {
	switch {
	case h.Class == Refused && h.Probe == ByTask:
		return 5 * time.Second, time.Hour
	case h.Class == Refused:
		return 5 * time.Second, noticed
	case h.Class == Suspected && h.Probe == ByAddress:
		return time.Second, noticed
	case h.Class == Banned && h.Probe == ByAddress:
		return noticed, noticed
	case h.Class == Banned, h.Class == Suspected:
		return 10 * time.Second, noticed
	}
	return 2 * time.Second, noticed
}

// Wait returns how long after a probe the next one is due, given how many have ended.
func (h Hold) Wait(tries int) time.Duration {
	first, longest := h.waits()
	switch {
	case h.Class == Failing && tries > patient:
		return 2 * time.Minute
	case tries > 16:
		return longest
	}
	return min(first<<max(tries, 0), longest)
}
