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

// dead counts the dead letters, at most once in readingLasts.
type dead struct {
	ledger  *ledger.Ledger
	lanes   []string
	classes []string

	reading reading[map[string][]ledger.CauseCount]
}

func newDead(rdb redis.UniversalClient, lanes []*lane.Lane) *dead {
	d := &dead{ledger: ledger.New(rdb)}
	for _, class := range outcome.OfDeadLetters() {
		if class != outcome.Unreadable { // its dead letters are counted under their own class
			d.classes = append(d.classes, string(class))
		}
	}
	for _, l := range lanes {
		d.lanes = append(d.lanes, l.Name())
	}
	return d
}

// Describe implements prometheus.Collector.
func (*dead) Describe(out chan<- *prometheus.Desc) {
	out <- deadLetters
	out <- deadRead
}

// Collect implements prometheus.Collector.
func (d *dead) Collect(out chan<- prometheus.Metric) {
	causes, err := d.reading.get(func(ctx context.Context) (map[string][]ledger.CauseCount, error) {
		return d.ledger.DeadCauses(ctx, d.lanes...)
	})
	out <- gauge(deadRead, flag(err == nil))
	if err != nil {
		return
	}
	for _, name := range d.lanes {
		sums := map[string]int64{}
		for _, c := range causes[name] {
			class := c.Class
			if !slices.Contains(d.classes, class) { // class of a newer worker
				class = codeOther
			}
			sums[class] += c.DeadLetters
		}
		for _, class := range append(slices.Clone(d.classes), codeOther) {
			out <- gauge(deadLetters, float64(sums[class]), name, class)
		}
	}
}
