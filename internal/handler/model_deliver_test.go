package handler_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/handler"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/providers"
	"rollcall/tasks"
)

// The ways in which a paused attempt continues.
const (
	goOn      = "goes on"
	goCrash   = "crashes"
	goTimeout = "times out" // in an exchange; elsewhere it continues
)

// deliver runs an attempt until it ends or pauses.
func (w *world) deliver(s *stored, p plan) {
	ctx, cancel := context.WithCancel(context.Background())
	a := &attempt{
		task: s, giveUp: cancel, plan: p, world: w, finished: s.done, latest: map[string]int64{},
		stands: make(chan string), goOn: make(chan string), ended: make(chan ended, 1),
	}
	ctx = context.WithValue(ctx, attemptKey{}, a)
	target, fields := kinds.Change(s.task, school)
	for _, f := range fields {
		a.finished = a.finished && !w.hasUnknown(target, f.Name)
		a.latest[f.Name], _ = strconv.ParseInt(w.field(target, "n:"+f.Name), 10, 64)
	}
	w.log("deliver %s: %s", s.id, p)
	w.running = a
	go func() {
		e := ended{crashed: true}
		defer func() { a.ended <- e }()
		report, err := w.handle[s.typ](ctx, handler.Delivery{TaskID: s.id, Type: s.typ, Payload: s.payload, Pacer: modelPacer{}, Resend: s.resend()})
		e = ended{report: report, err: err}
	}()
	w.wait(a)
}

func (w *world) wait(a *attempt) {
	select {
	case a.position = <-a.stands:
		w.log("  %s stands still %s", a.task.id, a.position)
		w.still = append(w.still, a)
	case e := <-a.ended:
		w.turn()
		a.giveUp()
		w.ended(a, e)
	}
	w.running = nil
	w.met()
}

func (w *world) resume(a *attempt, how string) {
	w.still = slices.DeleteFunc(w.still, func(b *attempt) bool { return a == b })
	w.log("%s %s", a.task.id, how)
	w.clock(time.Second) // a pause lasts for a while
	w.running = a
	a.goOn <- how
	w.wait(a)
}

// ended applies what the lane does at the end of an attempt.
func (w *world) ended(a *attempt, e ended) {
	s := a.task
	w.model.learned(a, !e.crashed && (e.err == nil || isDead(e.err)))
	switch {
	case e.crashed:
		w.log("  %s crashed", s.id)
	case e.err == nil:
		w.log("  %s ended as %s", s.id, e.report.Outcome)
		s.done, s.dead = true, false
	case isDead(e.err) && s.resend():
		w.log("  %s is not sent again: %v", s.resends.Key, e.err)
		w.gaveUp[s.resends] = true
		record, err := w.ledger.Look(context.Background(), s.resends)
		if err == nil {
			err = w.ledger.GiveUpResend(context.Background(), record, dt)
		}
		if err != nil {
			w.fatalf("%v", err)
		}
	case isDead(e.err) && !s.done:
		w.log("  %s is dead: %v", s.id, e.err)
		w.archive(s)
	default:
		w.log("  %s: %v", s.id, e.err)
	}
}

// learned records what the platform answered about an ID. certain reports whether the
// ledger surely recorded it.
func (m *model) learned(a *attempt, certain bool) {
	t, ok := a.task.task.(tasks.IDChange)
	if !ok || a.answer == "" || m.person(t.UserID).learn(a.answer, certain, a.world.latest()) {
		a.answer = ""
	}
}

// isDead is internal/lane's decision, as far as it does not depend on counted attempts.
func isDead(err error) bool {
	if _, again := errors.AsType[*handler.AgainError](err); again || errors.Is(err, ledger.ErrStale) || errors.Is(err, ledger.ErrLeaseLost) {
		return false
	}
	e, ok := errors.AsType[*providers.Error](err)
	return ok && (e.Kind == providers.Rejected || e.Kind == providers.Ambiguous)
}

// archive does what the lane does when a task is dead.
func (w *world) archive(s *stored) {
	s.dead = true
	target, _ := kinds.Change(s.task, school)
	if err := w.ledger.Close(context.Background(), target, s.id, ledger.Row{}); err != nil {
		w.fatalf("%v", err)
	}
}

// replay stores a dead task again, unchanged.
func (w *world) replay(s *stored) {
	w.log("%s is replayed", s.id)
	s.dead, s.loose = false, true
	s.replays++
	s.id = fmt.Sprintf("%s~%d", strings.Split(s.id, "~")[0], s.replays)
	w.mark(s)
}

// aside delays a request so that it reaches the platform later.
func (w *world) aside(l *landing) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.late = append(w.late, l)
}

// land delivers a request that its sender has given up.
func (w *world) land(l *landing) {
	w.late = slices.DeleteFunc(w.late, func(m *landing) bool { return m == l })
	w.lands(l)
	recorder := httptest.NewRecorder()
	w.carryOut(recorder, l.request, l.by)
	w.log("%s of %s lands late: %d %s", l.what, l.by.task.id, recorder.Code, recorder.Body)
}

// landAll delivers all requests that must arrive within d. An attempt that paused
// before the platform acted has given up by then.
func (w *world) landAll(d time.Duration) {
	due := func(sent time.Time) bool { return sent.Add(landsWithin).Before(w.latest().Add(max(d, 0))) }
	for {
		i := slices.IndexFunc(w.still, func(a *attempt) bool { return a.position == beforeExchange && due(a.sentAt) })
		if i < 0 {
			break
		}
		w.resume(w.still[i], goTimeout)
	}
	for _, l := range slices.Clone(w.late) {
		if due(l.sent) {
			w.land(l)
		}
	}
}

// lands records where a request may act after another attempt has started.
func (w *world) lands(l *landing) {
	target, fields := kinds.Change(l.by.task.task, school)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range fields {
		w.landed[position(target, f.Name)] = true
	}
}
