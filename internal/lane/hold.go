package lane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"rollcall/internal/hold"
	"rollcall/internal/pace"
	"rollcall/providers"
)

// HeldError tells that a lane is on hold.
type HeldError struct{ hold.Hold }

// Error says what holds the lane, and why.
func (e *HeldError) Error() string {
	text := fmt.Sprintf("the lane is on hold (%s)", e.Class)
	if !e.Until.IsZero() {
		text += " until " + e.Until.UTC().Format(time.RFC3339)
	}
	return text + ": " + e.Reason
}

// Hold is the hold that keeps the lane from taking tasks, or from taking any but
// urgent ones; false if there is none.
func (l *Lane) Hold() (hold.Hold, bool) {
	s := l.gate.last()
	if s.err == nil {
		return hold.Hold{}, false
	}
	return s.err.Hold, true
}

// follow brings the gate in line with the holds as they were last read.
func (l *Lane) follow(now time.Time) {
	s := l.state(now)
	if was := l.gate.last(); was.token {
		if !s.shut {
			l.rejoin()
			return
		}
		s.token = true // whatever else holds it meanwhile
	}
	l.adopt(s)
}

func (l *Lane) state(now time.Time) state {
	var s state
	for _, h := range l.set.board.Of(l.places()...) {
		if !h.Until.IsZero() && !now.Before(h.Until) {
			continue
		}
		if s.err == nil {
			s.err = &HeldError{h}
		}
		s.token = s.token || h.Probe == hold.ByToken && h.Class == hold.Refused && l.Probe != nil
		s.bulk = s.bulk || h.Bulk
		s.shut = s.shut || !h.Bulk
		// What was booked of calls that are spent now is counted, and may go.
		s.cut = s.cut || !h.Bulk && h.Class != hold.Quota
	}
	return s
}

// adopt has the gate keep a state. A lane that goes on counts failures from
// nothing.
func (l *Lane) adopt(s state) {
	if l.gate.set(s) {
		l.breaker.Store(newBreaker(l.Name()))
	}
}

// rejoin opens a lane whose tenant's credentials are good again, by the word of
// another worker maybe. This worker's client still knows them as refused, and
// asks for a token first: until it has one, every task would be refused.
func (l *Lane) rejoin() {
	if !l.rejoining.CompareAndSwap(false, true) {
		return
	}
	l.set.watching.Go(func() {
		defer l.rejoining.Store(false)
		err := l.Probe(l.set.stopping)
		e, ok := errors.AsType[*providers.Error](err)
		switch {
		case err == nil:
			l.adopt(l.state(time.Now())) // which may know of another refusal by now
		case ok && e.Kind == providers.Misconfigured:
			l.holdRefused(context.WithoutCancel(l.set.stopping), e)
		case l.set.stopping.Err() == nil:
			l.set.outcome("hold is over, but this worker has no token; the next look tries again", "", err, "lane", l.Name())
		}
	})
}

// react does what a verdict says about more than its own task: a hold, or a
// pause after a refusal for being too fast.
func (l *Lane) react(ctx context.Context, a *attempt, v Verdict) {
	e, ok := errors.AsType[*providers.Error](v.Err)
	switch {
	case ok && e.Suspect:
		l.suspect(ctx, a, v, e)
	case v.Class == ClassRefused && ok:
		l.holdRefused(ctx, e)
	case v.Class == ClassQuota && is[*pace.SpentError](v.Err):
		l.holdSpent(ctx, v.Err)
	case v.Class == ClassQuota && ok:
		l.set.outcome("spent month not shared with the other workers; the next refusal tries again", "",
			pace.SayMonthSpent(ctx, l.set.rdb, l.Organisation), "organisation", l.Organisation)
		l.set.lookSoon()
	case v.Class == ClassThrottled && ok && e.Scope != providers.ScopeTask:
		l.throttled(ctx, a, e)
	}
	if seen, trips := l.trips(a, v); trips {
		l.put(ctx, hold.Hold{
			Place: l.place(providers.ScopeLane), Class: hold.Failing, Probe: hold.ByTask, Seen: seen,
			Reason: "the platform answers with faults or not at all; one task at a time finds out whether it is back",
		})
	}
	if a.probe {
		l.probed(ctx, a, v)
	}
}

func (l *Lane) holdRefused(ctx context.Context, e *providers.Error) {
	h := hold.Hold{Place: l.place(e.Scope), Class: hold.Refused, Probe: hold.ByTask, Reason: reason(e), Seen: seen(e)}
	if e.Credentials && l.Probe != nil {
		h.Probe = hold.ByToken
	}
	l.put(ctx, h)
}

// seen is what an answer adds to the record of a hold.
func seen(e *providers.Error) hold.Seen {
	now := time.Now()
	return hold.Seen{Host: e.Host, Status: e.HTTPStatus, Code: e.Code, First: now, Last: now, Count: 1}
}

// reason is what was refused and what to do, the same for every task that finds
// out: a hold's reason that changes is news.
func reason(e *providers.Error) string {
	same := *e
	same.RequestID, same.Err = "", nil
	if same.Fix == "" {
		return same.Brief()
	}
	return same.Brief() + " · to do: " + same.Fix
}

// holdSpent holds the lane for the rest of the day if the day's calls are spent.
// The month's are looked at by all workers, whoever found out.
func (l *Lane) holdSpent(ctx context.Context, err error) {
	if spent, ok := errors.AsType[*pace.SpentError](err); !ok || spent.Why != pace.WhyDay {
		return
	}
	y, m, d := time.Now().In(beijing).Date()
	l.put(ctx, hold.Hold{
		Place: hold.Place{Level: hold.Lane, Name: l.Name()}, Class: hold.Quota, Until: time.Date(y, m, d+1, 0, 0, 0, 0, beijing),
		Reason: "the calls of this API for the day are spent: raise the lane's limit per 24h in the configuration if it has more",
	})
}

// beijing is the platforms' time, without summer time since 1991.
var beijing = time.FixedZone("Asia/Shanghai", 8*60*60)

// place is what a failure of a scope holds.
func (l *Lane) place(scope providers.Scope) hold.Place {
	switch {
	case scope == providers.ScopeAddress && l.AddressName != "":
		return hold.Place{Level: hold.Address, Name: l.AddressName}
	case scope == providers.ScopeOrganisation && l.Metered:
		return hold.Place{Level: hold.Organisation, Name: l.Organisation}
	case scope >= providers.ScopeTenant && scope != providers.ScopeAPI:
		return hold.Place{Level: hold.Tenant, Name: l.Tenant}
	}
	return hold.Place{Level: hold.Lane, Name: l.Name()}
}

// longPause is how long a pause must be to be worth a hold that people see.
const longPause = 30 * time.Second

// throttled pauses all lanes that a refusal for the rate reaches.
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
	l.set.outcome("pause after a refusal not shared with the other workers; the next refusal tries again", "", err, "lane", l.Name())
	if pause >= longPause {
		l.put(ctx, hold.Hold{
			Place: l.place(e.Scope), Class: hold.Banned, Until: time.Now().Add(pause), Seen: seen(e),
			Reason: "the platform lets nothing through for a while: " + reason(e),
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

const notShared = "hold not shared with the other workers; the next refusal or look tries again"

// put sets a hold and shuts the lanes of this process at once. Other workers
// hear of it a moment later.
func (l *Lane) put(ctx context.Context, h hold.Hold) {
	h.By = l.set.name
	stored, change, err := l.set.board.Put(ctx, h)
	l.set.outcome(notShared, "", err, "hold", h.String())
	if err != nil {
		return
	}
	l.set.followAll()
	l.set.report(change, stored, l.set.name)
}

// report logs one line and tells the observer, in the one worker that made the
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
		word := "on hold: pending tasks wait, and none loses an attempt"
		if change == hold.Changed {
			word = "on hold for another reason now"
		}
		level := slog.LevelError
		if h.Class == hold.Suspected { // for a moment, in most cases
			level = slog.LevelWarn
		}
		s.log.Log(context.Background(), level, word, append(attrs, "lift", h.HowToLift())...)
	case hold.Left:
		s.log.Info("no longer on hold", append(attrs, "for", time.Since(h.Since).Round(time.Second), "by", by)...)
	case hold.Same:
		return
	}
	if s.observer != nil {
		s.observer.Hold(change, h)
	}
}

func (s *Set) lift(ctx context.Context, h hold.Hold) {
	lifted, err := s.board.Lift(ctx, h, s.name)
	s.outcome("hold that is over not ended; the next look tries again", "", err, "hold", h.String())
	if err != nil {
		return
	}
	if !lifted { // changed by another worker: read it anew
		s.lookSoon()
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
