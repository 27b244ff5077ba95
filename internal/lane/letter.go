package lane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/internal/handler"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/providers"
)

// UnburiedError tells that a task is dead and its letter could not be written:
// it stays in its queue until it can.
type UnburiedError struct {
	Class Class // in which the task ended
	Err   error
}

// Error says what happened and what comes next.
func (e *UnburiedError) Error() string {
	return fmt.Sprintf("the task ended as %s, and its dead letter could not be written, so it stays in its queue and is tried again: %v", e.Class, e.Err)
}

// Unwrap returns why.
func (e *UnburiedError) Unwrap() error { return e.Err }

// bury writes the letter of a task that is dead.
func (l *Lane) bury(ctx context.Context, task *asynq.Task, id string, urgent bool, report handler.Report, v Verdict, now time.Time) error {
	letter := l.letter(id, task.Type(), task.Payload(), urgent)
	letter.Key = task.Headers()[kinds.KeyHeader]
	letter.Run, letter.Row = kinds.RunOf(task.Headers())
	if report.Target != "" {
		letter.Target, letter.Revision = report.Target, report.Revision
	}
	letter.Class, letter.Cause, letter.RequestID = string(v.Class), v.Cause(), report.RequestID
	if e, ok := errors.AsType[*providers.Error](v.Err); ok {
		letter.Code, letter.Message, letter.RequestID, letter.Todo = e.Code, e.Message, e.RequestID, e.Fix
	}
	attempts, first, err := l.set.ledger.Attempts(ctx, id)
	if err != nil {
		return err
	}
	if !v.Counted {
		attempts[string(v.Class)]++
	}
	if first.IsZero() {
		first = now
	}
	letter.Attempts, letter.First, letter.Last = attempts, first, now
	if _, err := l.set.ledger.Bury(ctx, letter); err != nil {
		return err
	}
	l.buried.Store(true)
	l.end(ctx, letter)
	return nil
}

// end closes what the ledger keeps of a task that has its letter now: edits of
// its target no longer wait for it. Where Redis does not take it, the look for
// vanished tasks does later.
func (l *Lane) end(ctx context.Context, letter ledger.Letter) {
	target := ledger.Target{Organisation: l.Organisation, API: string(l.Kind), Key: letter.Target}
	row := ledger.Row{Tenant: l.Tenant, Run: letter.Run, Row: letter.Row}
	if err := l.set.ledger.Close(ctx, target, letter.ID, row); err != nil {
		l.log.Warn("a dead task is still kept as open; it is closed once asynq has forgotten it", "task", letter.ID, "err", err)
	}
}

// letter is what a lane and a message say of a letter by themselves.
func (l *Lane) letter(id, typename string, payload []byte, urgent bool) ledger.Letter {
	letter := ledger.Letter{
		ID: id, Lane: l.Name(), Tenant: l.Tenant, Kind: string(l.Kind), Organisation: l.Organisation, Urgent: urgent,
		Type: typename, Payload: payload,
	}
	if typename == typeUndecodable {
		var u undecodable
		if json.Unmarshal(payload, &u) == nil {
			letter.Payload = u.Raw
		}
		return letter
	}
	if task, meta, err := kinds.Decode(typename, payload); err == nil {
		target, _ := kinds.Change(task, l.Organisation)
		letter.Target, letter.Revision = target.Key, meta.Revision
	}
	return letter
}

// exhume removes the letter of a task that is done after all: it was delivered
// again, or somebody had asynq's web UI run it. It costs nothing while the lane
// has no letters.
func (l *Lane) exhume(ctx context.Context, id string, log *slog.Logger) {
	if !l.buried.Load() {
		return
	}
	n, err := l.set.ledger.Unbury(ctx, l.Name(), id)
	switch {
	case err != nil:
		log.Warn("the dead letter of a task that is done after all, if it had one, stays: discard it", "err", err)
	case n > 0:
		log.Info("a task that was a dead letter is done; the letter is removed")
	}
}

// lookForLetters finds out where exhume has anything to look for. One round trip
// for all lanes, and one more for each that has letters: its name is put among
// those that have, in case a failover lost it.
func (s *Set) lookForLetters(ctx context.Context) error {
	names := make([]string, len(s.lanes))
	for i, l := range s.lanes {
		names[i] = l.Name()
	}
	causes, err := s.ledger.DeadCauses(ctx, names...)
	if err != nil {
		return err
	}
	var faults []error
	for _, l := range s.lanes {
		if len(causes[l.Name()]) > 0 {
			faults = append(faults, s.ledger.Announce(ctx, l.Name()))
		}
		l.buried.Store(len(causes[l.Name()]) > 0)
	}
	return errors.Join(faults...)
}
