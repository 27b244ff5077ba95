package lane

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"rollcall/internal/hold"
	"rollcall/internal/outcome"
	"rollcall/internal/pace"
	"rollcall/providers"
)

// Hold returns the hold that keeps the lane from taking tasks, or from taking bulk
// tasks; false if there is none.
func (l *Lane) Hold() (hold.Hold, bool) {
	s := l.gate.last()
	if s.err == nil {
		return hold.Hold{}, false
	}
	return s.err.Hold, true
}

// follow applies the holds to the gate, as they were last read.
func (l *Lane) follow(now time.Time) {
	s := l.state(now)
	if was := l.gate.last(); was.token {
		if !s.closed {
			l.rejoin()
			return
		}
		s.token = true // even if another hold applies too
	}
	l.adopt(s)
}

func (l *Lane) state(now time.Time) state {
	var s state
	for _, h := range l.set.holds.Of(l.scopes()...) {
		if !h.Until.IsZero() && !now.Before(h.Until) {
			continue
		}
		if s.err == nil {
			s.err = &HeldError{h}
		}
		s.token = s.token || h.Probe == hold.ByToken && h.Class == hold.Refused && l.Probe != nil
		s.bulk = s.bulk || h.Bulk
		s.closed = s.closed || !h.Bulk
		// The calls that are booked are already counted against the quota, and may be
		// sent.
		s.cancel = s.cancel || !h.Bulk && h.Class != hold.Quota
	}
	return s
}

// adopt sets the gate's state. A lane that continues counts its failures from zero.
func (l *Lane) adopt(s state) {
	if l.gate.set(s) {
		l.breaker.reset()
	}
}

// rejoin opens a lane whose tenant's credentials are valid again, perhaps according to
// another worker. This worker's client still remembers them as refused, and requests a
// token first: without one, every task would be refused.
func (l *Lane) rejoin() {
	if !l.rejoining.CompareAndSwap(false, true) {
		return
	}
	l.set.watching.Go(func() {
		defer l.rejoining.Store(false)
		err := l.set.faults.Guard("the request of a token", func() error { return l.Probe(l.set.stopping) })
		e, ok := errors.AsType[*providers.Error](err)
		switch {
		case err == nil:
			l.adopt(l.state(time.Now())) // the holds may have changed since
		case ok && e.Kind == providers.Misconfigured:
			l.holdRefused(context.WithoutCancel(l.set.stopping), e)
		case l.set.stopping.Err() == nil:
			l.set.Outcome("hold ended, but this worker has no token; retried at the next poll", "", err, "lane", l.Name())
		}
	})
}

// react applies what a verdict means for more than its own task: a hold, or a pause
// after a refusal for the rate.
func (l *Lane) react(ctx context.Context, a *attempt, v Verdict) {
	e, ok := errors.AsType[*providers.Error](v.Err)
	switch {
	case ok && e.Suspect:
		l.suspect(ctx, a, v, e)
	case v.Class == outcome.Refused && ok:
		l.holdRefused(ctx, e)
	case v.Class == outcome.Quota && is[*pace.SpentError](v.Err):
		l.holdSpent(ctx, v.Err)
	case v.Class == outcome.Quota && ok:
		l.set.Outcome("spent month not shared with the other workers; retried at the next refusal", "",
			pace.NoteMonthSpent(ctx, l.set.rdb, l.Organisation), "organisation", l.Organisation)
		l.set.pollSoon()
	case v.Class == outcome.Throttled && ok && e.Scope != providers.ScopeTask:
		l.throttled(ctx, a, e)
	}
	if seen, trips := l.recordAtBreaker(a, v); trips {
		l.put(ctx, hold.Hold{
			Scope: l.scope(providers.ScopeLane), Class: hold.Failing, Probe: hold.ByTask, Seen: seen,
			Reason: "the platform fails or does not answer; one task at a time probes whether it has recovered",
		})
	}
	if a.probe {
		l.probed(ctx, a, v)
	}
}

func (l *Lane) holdRefused(ctx context.Context, e *providers.Error) {
	h := hold.Hold{Scope: l.scope(e.Scope), Class: hold.Refused, Probe: hold.ByTask, Reason: reason(e), Seen: seen(e)}
	if e.Credentials && l.Probe != nil {
		h.Probe = hold.ByToken
	}
	l.put(ctx, h)
}

// seen returns what an answer adds to the record of a hold.
func seen(e *providers.Error) hold.Seen {
	now := time.Now()
	return hold.Seen{Host: e.Host, Status: e.HTTPStatus, Code: e.Code, First: now, Last: now, Count: 1}
}

// reason is what was refused and what to do. It is the same for every task: a different
// reason is reported as a change of the hold.
func reason(e *providers.Error) string {
	same := *e
	same.RequestID, same.Err = "", nil
	if same.Fix == "" {
		return same.Brief()
	}
	return same.Brief() + " · to do: " + same.Fix
}

// holdSpent holds the lane for the rest of the day if the day's calls are spent. Every
// worker checks the month's calls at its next poll.
func (l *Lane) holdSpent(ctx context.Context, err error) {
	if spent, ok := errors.AsType[*pace.SpentError](err); !ok || spent.Why != pace.WhyDay {
		return
	}
	y, m, d := time.Now().In(pace.Shanghai).Date()
	l.put(ctx, hold.Hold{
		Scope: hold.Scope{Level: hold.Lane, Name: l.Name()}, Class: hold.Quota, Until: time.Date(y, m, d+1, 0, 0, 0, 0, pace.Shanghai),
		Reason: "the day's calls of this API are spent: if the platform allows more, raise the lane's limit per 24h in the configuration",
	})
}

// scope returns the scope that a failure puts on hold.
func (l *Lane) scope(scope providers.Scope) hold.Scope {
	switch {
	case scope == providers.ScopeAddress && l.AddressName != "":
		return hold.Scope{Level: hold.Address, Name: l.AddressName}
	case scope == providers.ScopeOrganisation && l.Metered:
		return hold.Scope{Level: hold.Organisation, Name: l.Organisation}
	case scope >= providers.ScopeTenant && scope != providers.ScopeAPI:
		return hold.Scope{Level: hold.Tenant, Name: l.Tenant}
	}
	return hold.Scope{Level: hold.Lane, Name: l.Name()}
}

// longPause is the shortest pause that is shown as a hold.
const longPause = 30 * time.Second

// throttled pauses all lanes that a refusal for the rate concerns.
func (l *Lane) throttled(ctx context.Context, a *attempt, e *providers.Error) {
	lesson, err := l.refused(ctx, a, e)
	pause := lesson.Pause
	if err == nil {
		l.log.Info("refused for its rate; the lane pauses for all workers", "code", e.Code, "pause", pause,
			"share", lesson.Share, "spread", lesson.Spread)
	}
	if e.Scope == providers.ScopeAddress && l.Address != nil {
		err = errors.Join(err, l.Address.Pause(ctx, pause))
	}
	for _, other := range l.set.lanes {
		if other != l && l.reaches(other, e.Scope) {
			_, pauseErr := other.pacer.Pause(ctx, pause)
			err = errors.Join(err, pauseErr)
		}
	}
	l.set.Outcome("pause after a refusal not shared with the other workers; retried at the next refusal", "", err, "lane", l.Name())
	if pause >= longPause {
		l.put(ctx, hold.Hold{
			Scope: l.scope(e.Scope), Class: hold.Banned, Until: time.Now().Add(pause), Seen: seen(e),
			Reason: "the platform refuses all calls for a while: " + reason(e),
		})
	}
}

func (l *Lane) reaches(other *Lane, scope providers.Scope) bool {
	switch scope {
	case providers.ScopeTask, providers.ScopeLane:
		return false
	case providers.ScopeTenant:
		return other.Tenant == l.Tenant
	case providers.ScopeOrganisation:
		return other.Organisation == l.Organisation && other.Platform == l.Platform
	case providers.ScopeAPI:
		return other.Platform == l.Platform && other.Kind == l.Kind
	case providers.ScopeAddress:
		return other.Platform == l.Platform
	}
	return false
}

const notShared = "hold not shared with the other workers; retried at the next refusal or poll"

// put adds a hold and closes the lanes of this process at once. Other workers receive
// it a moment later.
func (l *Lane) put(ctx context.Context, h hold.Hold) {
	h.By = l.set.name
	stored, change, err := l.set.holds.Put(ctx, h)
	l.set.Outcome(notShared, "", err, "hold", h.String())
	if err != nil {
		return
	}
	l.set.followAll()
	l.set.report(change, stored, l.set.name)
}

// report logs one line and notifies the observer, in the one worker that made the
// change.
func (s *Set) report(change hold.Change, h hold.Hold, by string) {
	attrs := []any{string(h.Level), h.Name, "class", h.Class, "reason", h.Reason}
	switch change {
	case hold.Entered, hold.Changed:
		if !h.Until.IsZero() {
			attrs = append(attrs, "until", h.Until)
		}
		if h.Probe != hold.ByTime {
			attrs = append(attrs, "next_probe", h.Next)
		}
		if text := h.Seen.Text(time.UTC); text != "" {
			attrs = append(attrs, "seen", text)
		}
		word := "on hold: pending tasks wait, no attempt is counted"
		if change == hold.Changed {
			word = "hold reason changed"
		}
		level := slog.LevelError
		if h.Class == hold.Suspected { // in most cases for a moment
			level = slog.LevelWarn
		}
		s.log.Log(context.Background(), level, word, append(attrs, "ends", h.HowToEnd())...)
	case hold.Left:
		s.log.Info("hold ended", append(attrs, "for", time.Since(h.Since).Round(time.Second), "by", by)...)
	case hold.Same:
		return
	}
	if s.observer != nil {
		s.observer.Hold(change, h)
	}
}

func (s *Set) endHold(ctx context.Context, h hold.Hold) {
	ended, err := s.holds.End(ctx, h, s.name)
	s.Outcome("expired hold not ended; retried at the next poll", "", err, "hold", h.String())
	if err != nil {
		return
	}
	if !ended { // changed by another worker: read it again
		s.pollSoon()
		return
	}
	s.followAll()
	s.report(hold.Left, h, s.name)
}

func (s *Set) followAll() {
	now := time.Now()
	for _, l := range s.lanes {
		l.follow(now)
	}
}
