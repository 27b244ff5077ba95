package lane

import (
	"time"

	"rollcall/internal/backlog"
)

// A worker that lives moves the leases of its tasks every 5 s. One whose lease
// did not move is gone, but only if it could have moved it: an outage of Redis
// does not count, and no worker's clock has a say.
const (
	// gone is how long a lease must not have moved, by the clock of Redis.
	gone = 20 * time.Second
	// leastLooks is how many looks in a row must have found it unmoved.
	leastLooks = 4
	// mostApart is how far two looks may lie apart, by the clock of Redis, to be
	// in a row: they come every 5 s and are given up after as long. What is
	// further apart was an outage, a sweeper that stood still, or a clock that
	// was set.
	mostApart = 12 * time.Second
)

// beats remembers the looks at the active tasks of one queue.
type beats struct {
	last time.Time // the last look, by the clock of Redis
	seen map[string]sighting
}

// sighting is what the looks have found of a task.
type sighting struct {
	lease string    // "" for none
	since time.Time // the first look in a row that found it so
	looks int       // in that row
}

// look takes a look in, and returns the tasks whose workers are gone.
func (b *beats) look(found backlog.Look) []backlog.Orphan {
	apart := found.Now.Sub(b.last)
	if found.Err != nil || apart < 0 || apart > mostApart {
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
		if s.looks >= leastLooks && found.Now.Sub(s.since) >= gone {
			orphans = append(orphans, backlog.Orphan{Active: task, Since: s.since})
		}
	}
	b.seen = now
	return orphans
}

// forget has the next looks at a task begin anew.
func (b *beats) forget(id string) { delete(b.seen, id) }
