package metrics

import (
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

// newRuns counts the runs that have not ended.
func newRuns(rdb redis.UniversalClient) collector {
	return stored(&reading[run.Load]{
		ok: runsRead, descs: []*prometheus.Desc{runsOpen, runsWaiting, runsOldest}, lasts: runsLast, retry: true,
		read: run.New(run.Config{Redis: rdb, Ledger: ledger.New(rdb)}).Load,
		collect: func(out chan<- prometheus.Metric, load run.Load) {
			for state, n := range load.States {
				out <- gauge(runsOpen, float64(n), string(state))
			}
			out <- gauge(runsWaiting, float64(load.Waiting))
			oldest := 0.0
			if !load.Oldest.IsZero() {
				oldest = max(time.Since(load.Oldest), 0).Seconds()
			}
			out <- gauge(runsOldest, oldest)
		},
	})
}

// Fed counts rows of runs that were stored in the queues of a lane.
func (m *Metrics) Fed(lane string, rows int) { m.fed.WithLabelValues(lane).Add(float64(rows)) }
