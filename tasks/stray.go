package tasks

import (
	"slices"
	"strings"
)

// LaneOfQueue returns the lane whose queue it is: one of known, which may be of a
// kind that this build does not know, or what the queue's name tells by itself,
// without an organisation. false for a queue of something else.
func LaneOfQueue(queue string, known []Lane) (Lane, bool) {
	name, _ := strings.CutSuffix(queue, ".urgent")
	if i := slices.IndexFunc(known, func(l Lane) bool { return l.field() == name }); i >= 0 {
		return known[i], true
	}
	tenant, kind, _, ok := ParseQueue(queue)
	return Lane{Tenant: tenant, Kind: kind}, ok
}
