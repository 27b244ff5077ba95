package lane

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/internal/damage"
	"rollcall/internal/handler"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/providers"
)

// writeDeadLetter writes the dead letter of a task that is dead.
func (l *Lane) writeDeadLetter(ctx context.Context, task *asynq.Task, id string, urgent bool, report handler.Report, v Verdict, now time.Time) error {
	dead, err := l.DeadLetter(ctx, Message{ID: id, Type: task.Type(), Payload: task.Payload(), Headers: task.Headers(), Urgent: urgent}, now)
	if err != nil {
		return err
	}
	if report.Target != "" {
		dead.Target, dead.Revision = report.Target, report.Revision
	}
	dead.Class, dead.Cause, dead.RequestID = string(v.Class), v.Cause(), report.RequestID
	if e, ok := errors.AsType[*providers.Error](v.Err); ok {
		dead.Code, dead.Message, dead.RequestID, dead.Todo = e.Code, e.Message, e.RequestID, e.Fix
	}
	if !v.Counted {
		dead.Attempts[string(v.Class)]++
	}
	if _, err := l.set.ledger.AddDeadLetter(ctx, dead); err != nil {
		return err
	}
	l.NoteDeadLetters()
	l.CloseDead(ctx, dead)
	return nil
}

// CloseDead closes the ledger's record of a task that now has a dead letter: later edits
// of its target no longer wait for it. If Redis fails, the sweep for vanished tasks does
// it later.
func (l *Lane) CloseDead(ctx context.Context, dead ledger.DeadLetter) {
	if err := l.set.ledger.CloseDead(ctx, dead); err != nil {
		l.log.Warn("record of a dead task not closed; a later sweep closes it", "task", dead.ID, "err", err)
	}
}

// Message is a stored task, as far as its dead letter needs it.
type Message struct {
	ID, Type string
	Payload  []byte
	Headers  map[string]string
	Urgent   bool
}

// DeadLetter returns the dead letter of a task that died at a time: the fields that
// follow from the lane and the message, and the attempts that were counted. The caller
// adds the cause. Cost: one round trip.
func (l *Lane) DeadLetter(ctx context.Context, m Message, at time.Time) (ledger.DeadLetter, error) {
	dead := ledger.DeadLetter{
		ID: m.ID, Lane: l.Name(), Tenant: l.Tenant, Kind: string(l.Kind), Organisation: l.Organisation, Urgent: m.Urgent,
		Type: m.Type, Key: m.Headers[kinds.KeyHeader],
	}
	dead.Run, dead.Row = kinds.RunOf(m.Headers)
	dead.Cut(m.Payload)
	l.readMessage(&dead, m)
	var err error
	if dead.Attempts, dead.First, err = l.set.ledger.Attempts(ctx, m.ID); err != nil {
		return dead, err
	}
	if dead.First.IsZero() {
		dead.First = at
	}
	dead.Last = at
	return dead, nil
}

// readMessage adds what the payload holds: of a stand-in the original message, of any
// other task the target and the revision.
func (l *Lane) readMessage(dead *ledger.DeadLetter, m Message) {
	if m.Type == TypeUndecodable {
		var u undecodable
		if json.Unmarshal(m.Payload, &u) == nil {
			dead.Payload, dead.PayloadBytes, dead.PayloadSHA256 = u.Raw, u.Bytes, u.SHA256
		}
		return
	}
	task, meta, err := kinds.Decode(m.Type, m.Payload)
	if err != nil {
		return
	}
	// A task of another tenant names no target of this organisation.
	if tenant, _ := task.Lane(); tenant == l.Tenant {
		target, _ := kinds.Change(task, l.Organisation)
		dead.Target, dead.Revision = target.Key, meta.Revision
	}
}

// removeDeadLetter removes the dead letter of a task that succeeded after all: it was
// delivered again, or a person ran it from asynq's web UI. It costs nothing while the
// lane has no dead letters.
func (l *Lane) removeDeadLetter(ctx context.Context, id string, log *slog.Logger) {
	if !l.HasDeadLetters() {
		return
	}
	n, err := l.set.ledger.RemoveDeadLetters(ctx, l.Name(), id)
	switch {
	case is[*ledger.DamagedError](err): // it is logged once
		log.Debug("task done, but its dead letter could not be removed", "err", err)
	case err != nil:
		log.Warn("task done, but its dead letter could not be removed; discard it if there is one", "err", err)
	case n > 0:
		log.Info("task done; its dead letter was removed")
	}
}

// HasDeadLetters reports whether the lane may have dead letters.
func (l *Lane) HasDeadLetters() bool { return l.hasDeadLetters.Load() }

// NoteDeadLetters records that dead letters of the lane were written.
func (l *Lane) NoteDeadLetters() { l.hasDeadLetters.Store(true) }

// FindDeadLetters finds the lanes that have dead letters. Cost: one round trip for all
// lanes, and one for each lane that has any: it adds the lane's name to the set of such
// lanes again, in case a failover lost it.
func (s *Set) FindDeadLetters(ctx context.Context) error {
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
			if err := s.ledger.Announce(ctx, l.Name()); !damage.WrongType(err) {
				faults = append(faults, err)
			}
		}
		l.hasDeadLetters.Store(len(causes[l.Name()]) > 0)
	}
	return errors.Join(faults...)
}
