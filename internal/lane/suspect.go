package lane

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall/internal/hold"
	"rollcall/internal/outcome"
	"rollcall/providers"
)

// banFor is the longest time that a confirmed ban of the address holds its lanes: the
// platform's own ban lasts as long.
const banFor = 5 * time.Minute

// suspect holds the lane after an unexplained HTML page: a banned address gets one, and
// so does a network that requires a login. Other lanes are held only after a second
// call confirms the ban: an unmetered one at once, or, if the platform has none, a task
// of the same lane after a pause.
func (l *Lane) suspect(ctx context.Context, a *attempt, v Verdict, e *providers.Error) {
	h := hold.Hold{
		Scope: l.scope(providers.ScopeLane), Class: hold.Suspected, Probe: hold.ByTask, Seen: seen(e),
		Reason: "the platform sent an HTML page instead of an answer, as it does to a blocked address; one task probes whether it happens again · to do: " + e.Fix,
	}
	switch {
	case l.Probe != nil:
		// A task has received several pages while the platform answered other calls in
		// between.
		if v.Class == outcome.Refused {
			l.pageAgain.Store(true)
		}
		h.Probe, h.Next, h.Until = hold.ByAddress, time.Now(), time.Now().Add(banFor)
		h.Reason = "the platform sent an HTML page instead of an answer, as it does to a blocked address; a token call, which is not metered, checks whether it is blocked"
	case a.probe:
		h.Class = hold.Banned
		h.Reason = "the platform sent an HTML page instead of an answer, and again after a pause: it may have blocked this address · to do: " + e.Fix
	}
	l.put(ctx, h)
	l.set.pollSoon()
}

// address is what an unmetered call shows about whether the address is banned.
type address int

const (
	unknown  address = iota // no answer, or an answer of a gateway
	answered                // any answer of the platform itself
	blocked                 // the answer that a banned address gets
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

// probeAddress checks whether the address of a hold is banned, by a call of the lane's
// tenant.
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
		s.log.Info("still on hold: the platform did not answer the probe", "hold", h.String(), "err", err)
		c.failed(ctx)
	case answered:
		c.close()
		if e != nil && e.Kind == providers.Misconfigured {
			l.holdRefused(ctx, e)
		}
		if h.Class == hold.Suspected && l.pageAgain.Swap(false) {
			l.put(ctx, hold.Hold{
				Scope: h.Scope, Class: hold.Refused, Probe: hold.ByTask, Seen: h.Seen,
				Reason: fmt.Sprintf("%s repeatedly sends HTML pages, while token calls are answered: the address is not blocked · to do: "+
					"check for a proxy, a firewall or a login page between this machine and the host, and check the base URL", h.Seen.Host),
			})
			return
		}
		s.endHold(ctx, h)
	case blocked:
		if h.Class != hold.Suspected {
			c.failed(ctx)
			return
		}
		c.close()
		s.confirm(ctx, l, h, e)
	}
}

// confirm adds the hold of a confirmed suspicion: of the address, or of the tenant
// alone if another tenant is answered from the same address.
func (s *Set) confirm(ctx context.Context, l *Lane, suspicion hold.Hold, e *providers.Error) {
	if certain := e.Scope == providers.ScopeAddress; certain {
		l.throttled(ctx, &attempt{}, e)
	} else if other := s.answeredFrom(ctx, l); other != "" {
		l.put(ctx, hold.Hold{
			Scope: hold.Scope{Level: hold.Tenant, Name: l.Tenant}, Class: hold.Refused, Probe: hold.ByAddress, Seen: seen(e),
			Reason: fmt.Sprintf("%s answers every call with an HTML page, while tenant %s is answered from the same address: the address is not blocked · to do: "+
				"check the base URLs of the tenant, and any proxy or firewall between here and the host", e.Host, other),
		})
	} else {
		l.put(ctx, hold.Hold{
			Scope: l.scope(providers.ScopeAddress), Class: hold.Banned, Probe: hold.ByAddress, Until: time.Now().Add(banFor), Seen: seen(e),
			Reason: "the platform sends HTML pages instead of answers, even to a token call: it has blocked this address, or a proxy intercepts the calls · " +
				"to do: wait; if it happens again, lower the configured rates, and check for a proxy, a firewall or a login page",
		})
	}
	s.endHold(ctx, suspicion)
}

// answeredFrom returns another tenant that the platform answers from the address of the
// lane; empty if none is known.
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
		if len(asked) > maxAsked {
			break
		}
	}
	return ""
}

// maxAsked bounds how many other tenants are asked: many calls could prolong a ban.
const maxAsked = 3
