package ui

import (
	"errors"
	"slices"
	"time"

	"rollcall/internal/explain"
	"rollcall/internal/ledger"
	"rollcall/internal/privacy"
	"rollcall/internal/registry"
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
	tenant, kind := r.PathValue("tenant"), tasks.Kind(r.PathValue("kind"))
	verdict := unverified.Verdict(r.PostFormValue("verdict"))
	if kind != tasks.KindID || verdict != unverified.Confirm && verdict != unverified.Reject {
		return view{}, errNotFound
	}
	if r.PostFormValue("looked") == "" {
		return view{}, &userError{key: "target.id.look"}
	}
	key, err := u.targetKey(r, tenant, kind)
	if err != nil {
		return view{}, err
	}
	lanes, err := registry.Read(r.Context(), u.rdb, time.Time{})
	if err != nil {
		return view{}, err
	}
	i := slices.IndexFunc(lanes, func(l registry.Lane) bool { return l.Tenant == tenant && l.Kind == kind })
	if i < 0 {
		return view{}, errNotFound
	}
	service := unverified.New(u.rdb)
	change, err := service.Look(r.Context(), lanes[i], ledger.Target{Organisation: lanes[i].Organisation, API: string(kind), Key: key})
	if err != nil {
		return view{}, err
	}
	s, err := newSeal(r.Context(), u.rdb)
	if err != nil {
		return view{}, err
	}
	back := s.target(tenant, kind, key)
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
	return seeOther(back, notice, privacy.Value(kind, unverified.Field, value)), nil
}
