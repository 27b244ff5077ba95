package registry

import (
	"slices"
	"strings"

	"rollcall/internal/kinds"
	"rollcall/tasks"
)

// Queue returns the asynq queue of a lane, e.g. "lakeside-dt.nickname" or
// "lakeside-dt.nickname.urgent".
func Queue(tenant string, kind tasks.Kind, urgent bool) string {
	queue := tenant + "." + string(kind)
	if urgent {
		queue += ".urgent"
	}
	return queue
}

// Queues returns both queues of a lane, the urgent one first.
func Queues(tenant string, kind tasks.Kind) []string {
	return []string{Queue(tenant, kind, true), Queue(tenant, kind, false)}
}

// ParseQueue returns the parts of the name of a lane's queue. ok is false for a
// queue that no lane has.
func ParseQueue(queue string) (tenant string, kind tasks.Kind, urgent, ok bool) {
	lane, urgent := strings.CutSuffix(queue, ".urgent")
	tenant, last, _ := strings.Cut(lane, ".")
	kind = tasks.Kind(last)
	if _, known := kinds.Named(kind); !known || !tasks.ValidTenant(tenant) {
		return "", "", false, false
	}
	return tenant, kind, urgent, true
}

// OfQueue returns the lane whose queue it is: one of known, which may be of a
// kind that this build does not know, or what follows from the queue's name,
// without an organisation. false for a queue of something else.
func OfQueue(queue string, known []Lane) (Lane, bool) {
	name, _ := strings.CutSuffix(queue, ".urgent")
	if i := slices.IndexFunc(known, func(l Lane) bool { return l.field() == name }); i >= 0 {
		return known[i], true
	}
	tenant, kind, _, ok := ParseQueue(queue)
	return Lane{Tenant: tenant, Kind: kind}, ok
}
