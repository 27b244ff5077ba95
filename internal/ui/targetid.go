package ui

import (
	"errors"

	"rollcall/internal/explain"
	"rollcall/internal/ledger"
	"rollcall/internal/privacy"
	"rollcall/internal/unverified"
	"rollcall/tasks"
)

// settles reports whether a person can settle the ID of a target: its outcome is unknown, and no
// task works on it.
func settles(x *explain.Target) bool {
	return x.Lane.Kind == tasks.KindID && x.Record.Fields[unverified.Field].Unknown != 0 && !x.Record.InFlight
}

// targetSettle records what a person saw of an ID at the platform.
func (u *UI) targetSettle(r *request) (view, error) {
	verdict := unverified.Verdict(r.PostFormValue("verdict"))
	if tasks.Kind(r.PathValue("kind")) != tasks.KindID || verdict != unverified.Confirm && verdict != unverified.Reject {
		return view{}, errNotFound
	}
	if r.PostFormValue("looked") == "" {
		return view{}, &userError{key: "target.id.look"}
	}
	lane, key, err := u.laneOf(r)
	if err != nil {
		return view{}, err
	}
	service := unverified.New(u.rdb)
	change, err := service.Look(r.Context(), lane, ledger.Target{Organisation: lane.Organisation, API: string(lane.Kind), Key: key})
	if err != nil {
		return view{}, err
	}
	s, err := newSeal(r.Context(), u.rdb)
	if err != nil {
		return view{}, err
	}
	back := s.target(lane.Tenant, lane.Kind, key)
	switch {
	case !change.Open(verdict):
		return seeOther(back, "target.id.nothing"), nil
	case change.Running:
		return seeOther(back, "target.id.running"), nil
	}
	value, _, err := service.Settle(r.Context(), change, verdict, r.User.By())
	unnoted, done := errors.AsType[*unverified.UnnotedError](err)
	switch {
	case done:
		u.log.Warn("change on a page not among the events", "user", r.User.Name, "action", "id."+verdict.Done(), "err", unnoted)
	case errors.Is(err, ledger.ErrUnderway):
		return seeOther(back, "target.id.running"), nil
	case errors.Is(err, ledger.ErrNothingUnknown):
		return seeOther(back, "target.id.nothing"), nil
	case err != nil:
		return view{}, err
	}
	notice := "target.id.rejected"
	if verdict == unverified.Confirm {
		notice = "target.id.confirmed"
	}
	return seeOther(back, notice, privacy.Value(lane.Kind, unverified.Field, value)), nil
}
