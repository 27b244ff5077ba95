package ui

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"rollcall/internal/access"
	"rollcall/internal/run"
)

// step is something that a user does to a run by a button.
type step struct {
	name   string
	role   access.Role
	notice string // on the next page; the event has its last word
	do     func(r *request, id string) (run.Run, error)
}

// steps are all of them.
func (u *UI) steps() []step {
	return []step{
		{"apply", access.Operator, "runs.did.applied", func(r *request, id string) (run.Run, error) {
			return u.runs.Apply(r.Context(), id, r.PostFormValue("digest"), r.User.By())
		}},
		{"approve", access.Approver, "runs.did.approved", func(r *request, id string) (run.Run, error) {
			return u.runs.Approve(r.Context(), id, r.PostFormValue("digest"), r.User.By())
		}},
		{"reject", access.Approver, "runs.did.rejected", func(r *request, id string) (run.Run, error) {
			return u.runs.Reject(r.Context(), id, r.User.By(), r.given())
		}},
		{"pause", access.Operator, "runs.did.paused", func(r *request, id string) (run.Run, error) {
			return u.runs.Pause(r.Context(), id, r.User.By(), r.given())
		}},
		{"resume", access.Operator, "runs.did.resumed", func(r *request, id string) (run.Run, error) {
			return u.runs.Resume(r.Context(), id, r.User.By())
		}},
		{"cancel", access.Operator, "runs.did.cancelled", func(r *request, id string) (run.Run, error) {
			return u.runs.Cancel(r.Context(), id, r.User.By(), r.given())
		}},
		{"plan", access.Operator, "runs.did.planned", u.planAgain},
		{"undo", access.Operator, "runs.did.undone", u.makeUndo},
	}
}

// given is the reason that the user wrote.
func (r *request) given() string {
	text := strings.TrimSpace(r.PostFormValue("reason"))
	if len(text) > mostReason {
		text = strings.ToValidUTF8(text[:mostReason], "")
	}
	return text
}

// step does something to a run, and shows the run. What the run refuses is a notice there: the
// user must see how it is now.
func (u *UI) step(r *request, s step) (view, error) {
	id := r.PathValue("id")
	made, err := s.do(r, id)
	if err != nil {
		return r.refused(id, r.explainRun(err))
	}
	notice := s.notice
	if s.name == "apply" && made.State == run.StateHeld {
		notice = "runs.did.held"
	}
	u.noteRun(r, strings.TrimPrefix(notice, "runs.did."), id, r.given())
	if s.name == "undo" && made.Rows == 0 {
		return seeOther(runAddress(id), "runs.did.nothing"), nil
	}
	return seeOther(runAddress(made.ID), notice), nil
}

// refused shows a run with the reason why nothing was done to it.
func (r *request) refused(id string, err error) (view, error) {
	if e, ok := errors.AsType[*userError](err); ok && e.status == http.StatusConflict {
		return seeOther(runAddress(id), e.key, e.args...), nil
	}
	return view{}, err
}

// planAgain plans a run once more, and waits for a short plan.
func (u *UI) planAgain(r *request, id string) (run.Run, error) {
	made, err := u.runs.Get(r.Context(), id)
	if err != nil {
		return made, err
	}
	if made.State != run.StateUploading && made.State != run.StatePlanned && made.State != run.StateHeld {
		return made, &run.StateError{ID: id, State: made.State, Event: "plan"}
	}
	u.awaitPlan(r.Context(), id)
	return made, nil
}

// makeUndo makes and plans a run that takes another one back. One without rows is cancelled.
func (u *UI) makeUndo(r *request, id string) (run.Run, error) {
	ctx := r.Context()
	of, err := u.runs.Get(ctx, id)
	if err != nil {
		return of, err
	}
	file := of.File
	file.Name = cmp.Or(of.Name, file.Name) // names the undo
	made, err := u.runs.Undo(ctx, id, run.Draft{Author: r.User.By(), File: file, Settings: run.Settings{OtherApprover: of.Settings.OtherApprover}})
	if err != nil {
		return made, err
	}
	if made.Rows == 0 {
		return u.runs.Cancel(ctx, made.ID, r.User.By(), "nothing can be taken back")
	}
	u.awaitPlan(ctx, made.ID)
	return made, nil
}

// excludeRows leaves rows out of the plan.
func (u *UI) excludeRows(r *request) (view, error) {
	id := r.PathValue("id")
	var numbers []int
	for _, text := range r.PostForm["row"] {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return view{}, &userError{key: "error.form", status: http.StatusBadRequest}
		}
		numbers = append(numbers, n)
	}
	if len(numbers) == 0 {
		return seeOther(runAddress(id), "runs.exclude.none"), nil
	}
	made, err := u.runs.Get(r.Context(), id)
	if err != nil {
		return view{}, r.explainRun(err)
	}
	for _, n := range numbers {
		if n > made.Rows {
			return view{}, &userError{key: "error.form", status: http.StatusBadRequest}
		}
	}
	if _, err = u.runs.Exclude(r.Context(), id, r.PostFormValue("digest"), numbers); err != nil {
		return r.refused(id, r.explainRun(err))
	}
	u.noteRun(r, "excluded", id, joined(numbers))
	return seeOther(rowsAddress(id, url.Values{"show": {showPlan}}), "runs.did.excluded", len(numbers)), nil
}
