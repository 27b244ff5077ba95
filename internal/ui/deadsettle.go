package ui

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/deadletter"
	"rollcall/internal/ledger"
	"rollcall/internal/privacy"
	"rollcall/tasks"
)

// settleFor bounds how long one form settles dead letters: browsers and proxies wait about a
// minute.
const settleFor = 20 * time.Second

// deadConfirm is what the page shows before all dead letters of a cause are settled.
type deadConfirm struct {
	Cause   causeView
	Discard bool
	Count   int64
	Until   string // Unix µs: later ones are left
	Back    string
}

func (u *UI) deadConfirmPage(r *request) (view, error) {
	q := r.URL.Query()
	v, err := u.chosenCause(r)
	if err != nil {
		return view{}, err
	}
	until := u.now()
	if at, err := strconv.ParseInt(q.Get("until"), 10, 64); err == nil {
		until = time.UnixMicro(at)
	}
	page := deadConfirm{
		Cause: v, Discard: q.Get("do") == "discard", Until: strconv.FormatInt(until.UnixMicro(), 10), Back: v.Address,
	}
	if page.Count, err = u.dead.CountOf(r.Context(), v.LaneCause, until); err != nil {
		return view{}, err
	}
	title := "dead.replay.all"
	if page.Discard {
		title = "dead.discard.all"
	}
	return show("dead_confirm.html", title, page), nil
}

// settling is a way to settle dead letters.
type settling struct {
	action  string // the last part of its address
	outcome deadletter.Outcome
	do      func(context.Context, []ledger.DeadLetter) []deadletter.Settled
}

// settleDead settles one dead letter, or all of a cause that the user has confirmed.
func (u *UI) settleDead(r *request, s settling) (view, error) {
	reason, err := r.reason(s.outcome == deadletter.Discarded)
	if err != nil {
		return view{}, err
	}
	if r.PostForm.Has("id") {
		return u.settleOne(r, s, reason)
	}
	us, err := strconv.ParseInt(r.PostFormValue("until"), 10, 64)
	if err != nil {
		return view{}, &userError{key: "error.form", status: 400}
	}
	c, until := causeOf(r.PostForm), time.UnixMicro(us)
	done, err := u.settleAll(r, s, c, until, reason)
	if err != nil {
		return view{}, err
	}
	back := "/dead-letters"
	left, err := u.dead.CountOf(r.Context(), c, time.Time{})
	if err != nil {
		return view{}, err
	}
	if left > 0 {
		back = causeAddress(c)
	}
	settled, underway := done.counts[s.outcome], done.counts[deadletter.Underway]
	refused, failed := done.counts[deadletter.Refused], done.counts[deadletter.Failed]
	switch {
	case done.unfinished:
		q := causeQuery(c)
		q.Set("until", r.PostFormValue("until"))
		q.Set("do", s.action)
		return seeOther("/dead-letters/confirm?"+q.Encode(), "dead.settled.more", num(settled)), nil
	case refused+failed > 0:
		return seeOther(back, "dead."+string(s.outcome)+".some", num(settled), num(underway), num(refused), num(failed), done.why), nil
	}
	return seeOther(back, "dead."+string(s.outcome)+".all", num(settled+underway)), nil
}

// settledAll is what became of the dead letters of a cause.
type settledAll struct {
	counts     map[deadletter.Outcome]int
	unfinished bool
	why        string // the first that stays, with names masked
}

// settleAll settles the dead letters of a cause that died until a time, for settleFor at most.
// Dead letters are settled a page at a time, so a stop in between loses nothing.
func (u *UI) settleAll(r *request, s settling, c deadletter.LaneCause, until time.Time, reason string) (settledAll, error) {
	tenant, kind, _ := strings.Cut(c.Lane, ".")
	f := deadletter.Filter{Tenant: tenant, Kind: tasks.Kind(kind), Class: c.Class, Code: c.Code, ByCause: true, Until: until}
	done, begun := settledAll{counts: map[deadletter.Outcome]int{}}, time.Now()
	noted := deadletter.Counts{}
	err := u.dead.Each(r.Context(), f, func(dead []ledger.DeadLetter) error {
		if time.Since(begun) > settleFor {
			done.unfinished = true
			return errEnough
		}
		settled := s.do(r.Context(), dead)
		noted.Add(settled)
		for _, one := range settled {
			done.counts[one.Outcome]++
			if one.Err != nil && done.why == "" {
				done.why = privacy.Redact(one.Err.Error(), deadletter.Words(one.DeadLetter))
			}
		}
		if settled[len(settled)-1].Outcome == deadletter.Failed { // so would the others
			return errEnough
		}
		return r.Context().Err()
	})
	u.noteSettled(r, s.outcome, noted, reason)
	if errors.Is(err, errEnough) {
		err = nil
	}
	return done, err
}

var errEnough = errors.New("enough")

func (u *UI) settleOne(r *request, s settling, reason string) (view, error) {
	d, err := u.deadIn(r.Context(), r.PostForm)
	if err != nil {
		return view{}, err
	}
	settled := s.do(r.Context(), []ledger.DeadLetter{d})[0]
	switch settled.Outcome {
	case deadletter.Refused:
		return seeOther(deadAddress(d.Lane, d.ID), "dead.refused", privacy.Redact(settled.Err.Error(), deadletter.Words(d))), nil
	case deadletter.Failed:
		return view{}, settled.Err
	case deadletter.Underway:
		return u.afterOne(r, d, "dead.underway"), nil
	case deadletter.Replayed, deadletter.Discarded:
	}
	u.noteSettled(r, s.outcome, countsOf(settled), reason)
	return u.afterOne(r, d, "dead."+string(s.outcome)+".one"), nil
}

func countsOf(settled ...deadletter.Settled) deadletter.Counts {
	counts := deadletter.Counts{}
	counts.Add(settled)
	return counts
}

// noteSettled adds the event of dead letters that were settled.
func (u *UI) noteSettled(r *request, outcome deadletter.Outcome, counts deadletter.Counts, reason string) {
	if err := u.dead.Note(r.Context(), outcome, counts, reason, r.User.By()); err != nil {
		u.log.Warn("change on a page not among the events", "user", r.User.Name, "action", "dead."+string(outcome), "err", err)
	}
}
