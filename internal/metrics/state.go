package metrics

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/buildinfo"
	"rollcall/internal/hold"
	"rollcall/internal/lane"
)

const namespace = "rollcall"

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
}

func gauge(d *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

var heldDesc = desc("lane_held",
	"1 while the lane is on hold for a reason of the class, else 0. If there are several holds, the one with the largest scope; a hold of bulk tasks counts, too.",
	"lane", "class")

// holds collects which lanes are on hold at the time of a scrape.
type holds struct{ lanes []*lane.Lane }

func (*holds) Describe(out chan<- *prometheus.Desc) { out <- heldDesc }

func (h *holds) Collect(out chan<- prometheus.Metric) {
	for _, l := range h.lanes {
		current, _ := l.Hold()
		for _, class := range hold.Classes() {
			out <- gauge(heldDesc, flag(class == current.Class), l.Name(), string(class))
		}
	}
}

// build is the version of rollcall, as a series to join with others.
func build(info buildinfo.Info) prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "Always 1. The labels name the version of the worker, its commit and the Go release.",
		ConstLabels: prometheus.Labels{"version": info.Version, "revision": info.Revision, "goversion": info.Go},
	})
	g.Set(1)
	return g
}

var readyDesc = desc("ready", "1 if the worker takes tasks: its lanes are started and Redis answers. Otherwise 0.")

// readiness collects the result of /readyz; nil: ready.
type readiness func(context.Context) error

func (readiness) Describe(out chan<- *prometheus.Desc) { out <- readyDesc }

func (r readiness) Collect(out chan<- prometheus.Metric) {
	out <- gauge(readyDesc, flag(r == nil || r(context.Background()) == nil))
}

var (
	poolHits        = desc("redis_pool_hits_total", "Times a free connection to Redis was found in the pool.")
	poolMisses      = desc("redis_pool_misses_total", "Times no free connection to Redis was in the pool.")
	poolTimeouts    = desc("redis_pool_timeouts_total", "Times a command gave up waiting for a connection: the pool is too small.")
	poolStale       = desc("redis_pool_stale_total", "Connections to Redis that were found broken and removed.")
	poolConnections = desc("redis_pool_connections", "Connections to Redis, idle and in use.", "state")
)

// pool collects the connections that the lanes and the ledger share.
type pool struct{ redis redis.UniversalClient }

func (*pool) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{poolHits, poolMisses, poolTimeouts, poolStale, poolConnections} {
		out <- d
	}
}

func (p *pool) Collect(out chan<- prometheus.Metric) {
	s := p.redis.PoolStats()
	for _, c := range []struct {
		desc  *prometheus.Desc
		count uint32
	}{{poolHits, s.Hits}, {poolMisses, s.Misses}, {poolTimeouts, s.Timeouts}, {poolStale, s.StaleConns}} {
		out <- prometheus.MustNewConstMetric(c.desc, prometheus.CounterValue, float64(c.count))
	}
	out <- gauge(poolConnections, float64(s.IdleConns), "idle")
	out <- gauge(poolConnections, float64(s.TotalConns)-float64(s.IdleConns), "in_use")
}
