package ui

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"rollcall/internal/advice"
	"rollcall/internal/audit"
	"rollcall/internal/hold"
	"rollcall/internal/overview"
	"rollcall/internal/pace"
)

// heldRow is a hold as the page shows it.
type heldRow struct {
	overview.Held

	Where    string // its scope in words
	Detail   string // the reason as it was recorded, without what to do
	Evidence string // what the platform answered; empty: nothing
	Next     string // when it is probed or ends
	Todo     string
	Badge    badge // its class
	Probes   bool  // a probe can end it
	Forced   bool  // a release ends it without a probe or before its time
}

func (r *request) heldRow(h overview.Held) heldRow {
	row := heldRow{
		Held: h, Where: r.scope(h.Scope), Next: r.holdNext(h.Hold), Todo: r.holdTodo(h.Hold),
		Evidence: r.evidence(h.Seen), Badge: badge{"bad", r.t("class." + string(h.Class))}, Probes: h.Probe != hold.ByTime,
	}
	row.Detail, _, _ = strings.Cut(h.Reason, todoMark)
	if h.Bulk || h.Class == hold.Operator {
		row.Badge.Class = "warn"
	}
	row.Forced = h.Class != hold.Operator && h.Class != hold.Quota
	return row
}

// scope names a scope within a sentence.
func (r *request) scope(s hold.Scope) string { return r.t("scope."+string(s.Level), s.Name) }

// todoMark separates what happened from what to do in the reason of a hold.
const todoMark = " · to do: "

// why describes the cause of a hold. The reason is in English: in Chinese its class says it,
// with the code, and the words of a person stay as they are.
func (r *request) why(h hold.Hold) string {
	reason, _, _ := strings.Cut(h.Reason, todoMark)
	if r.Lang == english || h.Class == hold.Operator {
		return strings.TrimRight(reason, ". ")
	}
	text := r.t("class." + string(h.Class))
	if h.Seen.Code != "" {
		text += "（" + h.Seen.Code + "）"
	}
	return text
}

// holdNext says when a hold is probed, or ends by itself.
func (r *request) holdNext(h hold.Hold) string {
	now := r.ui.now()
	switch {
	case h.Probe != hold.ByTime && h.Probing != "" && now.Before(h.Next):
		return r.t("hold.probing", h.Probing)
	case h.Probe == hold.ByTask && !now.Before(h.Next):
		return r.t("hold.due.task")
	case h.Probe != hold.ByTime && !now.Before(h.Next):
		return r.t("hold.due")
	case h.Probe != hold.ByTime:
		return r.t("hold.next", r.clock(h.Next))
	case !h.Until.IsZero():
		return r.t("hold.until", r.clock(h.Until))
	}
	return ""
}

// holdTodo is what a person does about a hold.
func (r *request) holdTodo(h hold.Hold) string {
	general := r.t("todo." + string(h.Class))
	_, todo, has := strings.Cut(h.Reason, todoMark)
	if !has {
		return general
	}
	if r.Lang == chinese {
		todo = advice.Chinese(todo)
	}
	todo = strings.TrimRight(todo, ". ")
	if first, size := utf8.DecodeRuneInString(todo); size > 0 {
		todo = string(unicode.ToUpper(first)) + todo[size:]
	}
	return r.t("hold.todo", todo, general)
}

// evidence describes the answers that were the reason of a hold; empty: there are none.
func (r *request) evidence(s hold.Seen) string {
	if s.Count == 0 || s.Last.IsZero() {
		return ""
	}
	parts := []string{r.t("hold.noanswer")}
	if s.Status != 0 {
		parts[0] = fmt.Sprintf("HTTP %d", s.Status)
	}
	if s.Code != "" {
		parts = append(parts, r.t("hold.code", s.Code))
	}
	if s.Host != "" {
		parts = append(parts, r.t("hold.host", s.Host))
	}
	if s.Count == 1 {
		parts = append(parts, r.clock(s.Last))
	} else {
		parts = append(parts, r.t("hold.count", s.Count, r.clock(s.First), r.clock(s.Last)))
	}
	return strings.Join(parts, " · ")
}

// mostScopes bounds those of a select: if there are more, the user types one.
const mostScopes = 200

// scopesOf lists what a person can hold: lanes, tenants and organisations. More than mostScopes
// are none.
func (r *request) scopesOf(s *overview.State) []choice {
	var found []hold.Scope
	for _, l := range s.Lanes.Lanes {
		for _, scope := range l.Scopes() {
			if !slices.Contains(found, scope) {
				found = append(found, scope)
			}
		}
		if len(found) > mostScopes {
			return nil
		}
	}
	var all []choice
	for _, level := range []hold.Level{hold.Lane, hold.Tenant, hold.Organisation} {
		for _, scope := range found {
			switch {
			case scope.Level != level:
			case level == hold.Lane:
				all = append(all, choice{Value: scope.Name, Text: r.scope(scope)})
			default:
				all = append(all, choice{Value: scope.String(), Text: r.scope(scope)})
			}
		}
	}
	return all
}

// holdLane puts a scope on hold. The hold is its own event in the audit log.
func (u *UI) holdLane(r *request) (view, error) {
	scope, ok := hold.ParseScope(strings.TrimSpace(r.PostFormValue("scope")))
	state := u.state.State(r.Context())
	if state.Err != nil {
		return view{}, state.Err
	}
	if !ok || !state.Covers(scope) {
		return view{}, &userError{key: "hold.scope"}
	}
	reason := strings.TrimSpace(r.PostFormValue("reason"))
	if reason == "" || len(reason) > mostReason {
		return view{}, &userError{key: "hold.reason"}
	}
	now := u.now()
	h := hold.Hold{
		Scope: scope, Class: hold.Operator, Reason: reason, Since: now, By: r.User.By(), Bulk: r.PostFormValue("bulk") != "",
	}
	if text := strings.TrimSpace(r.PostFormValue("for")); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return view{}, &userError{key: "hold.for"}
		}
		h.Until = now.Add(d)
	}
	if _, _, err := u.holds.Put(r.Context(), h); err != nil {
		return view{}, err
	}
	u.log.Warn("held in the web UI", "user", r.User.By(), "scope", scope.String(), "reason", reason)
	u.state.Refresh()
	return seeOther("/", "hold.held", scope.Name), nil
}

// chosen returns the hold that a form names, as it is now.
func (u *UI) chosen(r *request) (hold.Hold, error) {
	if err := u.holds.Refresh(r.Context()); err != nil {
		return hold.Hold{}, err
	}
	id := r.PostFormValue("hold")
	all := u.holds.All()
	i := slices.IndexFunc(all, func(h hold.Hold) bool { return h.ID() == id })
	if i < 0 {
		return hold.Hold{}, &userError{key: "hold.over", status: http.StatusConflict}
	}
	return all[i], nil
}

// clocksDiffer is the largest tolerated difference of two machines' clocks.
const clocksDiffer = time.Minute

// probeHold makes a worker probe a hold now.
func (u *UI) probeHold(r *request) (view, error) {
	h, err := u.chosen(r)
	if err != nil {
		return view{}, err
	}
	if h.Probe == hold.ByTime {
		return view{}, &userError{key: "hold.noprobe"}
	}
	// A worker's clock may be behind the clock of this machine.
	asked, err := u.holds.ProbeNow(r.Context(), h, u.now().Add(-clocksDiffer))
	if err != nil {
		return view{}, err
	}
	if !asked {
		return view{}, &userError{key: "hold.changed", status: http.StatusConflict}
	}
	err = audit.Write(r.Context(), u.rdb, audit.Event{
		Event: "hold.probe", Level: string(h.Level), Name: h.Name, Class: string(h.Class), Reason: "probe requested in the web UI", By: r.User.By(),
	})
	u.log.Warn("probe requested in the web UI", "user", r.User.By(), "scope", h.String())
	u.state.Refresh()
	return seeOther("/", "hold.probed", h.Name), err
}

// releaseHold ends a hold. One of a quota ends only if the platform reported it: workers put
// that of the configuration back. The end is its own event in the audit log.
func (u *UI) releaseHold(r *request) (view, error) {
	h, err := u.chosen(r)
	if err != nil {
		return view{}, err
	}
	over := !h.Until.IsZero() && !u.now().Before(h.Until)
	if h.Class == hold.Quota && !over {
		if err := u.allowMonth(r, h); err != nil {
			return view{}, err
		}
	}
	done, err := u.holds.End(r.Context(), h, r.User.By())
	if err != nil {
		return view{}, err
	}
	if !done {
		return view{}, &userError{key: "hold.changed", status: http.StatusConflict}
	}
	u.log.Warn("released in the web UI", "user", r.User.By(), "scope", h.String())
	u.state.Refresh()
	return seeOther("/", "hold.released", h.Name), u.endPauses(r, h.Scope)
}

// allowMonth removes the record that the platform reports a month as spent.
func (u *UI) allowMonth(r *request, h hold.Hold) error {
	if h.Level != hold.Organisation {
		return &userError{key: "hold.day"}
	}
	month, err := pace.NoteMonthNotSpent(r.Context(), u.rdb, h.Name)
	if err == nil && !month.Said {
		err = &userError{key: "hold.month"}
	}
	return err
}

// endPauses ends the pauses after refusals of the lanes of a scope that no hold stops.
func (u *UI) endPauses(r *request, scope hold.Scope) error {
	var refs []pace.Ref
	for _, l := range u.state.State(r.Context()).Lanes.Lanes {
		if slices.Contains(l.Scopes(), scope) && len(l.Holds) == 0 && l.Pace.Paused > 0 {
			refs = append(refs, l.Ref())
		}
	}
	if len(refs) == 0 {
		return nil
	}
	return pace.Resume(r.Context(), u.rdb, refs...)
}
