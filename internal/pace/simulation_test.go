package pace_test

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"rollcall/internal/pace"
)

// world simulates workers, network and platform on a clock of its own, in
// microseconds. What a worker does is what desk.go does: it asks for as many
// slots as it has senders, and again when it is told to.
type world struct {
	random *rand.Rand
	now    int64
	events events
	count  int
	model  *pace.Model
	server counter

	workers, senders int           // senders of each worker
	jitter           time.Duration // of the one-way delay; it is 5 ms at least
	service          time.Duration

	waiting []int // by worker
	again   []int64
	asking  []bool
	asks    int
	sends   []sent
	until   int64
}

type sent struct {
	at      int64 // when it was counted
	refused bool
	ours    bool
}

// counter judges a call at the platform.
type counter interface{ count(now int64) bool }

type event struct {
	at    int64
	order int
	do    func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}

func (w *world) after(d int64, do func()) {
	w.count++
	heap.Push(&w.events, event{w.now + d, w.count, do})
}

func (w *world) spread(d time.Duration) int64 { return w.random.Int64N(d.Microseconds() + 1) }

func (w *world) run(until int64) {
	w.until = until
	for len(w.events) > 0 && w.events[0].at <= until {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
	}
	w.now = until
}

func (w *world) start() {
	w.again = make([]int64, w.workers)
	w.waiting, w.asking = make([]int, w.workers), make([]bool, w.workers)
	for i := range w.workers {
		w.waiting[i] = w.senders
		w.after(w.spread(50*time.Millisecond), func() { w.ask(i) })
	}
}

func (w *world) ask(worker int) {
	if w.asking[worker] || w.waiting[worker] == 0 || w.now < w.again[worker] {
		return
	}
	w.asking[worker] = true
	w.after(200+w.spread(300*time.Microsecond), func() {
		w.asks++
		w.asking[worker] = false
		r := w.model.Book(w.now, pace.Ask{Bulk: w.waiting[worker]})
		w.waiting[worker] -= len(r.Slots)
		for _, slot := range r.Slots {
			// Timers are late by up to a millisecond.
			w.after(slot-w.now+w.spread(time.Millisecond), func() { w.send(worker, slot, r.Epoch) })
		}
		if r.Why != "" {
			w.again[worker] = r.Again
			w.after(r.Again-w.now, func() { w.ask(worker) })
		}
	})
}

func (w *world) send(worker int, slot, epoch int64) {
	if epoch != w.model.Epoch {
		w.again[worker] = 0
		w.waiting[worker]++
		w.ask(worker)
		return
	}
	w.after(5000+w.spread(w.jitter), func() {
		ok := w.server.count(w.now)
		w.sends = append(w.sends, sent{w.now, !ok, true})
		back := 5000 + w.spread(w.jitter)
		if ok {
			back += w.service.Microseconds()
		}
		w.after(back, func() {
			if !ok {
				w.model.Refuse(w.now, pace.Refusal{Slot: slot, Period: 1_000_000})
			}
			w.waiting[worker]++
			w.ask(worker)
		})
	})
}

// stranger takes calls of the same quota, evenly.
func (w *world) stranger(from, to int64, every int64) {
	for at := from; at < to; at += every {
		w.after(at-w.now, func() {
			w.server.count(w.now)
		})
	}
}

type slidingCounter struct {
	calls int
	per   int64
	log   []int64
}

func (c *slidingCounter) count(now int64) bool {
	gone := 0
	for gone < len(c.log) && now-c.log[gone] >= c.per {
		gone++
	}
	c.log = c.log[gone:]
	if len(c.log) >= c.calls {
		return false
	}
	c.log = append(c.log, now)
	return true
}

type fixedCounter struct {
	calls       int
	per, period int64
	used        int
}

func (c *fixedCounter) count(now int64) bool {
	if p := now / c.per; p != c.period {
		c.period, c.used = p, 0
	}
	if c.used >= c.calls {
		return false
	}
	c.used++
	return true
}

type bucketCounter struct {
	calls  int
	per    int64
	tokens float64
	at     int64
}

func (c *bucketCounter) count(now int64) bool {
	if c.at == 0 {
		c.tokens = float64(c.calls)
	}
	c.tokens = min(float64(c.calls), c.tokens+float64(c.calls)*float64(now-c.at)/float64(c.per))
	c.at = now
	if c.tokens < 1 {
		return false
	}
	c.tokens--
	return true
}

func TestTune(t *testing.T) {
	seed, _ := strconv.ParseUint(os.Getenv("SEED"), 10, 64)
	const second = 1_000_000
	mk := func(kind pace.Window, known pace.Window, workers int) *world {
		w := &world{random: rand.New(rand.NewPCG(seed, 1)), now: 1_763_762_142_000_000, workers: workers, senders: 14,
			jitter: 30 * time.Millisecond, service: 40 * time.Millisecond}
		w.model = &pace.Model{Limits: []pace.Limit{{Calls: 40, Per: time.Second, Window: known}}}
		switch kind {
		case pace.Sliding:
			w.server = &slidingCounter{calls: 40, per: second}
		case pace.Fixed:
			w.server = &fixedCounter{calls: 40, per: second}
		case pace.Bucket:
			w.server = &bucketCounter{calls: 40, per: second}
		}
		w.start()
		return w
	}
	stat := func(w *world, from, to int64) string {
		ok, no := 0, 0
		for _, s := range w.sends {
			if s.at >= from && s.at < to {
				if s.refused {
					no++
				} else {
					ok++
				}
			}
		}
		return fmt.Sprintf("goodput %.4f refused %d/%d spread %d share %d", float64(ok)/(float64(to-from)/second*40), no, ok+no, w.model.Spread, w.model.Share)
	}
	for _, k := range []struct{ kind, known pace.Window }{{pace.Sliding, ""}, {pace.Fixed, ""}, {pace.Bucket, ""}, {pace.Fixed, pace.Fixed}, {pace.Bucket, pace.Bucket}} {
		w := mk(k.kind, k.known, 4)
		t0 := w.now
		w.run(t0 + 40*second)
		t.Logf("%s/%s 10-40s %s asks %d", k.kind, k.known, stat(w, t0+10*second, t0+40*second), w.asks)
		w.run(t0 + 600*second)
		t.Logf("   40-600s %s", stat(w, t0+40*second, t0+600*second))
	}
	w := mk(pace.Sliding, "", 4)
	t0 := w.now
	w.stranger(t0+20*second, t0+30*second, second/15)
	w.run(t0 + 60*second)
	t.Logf("stranger 20-30s %s", stat(w, t0+20*second, t0+30*second))
	for s := int64(20); s < 56; s += 2 {
		t.Logf("   %d %s", s, stat(w, t0+s*second, t0+(s+2)*second))
	}
	w = mk(pace.Sliding, "", 4)
	t0 = w.now
	w.run(t0 + 20*second)
	w.server.(*slidingCounter).calls = 20
	w.run(t0 + 60*second)
	w.server.(*slidingCounter).calls = 40
	w.run(t0 + 120*second)
	for s := int64(18); s < 110; s += 4 {
		t.Logf("  halved %d %s", s, stat(w, t0+s*second, t0+(s+4)*second))
	}
}
