package metrics

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/logging"
)

const (
	// readingLasts is how long one read serves further scrapes, as a rule.
	readingLasts = 5 * time.Second
	// readingWithin bounds one read, of all queues or all lanes.
	readingWithin = 2 * time.Second
)

// collector collects metrics at every scrape. A panic costs its own metrics alone: the
// registry runs each collector in a goroutine, where a panic would end the worker.
type collector struct {
	descs   []*prometheus.Desc
	collect func(out chan<- prometheus.Metric)
	panics  *logging.Conditions
}

// Describe implements prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	_ = c.panics.Guard("a scrape of metrics", func() error { c.collect(out); return nil })
}

// reading collects metrics that are read from Redis.
type reading[T any] struct {
	read    func(context.Context) (T, error)
	collect func(out chan<- prometheus.Metric, value T) // must not change the value
	// ok is 1 if the last read succeeded. If it is 0, the metrics of descs are missing, or
	// if partial is set, some of them.
	ok      *prometheus.Desc
	descs   []*prometheus.Desc
	partial bool          // read returns the readable part of a damaged value with its error
	lasts   time.Duration // how long a read serves further scrapes; 0: readingLasts
	retry   bool          // a fault serves no further scrape

	mu    sync.Mutex // held during a read, so that concurrent scrapes share it
	at    time.Time
	value T
	err   error
}

func stored[T any](r *reading[T]) collector {
	return collector{descs: append(r.descs, r.ok), collect: func(out chan<- prometheus.Metric) {
		value, err := r.get()
		out <- gauge(r.ok, flag(err == nil))
		if err == nil || r.partial {
			r.collect(out, value)
		}
	}}
}

// get reads again if the last read is too old.
func (r *reading[T]) get() (T, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.at) >= cmp.Or(r.lasts, readingLasts) || r.retry && r.err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), readingWithin)
		defer cancel()
		r.value, r.err = r.read(ctx)
		r.at = time.Now()
	}
	return r.value, r.err
}
