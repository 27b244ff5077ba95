package handler_test

import (
	"context"
	"errors"
	"time"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/tasks"
)

// due returns a target whose values are sent again now, as its attempt receives them;
// nil: there is none.
func (w *world) due(pick func(n int) int) *stored {
	var due []ledger.Target
	for _, api := range []tasks.Kind{tasks.KindNickname, tasks.KindGroup} {
		found := w.ledger.LateTargets(context.Background(), w.redisNow(), 10, ledger.Sender{Organisation: school, API: string(api), Tenant: dt})[0]
		if found.Err != nil {
			w.fatalf("%v", found.Err)
		}
		due = append(due, found.Due...)
	}
	if len(due) == 0 {
		return nil
	}
	target := due[pick(len(due))]
	record, err := w.ledger.Look(context.Background(), target)
	if err != nil {
		w.fatalf("%v", err)
	}
	s := &stored{resends: target}
	values := map[string]string{}
	for name, f := range record.Fields {
		if !f.Late.IsZero() && f.Value != "" {
			values[name], s.rev = f.Value, max(s.rev, f.Applied)
		}
	}
	if len(values) == 0 {
		return s
	}
	kind, _ := kinds.Named(tasks.Kind(target.API))
	if s.task, err = kind.Restore(dt, target.Key, values); err == nil {
		s.typ, s.payload, err = kinds.Encode(s.task, s.rev)
	}
	if err != nil {
		w.fatalf("%v", err)
	}
	return s
}

// resend sends values again, as the lane does.
func (w *world) resend(s *stored, p plan) {
	if s.task == nil {
		w.log("nothing of %s is left to send again", s.resends.Key)
		_, _, err := w.ledger.Begin(context.Background(), ledger.Delivery{Target: s.resends, ResentBy: dt, Resend: true})
		if _, busy := errors.AsType[*ledger.BusyError](err); err != nil && !busy { // it waits for the next time
			w.fatalf("%v", err)
		}
		return
	}
	w.log("%s is sent again: %s", s.resends.Key, changeOf(s.task))
	w.deliver(s, p)
}

// resendAll sends again what is due until nothing waits, and checks that no value is
// left that may have been overwritten.
func (w *world) resendAll() {
	first := func(int) int { return 0 }
	for range 20 {
		for s := w.due(first); s != nil; s = w.due(first) {
			w.resend(s, plan{})
		}
		w.clock(2 * landsWithin)
	}
	for _, p := range w.model.positions() {
		target, field := w.at(p)
		if target.API == string(tasks.KindCourse) || w.field(target, "q:"+field) == "" {
			continue
		}
		record, err := w.ledger.Look(context.Background(), target)
		if err != nil {
			w.fatalf("%v", err)
		}
		if f := record.Fields[field]; f.Unknown == 0 && f.Latest <= f.Applied && !w.gaveUp[target] {
			w.fatalf("%s may have been overwritten, and is not sent again: %+v at %s", p, f, w.redisNow().Format(time.TimeOnly))
		}
	}
}
