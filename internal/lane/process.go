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
	"rollcall/internal/outcome"
	"rollcall/internal/privacy"
	"rollcall/providers"
)

// process is one attempt at one task: carry it out, judge, report.
func (l *Lane) process(ctx context.Context, task *asynq.Task) error {
	start := time.Now()
	id, _ := asynq.GetTaskID(ctx)
	retried, _ := asynq.GetRetryCount(ctx)
	log := l.log.With("task", id, "type", fmt.Sprintf("%.80s", task.Type()))

	queue, _ := asynq.GetQueueName(ctx)
	d := delivery(id, queue, task)
	a := &attempt{lane: l, urgent: queue == l.gate.urgent, probe: l.gate.begin(), run: runOf(d)}
	report, v, now := l.try(ctx, a, d, id, log)
	_ = l.set.HoldDamaged(v.Err)     // the rest is judged
	ctx = context.WithoutCancel(ctx) // the pauses below must be written, too
	if v.Class == outcome.Cancelled {
		report.Outcome = handler.Cancelled
		if err := l.cancel(ctx, d); err != nil {
			v = Judge(err, now, nil)
		}
	}
	l.react(ctx, a, v)
	l.gate.end(a.called) // only after a hold has closed the gate
	oversize := false
	if v.Action == outcome.Dead {
		// The dead letter is written before asynq removes the task from its queue.
		if err := l.writeDeadLetter(ctx, task, id, a.urgent, report, v, now); err != nil {
			v = Judge(fmt.Errorf("the task ended as %s, but its dead letter could not be written; the task stays in its queue and is retried: %w", v.Class, err), now, nil)
		}
		oversize = v.Action == outcome.Dead && len(task.Payload()) > forgotten
	}
	logAttempt(log, report, v, retried, now.Sub(start))
	if l.set.observer != nil {
		l.set.observer.Attempt(Attempt{
			Lane: l.Name(), Verdict: v, Report: report, Retried: retried, Start: start, Took: now.Sub(start),
		})
	}
	if v.Action == outcome.Done {
		keepResult(task, report, log)
		l.removeDeadLetter(ctx, id, log)
	}
	if retried > 0 && v.Action != outcome.Retry {
		if err := l.set.ledger.ForgetAttempts(ctx, id); err != nil {
			log.Debug("counters of a finished task not deleted; they expire", "err", err)
		}
	}
	if oversize {
		return nil // asynq deletes it
	}
	return v.asynqError()
}

// forgotten is the size in bytes of a payload above which asynq's archive does not keep a
// dead task: asynq would write the whole payload again, and keep it for 90 days. A
// stand-in is smaller.
const forgotten = 2 * ledger.MaxKept

// delivery returns the task as its handler receives it. An unreadable row number is
// left out.
func delivery(id, queue string, task *asynq.Task) handler.Delivery {
	run, row := kinds.RunOf(task.Headers())
	return handler.Delivery{
		TaskID: id, Type: task.Type(), Payload: task.Payload(), Queue: queue, Key: task.Headers()[kinds.KeyHeader], Run: run, Row: row,
	}
}

// try carries out a task and judges the attempt, which is counted under id. The names and
// ids in the task are masked in the report and in the error of the verdict.
func (l *Lane) try(ctx context.Context, a *attempt, d handler.Delivery, id string, log *slog.Logger) (report handler.Report, v Verdict, now time.Time) {
	words := people(d)
	report, err := l.attempt(ctx, a, d, words, log)
	report, err = hide(words, report, err)
	l.account(a, report.Sends, err)
	now = time.Now()
	// The counters must be written even if the task's own deadline has passed.
	ctx = context.WithoutCancel(ctx)
	v = Judge(err, now, func(class outcome.Class) (int, time.Time, error) {
		return l.set.ledger.CountAttempt(ctx, id, string(class), now)
	})
	return report, v, now
}

// attempt carries out a task. words are not logged.
func (l *Lane) attempt(ctx context.Context, a *attempt, d handler.Delivery, words []string, log *slog.Logger) (report handler.Report, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = caught(log, value, words)
		}
	}()
	if d.Type == TypeUndecodable {
		return report, readUndecodable(d.Payload)
	}
	if l.set.stopping.Err() != nil {
		return report, ErrStopping
	}
	if held := l.gate.held(); held != nil && !a.probe {
		return report, held
	}
	if err := a.await(ctx); err != nil {
		return report, err
	}
	d.Pacer = a
	return l.handle(ctx, d)
}

// logAttempt logs an attempt: nothing if it succeeded, and at a higher level the more a
// person is needed.
func logAttempt(log *slog.Logger, report handler.Report, v Verdict, retried int, took time.Duration) {
	attrs := []any{"took", took.Round(time.Millisecond), "sends", report.Sends}
	if report.Target != "" {
		attrs = append(attrs, "target", privacy.Personal(report.Target))
	}
	if e, ok := errors.AsType[*providers.Error](v.Err); ok && e.Code != "" {
		attrs = append(attrs, "code", e.Code)
	}
	if report.RequestID != "" {
		attrs = append(attrs, "request_id", report.RequestID)
	}
	switch v.Action {
	case outcome.Done:
		level := slog.LevelDebug
		if retried > 0 {
			level = slog.LevelInfo
		}
		log.Log(context.Background(), level, "done", append(attrs, "outcome", report.Outcome, "attempt", retried+1)...)
	case outcome.Retry:
		level := slog.LevelWarn
		if !v.Counted {
			level = slog.LevelInfo
		}
		log.Log(context.Background(), level, "will retry", append(attrs,
			"in", v.After.Round(time.Millisecond), "class", v.Class, "attempt", v.Attempt, "of", v.Allowed, "cause", v.Cause())...)
	case outcome.Dead:
		log.Error("dead letter", append(attrs, "class", v.Class, "attempt", v.Attempt, "cause", v.Cause())...)
	}
}

// keepResult lets asynqmon show the result of a task while it is retained.
func keepResult(task *asynq.Task, report handler.Report, log *slog.Logger) {
	w := task.ResultWriter()
	if w == nil {
		return
	}
	result, err := json.Marshal(report)
	if err == nil {
		_, err = w.Write(result)
	}
	if err != nil {
		log.Debug("result of a finished task not stored", "err", err)
	}
}
