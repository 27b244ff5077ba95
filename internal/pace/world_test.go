package pace_test

import (
	"container/heap"
	"math/rand/v2"
	"time"

	"rollcall/internal/pace"
)

// world simulates workers, network and platform on a clock of its own, in microseconds.
// A simulated worker does what booker.go does: it asks for as many slots as it has
// senders, and asks again at the time in the answer.
type world struct {
	random *rand.Rand
	now    int64
	events events
	count  int
	model  *pace.Model
	server counter

	workers, senders int           // senders per worker
	delay            func() int64  // one-way delay, drawn for each request
	service          time.Duration // duration of an accepted call

	waiting []int // waiting senders, by worker
	again   []int64
	asking  []bool
	asks    int
	sends   []sent
}

type sent struct {
	at      int64 // time when it was counted
	refused bool
}

// counter decides whether the platform accepts a call.
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
			// Timers fire up to a millisecond late.
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
	w.after(w.delay(), func() {
		ok := w.server.count(w.now)
		w.sends = append(w.sends, sent{w.now, !ok})
		back := w.delay()
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

// stranger is another client that takes calls of the same quota, evenly.
func (w *world) stranger(from, to int64, every int64) {
	for at := from; at < to; at += every {
		w.after(at-w.now, func() { w.server.count(w.now) })
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
