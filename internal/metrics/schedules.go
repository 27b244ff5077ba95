package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/schedule"
)

var (
	scheduleTrouble = desc("schedule_trouble",
		"1 if the last time of the schedule was missed or failed, else 0, also while it is paused. Every worker reports the same value.", "schedule", "state")
	schedulesRead = desc("schedules_read", "1 if the schedules could be read. If 0, their metrics are missing.")
)

// schedules collects which schedules did not do their work.
type schedules struct {
	store   *schedule.Store
	reading reading[schedule.Survey]
}

func newSchedules(rdb redis.UniversalClient) *schedules {
	return &schedules{store: schedule.NewStore(rdb)}
}

// Describe implements prometheus.Collector.
func (*schedules) Describe(out chan<- *prometheus.Desc) {
	out <- scheduleTrouble
	out <- schedulesRead
}

// Collect implements prometheus.Collector.
func (s *schedules) Collect(out chan<- prometheus.Metric) {
	survey, err := s.reading.get(s.store.List)
	out <- gauge(schedulesRead, flag(err == nil))
	if err != nil {
		return
	}
	for _, e := range survey.Entries {
		for _, state := range []schedule.State{schedule.Missed, schedule.Failed} {
			out <- gauge(scheduleTrouble, flag(e.Pause == nil && e.Last != nil && e.Last.State == state), e.Name, string(state))
		}
	}
}
