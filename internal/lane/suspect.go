package lane

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall/internal/hold"
	"rollcall/providers"
)

// banFor is how long a confirmed ban of the address holds at the most: the
// platform's own ban lasts as long.
const banFor = 5 * time.Minute

// suspect holds the lane after an HTML page that nothing explains: a banned
// address gets one, and so does a network that asks for a login. Nobody else is
// held before another call confirms it: an unmetered one at once, or, where the
// platform has none, a task of the same lane after a pause.
func (l *Lane) suspect(ctx context.Context, a *attempt, v Verdict, e *providers.Error) {
	h := hold.Hold{
		Place: l.place(providers.ScopeLane), Class: hold.Suspected, Probe: hold.ByTask, Seen: seen(e),
		Reason: "an HTML page in place of an answer, as a banned address gets: one task finds out whether it was the only one · to do: " + e.Fix,
	}
	switch {
	case l.Probe != nil:
		// A task that has met several while the platform answered in between.
		if v.Class == ClassRefused {
			l.pageAgain.Store(true)
		}
		h.Probe, h.Next, h.Until = hold.ByAddress, time.Now(), time.Now().Add(banFor)
		h.Reason = "an HTML page in place of an answer, as a banned address gets: a call for a token, which is not metered, finds out whether it is banned"
	case a.probe:
		h.Class = hold.Banned
		h.Reason = "an HTML page in place of an answer, and after a pause again: the platform may have blocked this address · to do: " + e.Fix
	}
	l.put(ctx, h)
	l.set.lookSoon()
}

// The answers of an unmetered call to the question whether an address is banned.
type address int

const (
	unknown  address = iota // no answer, or a gateway's
	answered                // by the platform itself, whatever it said
	blocked                 // as a banned address is
)

func (l *Lane) ask(ctx context.Context) error {
	if l.Ask != nil {
		return l.Ask(ctx)
	}
	return l.Probe(ctx)
}

func judgeAddress(err error) address {
	e, ok := errors.AsType[*providers.Error](err)
	switch {
	case err == nil:
		return answered
	case !ok:
		return unknown
	case e.Suspect, e.Kind == providers.Throttled && e.Scope == providers.ScopeAddress:
		return blocked
	case e.Kind == providers.Misconfigured && e.HTTPStatus != 0, e.Kind == providers.Throttled:
		return answered
	}
	return unknown
}

// probeAddress finds out whether the address is banned that a hold is about, by
// a call of the lane's tenant.
func (s *Set) probeAddress(ctx context.Context, l *Lane, c *claim) {
	err := l.ask(ctx)
	ctx = context.WithoutCancel(ctx)
	h := c.known()
	e, _ := errors.AsType[*providers.Error](err)
	if s.stopping.Err() != nil {
		c.release(ctx, 0)
		return
	}
	switch judgeAddress(err) {
	case unknown:
		s.log.Info("still on hold: the probe got no answer of the platform", "hold", h.String(), "err", err)
		c.failed(ctx)
	case answered:
		c.close()
		if e != nil && e.Kind == providers.Misconfigured {
			l.holdRefused(ctx, e)
		}
		if h.Class == hold.Suspected && l.pageAgain.Swap(false) {
			l.put(ctx, hold.Hold{
				Place: h.Place, Class: hold.Refused, Probe: hold.ByTask, Seen: h.Seen,
				Reason: fmt.Sprintf("HTML pages from %s again and again, while calls for a token are answered: the address is not banned · to do: "+
					"look for a proxy, a firewall or a login page between this machine and the host, and check the base URL", h.Seen.Host),
			})
			return
		}
		s.lift(ctx, h)
	case blocked:
		if h.Class != hold.Suspected {
			c.failed(ctx)
			return
		}
		c.close()
		s.confirm(ctx, l, h, e)
	}
}

// confirm puts the hold that a suspicion led to: of the address, or of the
// tenant alone if another one is answered from the same address.
func (s *Set) confirm(ctx context.Context, l *Lane, suspicion hold.Hold, e *providers.Error) {
	if certain := e.Scope == providers.ScopeAddress; certain {
		l.throttled(ctx, &attempt{}, e)
	} else if other := s.answeredFrom(ctx, l); other != "" {
		l.put(ctx, hold.Hold{
			Place: hold.Place{Level: hold.Tenant, Name: l.Tenant}, Class: hold.Refused, Probe: hold.ByAddress, Seen: seen(e),
			Reason: fmt.Sprintf("%s answers every call with an HTML page, while tenant %s is answered from the same address: it is not banned · to do: "+
				"check the base URLs of the tenant, and any proxy or firewall on the way", e.Host, other),
		})
	} else {
		l.put(ctx, hold.Hold{
			Place: l.place(providers.ScopeAddress), Class: hold.Banned, Probe: hold.ByAddress, Until: time.Now().Add(banFor), Seen: seen(e),
			Reason: "HTML pages in place of answers, to a call for a token too: the platform has blocked this address, or nothing here reaches it · " +
				"to do: wait; if it comes back, lower the configured rates, and look for a proxy, a firewall or a login page on the way",
		})
	}
	s.lift(ctx, suspicion)
}

// answeredFrom is another tenant that the platform answers from the address of
// the lane; empty if none is known.
func (s *Set) answeredFrom(ctx context.Context, l *Lane) string {
	asked := map[string]bool{l.Tenant: true}
	for _, other := range s.lanes {
		if other.Probe == nil || other.AddressName != l.AddressName || asked[other.Tenant] {
			continue
		}
		asked[other.Tenant] = true
		if judgeAddress(other.ask(ctx)) == answered {
			return other.Tenant
		}
		if len(asked) > mostAsked {
			break
		}
	}
	return ""
}

// mostAsked bounds how many other tenants are asked: a ban is not prolonged by
// many calls.
const mostAsked = 3
