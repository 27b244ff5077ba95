package metrics

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/ledger"
	"rollcall/internal/run"
)

// runsLast is how long one read of the runs serves further scrapes: it may read a thousand.
const runsLast = 30 * time.Second

var (
	runsOpen    = desc("runs", "Runs that have not ended, of the newest 1,000, by state. Every worker reports the same number.", "state")
	runsWaiting = desc("run_rows_waiting", "Rows of applied runs that are not in the queues of their lanes yet, for all workers together.")
	runsOldest  = desc("run_oldest_waiting_seconds", "Time since the oldest run with such rows was applied; 0 if there is none.")
	runsRead    = desc("runs_read", "1 if the runs could be read. If 0, their metrics are missing.")
)

// runs counts the runs that have not ended.
type runs struct {
	service *run.Service

	mu   sync.Mutex // held during a read, so that concurrent scrapes share it
	at   time.Time
	last run.Load
	err  error
}

func newRuns(rdb redis.UniversalClient) *runs {
	return &runs{service: run.New(run.Config{Redis: rdb, Ledger: ledger.New(rdb)})}
}

// Describe implements prometheus.Collector.
func (*runs) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{runsOpen, runsWaiting, runsOldest, runsRead} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (r *runs) Collect(out chan<- prometheus.Metric) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.at) >= runsLast || r.err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), readingWithin)
		r.last, r.err = r.service.Load(ctx)
		cancel()
		r.at = time.Now()
	}
	out <- gauge(runsRead, flag(r.err == nil))
	if r.err != nil {
		return
	}
	for state, n := range r.last.States {
		out <- gauge(runsOpen, float64(n), string(state))
	}
	out <- gauge(runsWaiting, float64(r.last.Waiting))
	oldest := 0.0
	if !r.last.Oldest.IsZero() {
		oldest = max(time.Since(r.last.Oldest), 0).Seconds()
	}
	out <- gauge(runsOldest, oldest)
}

// Fed counts rows of runs that were stored in the queues of a lane.
func (m *Metrics) Fed(lane string, rows int) { m.fed.WithLabelValues(lane).Add(float64(rows)) }
