package lane

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"rollcall/internal/handler"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
	"rollcall/internal/privacy"
)

const (
	// resendEvery is how often the lanes look for values that a late request may have
	// overwritten. Cost: one round trip for all lanes.
	resendEvery = 5 * time.Second
	// resendsTogether bounds how many targets of a lane are sent again after one look.
	resendsTogether = 64
)

// resender sends applied values once more that a request, given up before, may have
// overwritten late, and then those that are to be confirmed.
type resender struct {
	set     *Set
	lanes   []*Lane
	senders []ledger.Sender // of the lanes
	running sync.WaitGroup
}

func newResender(set *Set) *resender {
	r := &resender{set: set}
	for _, l := range set.lanes {
		if kind, ok := kinds.Named(l.Kind); ok && kind.Restores() && l.ResendAfter > 0 {
			r.lanes = append(r.lanes, l)
			r.senders = append(r.senders, ledger.Sender{Organisation: l.Organisation, API: string(l.Kind), Tenant: l.Tenant})
		}
	}
	return r
}

// run looks until ctx ends. It returns when no call of its own is running.
func (r *resender) run(ctx context.Context) {
	if len(r.lanes) == 0 {
		return
	}
	defer r.running.Wait()
	ticker := time.NewTicker(resendEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			r.look(ctx, time.Now())
		}
	}
}

// look starts to send what is due.
func (r *resender) look(ctx context.Context, now time.Time) {
	for i, found := range r.set.ledger.LateTargets(ctx, now, resendsTogether, r.senders...) {
		l := r.lanes[i]
		r.set.Outcome("values that may have been overwritten not read; retried in seconds", "", found.Err, "lane", l.Name())
		if found.Err == nil && r.set.observer != nil {
			r.set.observer.Late(l.Name(), found.Waiting)
		}
		if len(found.Due)+len(found.Refresh) > 0 && l.resending.CompareAndSwap(false, true) {
			r.running.Go(func() {
				defer l.resending.Store(false)
				_ = r.set.faults.Guard("the resends of a lane", func() error { l.resendAll(ctx, found); return nil }) // it has logged the panic
			})
		}
	}
}

// resendAll sends targets again, one after the other, while the lane has nothing else to
// do.
func (l *Lane) resendAll(ctx context.Context, found ledger.LateTargets) {
	for _, target := range found.Due {
		if ctx.Err() != nil || !l.gate.idle() {
			return
		}
		err := l.resendOne(ctx, target, false)
		l.set.Outcome("value that may have been overwritten not sent again; retried later", "", err, "lane", l.Name())
	}
	for _, target := range found.Refresh {
		if ctx.Err() != nil || !l.gate.idle() {
			return
		}
		err := l.resendOne(ctx, target, true)
		l.set.Outcome("value not confirmed; retried later", "", err, "lane", l.Name())
	}
}

// resendOne is an attempt to send the values of a target once more, of a refresh to confirm
// them. A failure leaves it for a later attempt, as often as its class allows for tasks.
func (l *Lane) resendOne(ctx context.Context, target ledger.Target, refresh bool) error {
	record, err := l.set.ledger.Look(ctx, target)
	if err != nil {
		return err
	}
	giveUp := func() error { return l.set.ledger.GiveUpResend(ctx, record, l.Tenant) }
	if refresh {
		giveUp = func() error { return l.set.ledger.EndRefresh(ctx, target, l.Tenant) }
	}
	d, err := l.resendOf(record, refresh)
	if err != nil { // no later attempt can read it
		return errors.Join(err, giveUp())
	}
	if d.Type == "" { // a later change was sent, so that nothing is left to do
		_, _, err = l.set.ledger.Begin(ctx, ledger.Delivery{Target: target, ResentBy: l.Tenant, Landing: l.ResendAfter, Resend: true, Refresh: refresh})
		return err
	}
	start, a := time.Now(), &attempt{lane: l}
	l.gate.join()
	ctx = context.WithoutCancel(ctx) // the end of ctx stops it at its slot, as any attempt
	id := uuid.NewSHA1(uuid.NameSpaceOID, []byte("resend "+l.Name()+" "+target.Key)).String()
	report, v, now := l.try(ctx, a, d, id, l.log)
	l.react(ctx, a, v)
	l.gate.end(a.called)
	l.logResend(report, v, refresh)
	if l.set.observer != nil {
		l.set.observer.Resent(Attempt{Lane: l.Name(), Verdict: v, Report: report, Start: start, Took: now.Sub(start)})
	}
	switch v.Action {
	case outcome.Done:
		return l.set.ledger.ForgetAttempts(ctx, id)
	case outcome.Dead:
		return giveUp()
	case outcome.Retry:
	}
	return nil
}

// resendOf returns the values of a target that may have been overwritten, of a refresh all
// that are known, as the lane's handler receives them; no Type: there are none.
func (l *Lane) resendOf(record ledger.Record, refresh bool) (handler.Delivery, error) {
	values, revision := map[string]string{}, int64(0)
	for name, field := range record.Fields {
		if (refresh || !field.Late.IsZero()) && field.Value != "" {
			values[name], revision = field.Value, max(revision, field.Applied)
		}
	}
	kind, _ := kinds.Named(l.Kind)
	if len(values) == 0 {
		return handler.Delivery{}, nil
	}
	task, err := kind.Restore(l.Tenant, record.Target.Key, values)
	if err != nil {
		return handler.Delivery{}, err
	}
	typename, payload, err := kinds.Encode(task, revision)
	return handler.Delivery{Type: typename, Payload: payload, Resend: true, Refresh: refresh}, err
}

func (l *Lane) logResend(report handler.Report, v Verdict, refresh bool) {
	attrs := []any{"target", privacy.Personal(report.Target), "sends", report.Sends}
	if report.RequestID != "" {
		attrs = append(attrs, "request_id", report.RequestID)
	}
	switch {
	case refresh && report.Outcome == handler.Applied:
		l.log.Debug("value confirmed", attrs...)
	case refresh && v.Action == outcome.Dead:
		l.log.Warn("value not confirmed: the platform may have another one", append(attrs, "class", v.Class, "cause", v.Cause())...)
	case refresh:
	case v.Action == outcome.Dead:
		l.log.Warn("value not sent again: an earlier request may have overwritten it; enqueue it once more",
			append(attrs, "class", v.Class, "cause", v.Cause())...)
	case v.Action == outcome.Retry:
		l.log.Info("value will be sent again later", append(attrs, "class", v.Class, "cause", v.Cause())...)
	case report.Outcome == handler.Applied:
		l.log.Info("value sent again: an earlier request may have overwritten it", attrs...)
	}
}
