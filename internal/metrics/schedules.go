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

// newSchedules collects which schedules did not do their work.
func newSchedules(rdb redis.UniversalClient) collector {
	return stored(&reading[schedule.Survey]{
		ok: schedulesRead, descs: []*prometheus.Desc{scheduleTrouble},
		read: schedule.NewStore(rdb).List,
		collect: func(out chan<- prometheus.Metric, survey schedule.Survey) {
			for _, e := range survey.Entries {
				for _, state := range []schedule.State{schedule.Missed, schedule.Failed} {
					out <- gauge(scheduleTrouble, flag(e.Pause == nil && e.Last != nil && e.Last.State == state), e.Name, string(state))
				}
			}
		},
	})
}
