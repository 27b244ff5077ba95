package main

import "time"

const (
	sustained = 40 // N, calls a second
	// restored is the part of its rate at which a lane counts as back.
	restored = 0.93
)

// paceActs are the figures that show how close to its limit a lane gets. Two concurrent
// scenes leave a third of two cores idle; three would not, and a process that waits for
// a core is late.
func paceActs(t tempo) []act {
	of := func(g goodput) scene {
		if g.per == 0 {
			g.calls, g.per, g.measured = sustained, time.Second, t.measured
		}
		return g.scene()
	}
	return []act{
		{
			{
				of(goodput{
					name: "minute.4w", kind: slidingKind, processes: 4,
					calls: t.minuteCalls, per: t.minute, measured: t.minuteMeasured,
				}),
				of(goodput{name: "sliding.1w", kind: slidingKind, processes: 1}),
				of(goodput{name: "sliding.8w", kind: slidingKind, processes: 8}),
			},
			{
				of(goodput{name: "sliding.4w", kind: slidingKind, processes: 4, drawn: true}),
				of(goodput{name: "fixed.4w", kind: fixedKind, processes: 4, drawn: true}),
				of(goodput{name: "bucket.4w", kind: bucketKind, processes: 4, drawn: true}),
				of(goodput{name: "fixed.4w.known", kind: fixedKind, processes: 4, configured: true}),
				of(goodput{name: "bucket.4w.known", kind: bucketKind, processes: 4, configured: true}),
				of(goodput{name: "sliding.4w.killed", kind: slidingKind, processes: 4, killed: true}),
			},
		},
		{
			{{names: []string{"pace.stranger.refused", "pace.stranger.back"}, play: stranger}},
			{{names: []string{"pace.halved.settled", "pace.halved.back"}, play: halved}},
		},
		{{{names: []string{"pace.urgent_p99"}, play: urgent}}},
		{{{names: []string{"pace.idle.cpu", "pace.idle.memory", "pace.idle.pickup_p50"}, play: idle}}},
		{{{names: []string{"pace.limiter_calls_per_request"}, play: limiterCalls}}},
	}
}
