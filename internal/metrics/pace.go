package metrics

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/lane"
	"rollcall/internal/pace"
)

var (
	paceAllowed = desc("pace_allowed_calls_per_second",
		"Calls per second that the pace allows the lane now, for all workers together. A pause does not change it.", "lane")
	paceInUse = desc("pace_used_calls_per_second",
		"Calls per second that all workers together booked in the last ten to twenty seconds.", "lane")
	paceShare = desc("pace_share",
		"Share of its rate that the lane may use, 0.05 to 1. Below 1, another client uses the same quota.", "lane")
	paceSpread = desc("pace_spread_seconds",
		"Spread of the one-way delay that the pace assumes, as learned from refusals; 0 before the lane's first call.", "lane")
	paceRefused = desc("pace_refused_total",
		"Calls refused for their rate, for all workers together, since the lane was created in Redis.", "lane")
	pacePaused = desc("pace_paused_seconds", "Rest of the lane's pause after a refusal; 0 if it is not paused.", "lane")

	monthCalls = desc("month_calls",
		"Metered calls of the organisation in this calendar month in Asia/Shanghai, counted when they are booked.", "organisation")
	monthQuota   = desc("month_quota_calls", "Metered calls that the organisation may make in a month; 0 for no bound.", "organisation")
	monthReserve = desc("month_reserve_calls", "How many of rollcall_month_quota_calls are reserved for urgent tasks.", "organisation")
	monthWarn    = desc("month_warn_calls", "Number of calls in a month from which a warning is given; 0 for none.", "organisation")
	monthLeft    = desc("month_left_calls",
		"Calls that the month has left, the reserve included; 0 also if the platform reports the month as spent. Missing if the month has no bound.", "organisation")
	monthMessages = desc("month_messages", "Messages of robots of the organisation in this calendar month in Asia/Shanghai.", "organisation")
	monthEnds     = desc("month_ends_timestamp_seconds", "Time when the month ends.", "organisation")

	paceRead = desc("pace_read", "1 if the pace could be read. If 0, its metrics are missing.")
)

// newPaces collects the pace of the lanes, as all workers together have stored it.
func newPaces(rdb redis.UniversalClient, lanes []*lane.Lane) collector {
	var refs []pace.Ref
	for _, l := range lanes {
		refs = append(refs, pace.Ref{Organisation: l.Organisation, Lane: l.Name()})
	}
	return stored(&reading[[]pace.Status]{
		ok: paceRead, partial: true,
		descs: []*prometheus.Desc{
			paceAllowed, paceInUse, paceShare, paceSpread, paceRefused, pacePaused,
			monthCalls, monthQuota, monthReserve, monthWarn, monthLeft, monthMessages, monthEnds,
		},
		read:    func(ctx context.Context) ([]pace.Status, error) { return pace.Read(ctx, rdb, refs) },
		collect: collectPaces,
	})
}

func collectPaces(out chan<- prometheus.Metric, read []pace.Status) {
	collected := map[string]bool{}
	for _, s := range read {
		if len(s.Limits) > 0 { // otherwise no worker has published its limits yet
			out <- gauge(paceAllowed, s.Allowed, s.Lane)
		}
		out <- gauge(paceInUse, s.InUse, s.Lane)
		out <- gauge(paceShare, s.Share, s.Lane)
		out <- gauge(paceSpread, s.Spread.Seconds(), s.Lane)
		out <- total(paceRefused, float64(s.Refused), s.Lane)
		out <- gauge(pacePaused, s.Paused.Seconds(), s.Lane)
		// A month belongs to the organisation, and can be read with any of its lanes.
		if s.Metered && !collected[s.Organisation] {
			collected[s.Organisation] = true
			collectMonth(out, s)
		}
	}
}

func collectMonth(out chan<- prometheus.Metric, s pace.Status) {
	out <- gauge(monthCalls, float64(s.Month.Spent), s.Organisation)
	out <- gauge(monthQuota, float64(s.Quota.Calls), s.Organisation)
	out <- gauge(monthReserve, float64(s.Quota.Reserve), s.Organisation)
	out <- gauge(monthWarn, float64(s.Quota.Warn), s.Organisation)
	out <- gauge(monthMessages, float64(s.Month.Messages), s.Organisation)
	out <- gauge(monthEnds, float64(s.Month.Ends.Unix()), s.Organisation)
	if left, bounded := s.MonthLeft(); bounded {
		out <- gauge(monthLeft, float64(left), s.Organisation)
	}
}
