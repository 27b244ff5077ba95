package metrics

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/lane"
	"rollcall/internal/pace"
)

var (
	paceAllowed = desc("pace_allowed_calls_per_second", "Calls a second that the pace lets through now, for all workers together.", "lane")
	paceInUse   = desc("pace_used_calls_per_second", "Calls a second that were booked in the last ten seconds or so, by all workers together.", "lane")
	paceShare   = desc("pace_share", "Share of the limit that is used, 0 to 1. Below 1 somebody else takes calls of the same quota.", "lane")
	paceSpread  = desc("pace_spread_seconds", "Spread of the one-way delay that the pace assumes, as learned from refusals.", "lane")
	paceRefused = desc("pace_refused_total", "Calls that were refused for their rate, of all workers together.", "lane")
	pacePaused  = desc("pace_paused_seconds", "What is left of the lane's pause after a refusal; 0 without one.", "lane")
	monthSpent  = desc("month_calls", "Metered calls of the organisation in this calendar month in Beijing.", "organisation")
	monthQuota  = desc("month_quota_calls", "Metered calls that the configuration allows the organisation in a month; 0 for no bound.", "organisation")
	monthLeft   = desc("month_left_calls", "What is left of them, the reserve for urgent tasks included; 0 also when the platform says so.", "organisation")
	paceRead    = desc("pace_read", "1 if the pace could be read. If 0, what is measured of it is missing.")
)

// paces reads how the lanes go, at most once in queuesFresh.
type paces struct {
	redis redis.UniversalClient
	refs  []pace.Ref

	mu   sync.Mutex // held across a reading, so that one scrape reads for all
	at   time.Time
	last []pace.Status // nil: could not be read
}

func newPaces(rdb redis.UniversalClient, lanes []*lane.Lane) *paces {
	p := &paces{redis: rdb}
	for _, l := range lanes {
		p.refs = append(p.refs, pace.Ref{Organisation: l.Organisation, Lane: l.Name()})
	}
	return p
}

// Describe implements prometheus.Collector.
func (*paces) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		paceAllowed, paceInUse, paceShare, paceSpread, paceRefused, pacePaused, monthSpent, monthQuota, monthLeft, paceRead,
	} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (p *paces) Collect(out chan<- prometheus.Metric) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.at) >= queuesFresh {
		ctx, cancel := context.WithTimeout(context.Background(), queuesWithin)
		p.last, _ = pace.Read(ctx, p.redis, p.refs)
		cancel()
		p.at = time.Now()
	}
	out <- gauge(paceRead, flag(p.last != nil || len(p.refs) == 0))
	told := map[string]bool{}
	for _, s := range p.last {
		out <- gauge(paceAllowed, s.Allowed, s.Lane)
		out <- gauge(paceInUse, s.InUse, s.Lane)
		out <- gauge(paceShare, s.Share, s.Lane)
		out <- gauge(paceSpread, s.Spread.Seconds(), s.Lane)
		out <- prometheus.MustNewConstMetric(paceRefused, prometheus.CounterValue, float64(s.Refused), s.Lane)
		out <- gauge(pacePaused, s.Paused.Seconds(), s.Lane)
		if !s.Metered || told[s.Organisation] {
			continue
		}
		told[s.Organisation] = true
		out <- gauge(monthSpent, float64(s.Month.Spent), s.Organisation)
		out <- gauge(monthQuota, float64(s.Quota.Calls), s.Organisation)
		if left, bounded := s.MonthLeft(); bounded {
			out <- gauge(monthLeft, float64(left), s.Organisation)
		}
	}
}
