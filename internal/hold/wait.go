package hold

import "time"

const (
	// Lease is how long a worker has a probe without renewing it. A worker that
	// dies with a probe delays the next one by no more than that.
	Lease = 5 * time.Second
	// noticed bounds the wait between two probes of a cause that ends without a
	// person: with the probe itself and the next reading of the holds, the end is
	// noticed within 30 s.
	noticed = 25 * time.Second
	// patient is after how many probes of a platform that fails, some 15 minutes,
	// the calls that they cost count for more than the minute that is lost.
	patient = 40
)

// waits are the first and the longest wait before a probe. A probe by a task
// costs a call, and a refusal needs a person; an unmetered call costs nothing.
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

// Wait is how long after a probe the next one is due, when so many have ended.
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
