package config

import (
	"time"

	"go.yaml.in/yaml/v4"
)

const (
	// shortestPer and longestPer bound what is spaced. Below shortestPer, the spread of
	// the network delay outweighs the spacing. Above longestPer, only a day is counted.
	shortestPer = 100 * time.Millisecond
	longestPer  = time.Hour
	// slowest is the longest interval between calls. With a longer one, the tasks that
	// wait for their slots outlive the shortest deadline of an attempt, 34 s.
	slowest = 8 * time.Second
)

// limits checks each limit of a lane, and whether they fit together. Values that are
// missing here were already reported.
func (d *document) limits(path []any, limits Limits) {
	listed := false
	if node := d.at(path); node != nil {
		listed = node.Kind == yaml.SequenceNode
	}
	first := map[Duration]int{} // per → position of the limit that has it
	spaced := false
	for i, l := range limits {
		at := path
		if listed {
			at = under(path, i)
		}
		d.limit(at, l)
		if other, taken := first[l.Per]; taken && l.Per != 0 {
			d.report(at, "has the same per as limit %d, %s; keep the one with fewer calls", other+1, l.Per)
		} else {
			first[l.Per] = i
		}
		spaced = spaced || !l.Daily()
	}
	if len(limits) > 0 && !spaced {
		d.report(path, "is %s, which is a number for the whole day; add a limit that says how fast, "+
			"as in [{calls: 3, per: 1s}, {calls: %d, per: 24h}]", limits, limits[0].Calls)
	}
}

func (d *document) limit(path []any, l Limit) {
	per, spaced := time.Duration(l.Per), l.Calls-l.Burst
	switch {
	case l.Per == 0 && d.silent(under(path, "per")):
	case l.Daily():
		d.day(path, l)
	case per < shortestPer || per > longestPer:
		d.report(under(path, "per"), "is %s; it must be %s to %s, or 24h for a calendar day, as in {calls: 20, per: 1s}",
			l.Per, Duration(shortestPer), Duration(longestPer))
	case l.Calls == 0: // already reported
	case spaced <= 0:
		d.report(under(path, "burst"), "is %d; it must be less than calls, %d: what is left is spaced over the %s",
			l.Burst, l.Calls, l.Per)
	case per/time.Duration(spaced) > slowest && l.Burst > 0:
		d.report(path, "is %s, so the calls beyond its burst are %s apart; tasks would time out while they wait, "+
			"so lower burst until there is at least one call in %s", l, Duration((per / time.Duration(spaced)).Round(time.Millisecond)), Duration(slowest))
	case per/time.Duration(spaced) > slowest:
		d.report(path, "is %s; tasks would time out while they wait, so allow at least one call in %s", l, Duration(slowest))
	}
}

// day checks a limit that is counted. Settings of the spacing have no meaning for it.
func (d *document) day(path []any, l Limit) {
	if l.Window == WindowSliding || l.Window == WindowBucket {
		d.report(under(path, "window"), "is %s, but 24h is a calendar day in Asia/Shanghai; remove window", l.Window)
	}
	if l.Burst > 0 {
		d.report(under(path, "burst"), "is %d, but the calls of 24h are counted and not spaced; remove burst", l.Burst)
	}
}

// egress checks the limit of an address. Every lane that calls from it waits for it as
// for its own limits.
func (d *document) egress(path []any, e Egress) {
	per := time.Duration(e.Per)
	switch {
	case per == 0 && d.silent(under(path, "per")):
	case per < shortestPer || per > longestPer:
		d.report(under(path, "per"), "is %s; it must be %s to %s, and DingTalk's is 20s", e.Per, Duration(shortestPer), Duration(longestPer))
	case e.Calls > 0 && per/time.Duration(e.Calls) > slowest:
		d.report(path, "is %d per %s; tasks would time out while they wait, so allow at least one call in %s",
			e.Calls, e.Per, Duration(slowest))
	}
}
