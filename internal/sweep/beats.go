package sweep

import (
	"time"

	"rollcall/internal/backlog"
)

// A live worker renews the leases of its tasks every 5 s. A worker whose lease did not
// move counts as dead, but only if it could have renewed it: an outage of Redis does
// not count. Only the clock of Redis is used, never a worker's.
const (
	// deadAfter is how long a lease must stay unchanged, by the clock of Redis.
	deadAfter = 20 * time.Second
	// minLooks is how many looks in a row must find the lease unchanged.
	minLooks = 4
	// maxGap is the longest time between two looks in a row, by the clock of Redis.
	// Looks are made every 5 s and time out after 5 s. A longer gap means an outage, a
	// sweeper that stood still, or a clock that was set.
	maxGap = 12 * time.Second
)

// beats remembers what the looks at one queue's active tasks found.
type beats struct {
	last time.Time // time of the last look, by the clock of Redis
	seen map[string]sighting
}

// sighting is what the looks found for one task.
type sighting struct {
	lease string    // "" for none
	since time.Time // the first of the looks in a row that found this lease
	looks int       // looks in that row
}

// look records one look, and returns the tasks whose workers are dead.
func (b *beats) look(found backlog.Look) []backlog.Orphan {
	apart := found.Now.Sub(b.last)
	if found.Err != nil || apart < 0 || apart > maxGap {
		b.seen = nil
	}
	if found.Err != nil {
		return nil
	}
	b.last = found.Now
	var orphans []backlog.Orphan
	now := make(map[string]sighting, len(found.Active))
	for _, task := range found.Active {
		s, before := b.seen[task.ID]
		if !before || s.lease != task.Lease {
			s = sighting{lease: task.Lease, since: found.Now}
		}
		s.looks++
		now[task.ID] = s
		if s.looks >= minLooks && found.Now.Sub(s.since) >= deadAfter {
			orphans = append(orphans, backlog.Orphan{Active: task, Since: s.since})
		}
	}
	b.seen = now
	return orphans
}

// forget drops what is known of a task: its looks start again from zero.
func (b *beats) forget(id string) { delete(b.seen, id) }
