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
	c := causeOf(q)
	v, found, err := u.causeView(r, c)
	if err != nil {
		return view{}, err
	}
	if !found {
		return view{}, &userError{key: "dead.cause.empty", status: 404}
	}
	until := u.now()
	if at, err := strconv.ParseInt(q.Get("until"), 10, 64); err == nil {
		until = time.UnixMicro(at)
	}
	page := deadConfirm{
		Cause: v, Discard: q.Get("do") == "discard", Until: strconv.FormatInt(until.UnixMicro(), 10), Back: v.Address,
	}
	if page.Count, err = u.dead.CountOf(r.Context(), c, until); err != nil {
		return view{}, err
	}
	title := "dead.confirm.replay.title"
	if page.Discard {
		title = "dead.confirm.discard.title"
	}
	return show("dead_confirm.html", title, page).styled(moreCSS), nil
}

func (u *UI) deadReplay(r *request) (view, error) {
	return u.settleDead(r, deadletter.Replayed, u.dead.Replay)
}

func (u *UI) deadDiscard(r *request) (view, error) {
	return u.settleDead(r, deadletter.Discarded, u.dead.Discard)
}

type settling func(context.Context, []ledger.DeadLetter) []deadletter.Settled

// settleDead settles one dead letter, or all of a cause that the user has confirmed.
func (u *UI) settleDead(r *request, outcome deadletter.Outcome, do settling) (view, error) {
	reason, err := r.reason(outcome == deadletter.Discarded)
	if err != nil {
		return view{}, err
	}
	if r.PostForm.Has("id") {
		return u.settleOne(r, outcome, do, reason)
	}
	us, err := strconv.ParseInt(r.PostFormValue("until"), 10, 64)
	if err != nil {
		return view{}, &userError{key: "error.form", status: 400}
	}
	c, until := causeOf(r.PostForm), time.UnixMicro(us)
	done, err := u.settleAll(r, c, until, outcome, do, reason)
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
	counts := []any{num(done.counts[outcome]), num(done.counts[deadletter.Underway]), num(done.counts[deadletter.Refused]), num(done.counts[deadletter.Failed]), done.why}
	switch {
	case done.unfinished:
		q := causeQuery(c)
		q.Set("until", r.PostFormValue("until"))
		q.Set("do", map[deadletter.Outcome]string{deadletter.Replayed: "replay", deadletter.Discarded: "discard"}[outcome])
		return seeOther("/dead-letters/confirm?"+q.Encode(), "dead.settled.more", num(done.counts[outcome])), nil
	case done.counts[deadletter.Refused]+done.counts[deadletter.Failed] > 0:
		return seeOther(back, "dead."+string(outcome)+".some", counts...), nil
	}
	return seeOther(back, "dead."+string(outcome)+".all", num(done.counts[outcome]+done.counts[deadletter.Underway])), nil
}

// settledAll is what became of the dead letters of a cause.
type settledAll struct {
	counts     map[deadletter.Outcome]int
	unfinished bool
	why        string // the first that stays, with names masked
}

// settleAll settles the dead letters of a cause that died until a time, for settleFor at most.
// Dead letters are settled a page at a time, so a stop in between loses nothing.
func (u *UI) settleAll(r *request, c deadletter.LaneCause, until time.Time, outcome deadletter.Outcome, do settling, reason string) (settledAll, error) {
	tenant, kind, _ := strings.Cut(c.Lane, ".")
	f := deadletter.Filter{Tenant: tenant, Kind: tasks.Kind(kind), Class: c.Class, Code: c.Code, ByCause: true, Until: until}
	done, begun := settledAll{counts: map[deadletter.Outcome]int{}}, time.Now()
	noted := deadletter.Counts{}
	err := u.dead.Each(r.Context(), f, func(dead []ledger.DeadLetter) error {
		if time.Since(begun) > settleFor {
			done.unfinished = true
			return errEnough
		}
		settled := do(r.Context(), dead)
		noted.Add(settled)
		for _, s := range settled {
			done.counts[s.Outcome]++
			if s.Err != nil && done.why == "" {
				done.why = privacy.Redact(s.Err.Error(), deadletter.Words(s.DeadLetter))
			}
		}
		if settled[len(settled)-1].Outcome == deadletter.Failed { // so would the others
			return errEnough
		}
		return r.Context().Err()
	})
	if failed := u.dead.Note(r.Context(), outcome, noted, reason, r.User.By()); failed != nil {
		u.log.Warn("change on a page not among the events", "user", r.User.Name, "action", "dead."+string(outcome), "err", failed)
	}
	if errors.Is(err, errEnough) {
		err = nil
	}
	return done, err
}

var errEnough = errors.New("enough")

func (u *UI) settleOne(r *request, outcome deadletter.Outcome, do settling, reason string) (view, error) {
	d, err := u.deadIn(r.Context(), r.PostForm)
	if err != nil {
		return view{}, err
	}
	settled := do(r.Context(), []ledger.DeadLetter{d})[0]
	switch settled.Outcome {
	case deadletter.Refused:
		return seeOther(taskAddress(d), "dead.refused", privacy.Redact(settled.Err.Error(), deadletter.Words(d))), nil
	case deadletter.Failed:
		return view{}, settled.Err
	case deadletter.Underway:
		return u.afterOne(r, d, "dead.underway"), nil
	case deadletter.Replayed, deadletter.Discarded:
	}
	u.noteSettled(r, outcome, []deadletter.Settled{settled}, reason)
	return u.afterOne(r, d, "dead."+string(outcome)+".one"), nil
}

// noteSettled adds the event of dead letters that were settled.
func (u *UI) noteSettled(r *request, outcome deadletter.Outcome, settled []deadletter.Settled, reason string) {
	counts := deadletter.Counts{}
	counts.Add(settled)
	if err := u.dead.Note(r.Context(), outcome, counts, reason, r.User.By()); err != nil {
		u.log.Warn("change on a page not among the events", "user", r.User.Name, "action", "dead."+string(outcome), "err", err)
	}
}
