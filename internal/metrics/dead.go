package metrics

import (
	"context"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/lane"
	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
)

var (
	deadLetters = desc("dead_letters",
		"Open dead letters of the lane, for all workers together.", "lane", "class")
	deadRead = desc("dead_letters_read", "1 if the dead letters could be counted. If 0, their metrics are missing.")
)

// newDead counts the dead letters.
func newDead(rdb redis.UniversalClient, lanes []*lane.Lane) collector {
	var classes, names []string
	for _, class := range outcome.OfDeadLetters() {
		if class != outcome.Unreadable { // its dead letters are counted under their own class
			classes = append(classes, string(class))
		}
	}
	for _, l := range lanes {
		names = append(names, l.Name())
	}
	record := ledger.New(rdb)
	return stored(&reading[map[string][]ledger.CauseCount]{
		ok: deadRead, descs: []*prometheus.Desc{deadLetters},
		read: func(ctx context.Context) (map[string][]ledger.CauseCount, error) {
			return record.DeadCauses(ctx, names...)
		},
		collect: func(out chan<- prometheus.Metric, causes map[string][]ledger.CauseCount) {
			for _, name := range names {
				collectDead(out, name, classes, causes[name])
			}
		},
	})
}

func collectDead(out chan<- prometheus.Metric, lane string, classes []string, causes []ledger.CauseCount) {
	sums := map[string]int64{}
	for _, c := range causes {
		class := c.Class
		if !slices.Contains(classes, class) { // class of a newer worker
			class = codeOther
		}
		sums[class] += c.DeadLetters
	}
	for _, class := range append(slices.Clone(classes), codeOther) {
		out <- gauge(deadLetters, float64(sums[class]), lane, class)
	}
}
