package lane_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/internal/hold"
	"rollcall/internal/lane"
	"rollcall/internal/lanetest"
	"rollcall/internal/outcome"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
)

var lakeside = hold.Scope{Level: hold.Organisation, Name: "lakeside"}

// term is two workers of an organisation with 500 calls a month, 50 of them reserved
// for urgent tasks. It has 1,940 bulk tasks and 60 urgent ones that need a call each.
// Under -short all numbers are a fifth.
type term struct {
	t        *testing.T
	ten      int // 2 under -short
	calendar *calendar
	both     []*rig

	bulk, urgent, done atomic.Int64 // sends, and done tasks
	attempts, lost     atomic.Int64 // all attempts, and the counted ones
}

func (w *term) bulkTasks() int   { return 194 * w.ten }
func (w *term) urgentTasks() int { return 6 * w.ten }

func begin(t *testing.T) *term {
	t.Helper()
	s := redistest.Mini(t)
	w := &term{t: t, ten: lanetest.Few(10, 2), calendar: runs(t, s)}
	for range 2 {
		r := newRig(t, s)
		r.Watch.Instead = func(a lane.Attempt) {
			w.attempts.Add(1)
			if a.Verdict.Action == outcome.Done {
				w.done.Add(1)
			}
			if a.Verdict.Counted {
				w.lost.Add(1)
			}
		}
		r.Add(lane.Config{Limits: fastest, Metered: true, Quota: pace.Quota{Calls: 50 * w.ten, Reserve: 5 * w.ten}},
			func(ctx context.Context, slot func(context.Context) error, payload string) error {
				if err := send(ctx, slot, payload); err != nil {
					return err
				}
				if payload == "urgent" {
					w.urgent.Add(1)
				} else {
					w.bulk.Add(1)
				}
				return nil
			})
		w.both = append(w.both, r)
	}
	for range w.bulkTasks() {
		w.both[0].Put(nicknames, "bulk")
	}
	for _, r := range w.both {
		r.Start()
	}
	return w
}

// spends waits until the month's calls are spent and a hold begins. It checks that no
// further call was made and that no task is lost.
func (w *term) spends(bulk, urgentOnes int, bulkOnly bool) {
	w.t.Helper()
	r := w.both[0]
	lanetest.Eventually(w.t, func() error {
		all := r.holds().Of(lakeside)
		if len(all) != 1 || all[0].Class != hold.Quota || all[0].Bulk != bulkOnly {
			return fmt.Errorf("the organisation is held by %+v; %d bulk and %d urgent calls were made", all, w.bulk.Load(), w.urgent.Load())
		}
		if got, want := w.calls(), bulk+urgentOnes; got != want {
			return fmt.Errorf("%d calls were made, want %d", got, want)
		}
		return nil
	})
	for _, r := range w.both {
		r.looks()
	}
	r.quiet(nicknames)
	r.quiet(urgent)
	for _, r := range w.both {
		r.looks()
	}
	if gotBulk, gotUrgent := w.bulk.Load(), w.urgent.Load(); int(gotBulk) != bulk || int(gotUrgent) != urgentOnes {
		w.t.Errorf("%d bulk and %d urgent calls, want %d and %d", gotBulk, gotUrgent, bulk, urgentOnes)
	}
	if m, err := pace.ReadMonths(w.t.Context(), r.Redis, "lakeside"); err != nil || m[0].Spent != int64(bulk+urgentOnes) {
		w.t.Errorf("%+v, %v: %d calls were made", m, err, bulk+urgentOnes)
	}
	w.untouched()
}

// untouched checks that every task that is not done waits, and has lost no attempt.
func (w *term) untouched() {
	w.t.Helper()
	put := w.bulkTasks()
	if w.urgent.Load() > 0 {
		put += w.urgentTasks()
	}
	lanetest.Eventually(w.t, func() error { // tasks whose wait is over move while they are listed
		if n := w.waiting(); n != put-int(w.done.Load()) {
			return fmt.Errorf("%d tasks wait and %d of %d are done", n, w.done.Load(), put)
		}
		return nil
	})
	if n := w.lost.Load(); n != 0 {
		w.t.Errorf("%d attempts were counted", n)
	}
}

// waiting returns how many tasks wait. None of them may have lost an attempt.
func (w *term) waiting() int {
	w.t.Helper()
	waiting := map[string]bool{}
	for _, queue := range []string{nicknames, urgent} {
		for page := 1; ; page++ {
			at := []asynq.ListOption{asynq.PageSize(500), asynq.Page(page)}
			pending, err := w.both[0].Inspector.ListPendingTasks(queue, at...)
			retry, retryErr := w.both[0].Inspector.ListRetryTasks(queue, at...)
			if errors.Is(err, asynq.ErrQueueNotFound) {
				break
			}
			if err := errors.Join(err, retryErr); err != nil {
				w.t.Fatal(err)
			}
			for _, info := range append(pending, retry...) {
				if waiting[info.ID] = true; info.Retried != 0 {
					w.t.Fatalf("task %s has lost %d attempts: %s", info.ID, info.Retried, info.LastErr)
				}
			}
			if len(pending)+len(retry) == 0 {
				break
			}
		}
	}
	return len(waiting)
}

func (w *term) spend() {
	w.t.Helper()
	w.spends(45*w.ten, 0, true)
	for range w.urgentTasks() {
		w.both[1].Put(urgent, "urgent")
	}
	w.spends(45*w.ten, 5*w.ten, false)
}

func (w *term) calls() int { return int(w.bulk.Load() + w.urgent.Load()) }

func TestAMonthIsSpentToTheLastCallAndWorkContinuesNextMonth(t *testing.T) {
	t.Parallel()
	w := begin(t)
	w.spend()
	// A sixth of the urgent tasks is left, and bulk tasks are sent up to the reserve.
	w.calendar.turn()
	lanetest.Eventually(t, func() error {
		if sent := w.calls(); int(w.urgent.Load()) != w.urgentTasks() || sent != 95*w.ten {
			return fmt.Errorf("%d calls were made, %d of them urgent", sent, w.urgent.Load())
		}
		return nil
	})
	w.untouched()
}

func TestWorkContinuesWhenTheQuotaOfASpentMonthIsRaised(t *testing.T) {
	t.Parallel()
	w := begin(t)
	w.spend()
	if err := w.both[0].Set.SetQuota(t.Context(), "lakeside", pace.Quota{Calls: 300 * w.ten, Reserve: 30 * w.ten}); err != nil {
		t.Fatal(err)
	}
	lanetest.Eventually(t, func() error {
		if n := int(w.done.Load()); n != w.bulkTasks()+w.urgentTasks() {
			return fmt.Errorf("%d tasks are done", n)
		}
		return nil
	})
	if sent := w.calls(); sent != w.bulkTasks()+w.urgentTasks() || w.lost.Load() != 0 {
		t.Errorf("%d calls were made for %d tasks, and %d attempts counted", sent, w.bulkTasks()+w.urgentTasks(), w.lost.Load())
	}
	for _, r := range w.both {
		r.Free(0)
	}
}

// The last calls are booked and their slots are in the future when the month turns out
// to be spent.
func TestBookedCallsOfASpentMonthAreStillSent(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		var log sends
		r.Add(lane.Config{Limits: []pace.Limit{{Calls: 20, Per: time.Second}}, Metered: true, Quota: pace.Quota{Calls: 10}},
			func(ctx context.Context, slot func(context.Context) error, payload string) error {
				err := send(ctx, slot, payload)
				if err == nil {
					log.note()
				}
				return err
			})
		for range 30 {
			r.Put(urgent, "")
		}
		r.Start()
		// The hold begins while the last of the ten calls still wait for their slots.
		lanetest.Eventually(t, func() error {
			if n := len(log.all()); n != 10 {
				return fmt.Errorf("%d calls left, want 10", n)
			}
			return nil
		})
		r.Held(0)
		r.quiet(urgent)
		if called := len(log.all()); called != 10 {
			t.Errorf("%d calls were made, want the 10 of the month", called)
		}
	})
}

// The number of sends before a panic is unknown.
func TestACallBeforeAPanicIsCounted(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.Mini(t))
	r.Add(lane.Config{Limits: fast, Metered: true}, func(ctx context.Context, slot func(context.Context) error, payload string) error {
		err := send(ctx, slot, payload)
		if payload == "bad" {
			panic("defect")
		}
		return err
	})
	r.Start()
	for _, payload := range []string{"good", "bad"} {
		r.Put(nicknames, payload)
		r.Attempt()
	}
	r.Stop()
	if m, err := pace.ReadMonths(t.Context(), r.Redis, "lakeside"); err != nil || m[0].Spent != 2 {
		t.Errorf("%+v, %v: two calls may have been made", m, err)
	}
}
