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

func total(d *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.CounterValue, value, labels...)
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

// newHolds collects which lanes are on hold at the time of a scrape.
func newHolds(lanes []*lane.Lane) collector {
	return collector{descs: []*prometheus.Desc{heldDesc}, collect: func(out chan<- prometheus.Metric) {
		for _, l := range lanes {
			current, _ := l.Hold()
			for _, class := range hold.Classes() {
				out <- gauge(heldDesc, flag(class == current.Class), l.Name(), string(class))
			}
		}
	}}
}

// build registers the version of rollcall, as a series to join with others.
func (f factory) build(info buildinfo.Info) {
	f.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "Always 1. The labels name the version of the worker, its commit and the Go release.",
		ConstLabels: prometheus.Labels{"version": info.Version, "revision": info.Revision, "goversion": info.Go},
	}).Set(1)
}

var readyDesc = desc("ready", "1 if the worker takes tasks: its lanes are started and Redis answers. Otherwise 0.")

// newReadiness collects the result of /readyz; nil: ready.
func newReadiness(ready func(context.Context) error) collector {
	return collector{descs: []*prometheus.Desc{readyDesc}, collect: func(out chan<- prometheus.Metric) {
		out <- gauge(readyDesc, flag(ready == nil || ready(context.Background()) == nil))
	}}
}

var (
	poolHits        = desc("redis_pool_hits_total", "Times a free connection to Redis was found in the pool.")
	poolMisses      = desc("redis_pool_misses_total", "Times no free connection to Redis was in the pool.")
	poolTimeouts    = desc("redis_pool_timeouts_total", "Times a command gave up waiting for a connection: the pool is too small.")
	poolStale       = desc("redis_pool_stale_total", "Connections to Redis that were found broken and removed.")
	poolConnections = desc("redis_pool_connections", "Connections to Redis, idle and in use.", "state")
)

// newPool collects the connections that the lanes and the ledger share.
func newPool(rdb redis.UniversalClient) collector {
	return collector{
		descs: []*prometheus.Desc{poolHits, poolMisses, poolTimeouts, poolStale, poolConnections},
		collect: func(out chan<- prometheus.Metric) {
			s := rdb.PoolStats()
			out <- total(poolHits, float64(s.Hits))
			out <- total(poolMisses, float64(s.Misses))
			out <- total(poolTimeouts, float64(s.Timeouts))
			out <- total(poolStale, float64(s.StaleConns))
			out <- gauge(poolConnections, float64(s.IdleConns), "idle")
			out <- gauge(poolConnections, float64(s.TotalConns)-float64(s.IdleConns), "in_use")
		},
	}
}
