package ui

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"rollcall/internal/deadletter"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/privacy"
	"rollcall/internal/runview"
)

func missing(err error) bool {
	_, is := errors.AsType[*deadletter.MissingError](err)
	return is
}

// deadTask is what the page of one dead letter shows.
type deadTask struct {
	Dead     deadView
	Cause    string           // address of its cause
	State    string           // of its task in asynq, for people
	Attempts []counted        // by class
	Fields   []correctedField // of its task; none: no task can be read
	Bytes    int              // of the payload
	Personal bool
}

// correctedField is a field of a task in the form that corrects it.
type correctedField struct {
	kinds.Entry

	Label string
	Shown string // the value that the form begins with
	Mask  string // of a value that is masked; empty: it is not
}

func (u *UI) deadTaskPage(r *request, personal bool) (view, error) {
	d, err := u.deadIn(r.Context(), r.URL.Query())
	if err != nil {
		return view{}, err
	}
	s, err := newSeal(r.Context(), u.rdb)
	if err != nil {
		return view{}, err
	}
	state, err := u.dead.State(r.Context(), d)
	if err != nil {
		return view{}, err
	}
	page := deadTask{
		Dead: r.deadView(s, d, personal), Personal: personal, Bytes: max(d.PayloadBytes, len(d.Payload)),
		Cause: causeAddress(deadletter.LaneCause{Lane: d.Lane, Class: d.Class, Code: d.Code}),
		State: r.named("asynq.", state), Fields: r.corrections(d, personal),
	}
	if state == "" {
		page.State = r.t("asynq.none")
	}
	for _, class := range slices.Sorted(maps.Keys(d.Attempts)) {
		page.Attempts = append(page.Attempts, counted{r.named("class.", class), d.Attempts[class]})
	}
	return show("dead_task.html", "dead.task.title", page), nil
}

// corrections returns the fields of a dead letter's task. A masked value is not in the form: a
// field that is left as it is keeps its value.
func (r *request) corrections(d ledger.DeadLetter, personal bool) []correctedField {
	task, _, err := kinds.Decode(d.Type, d.Payload)
	if err != nil {
		return nil
	}
	entries, masked := kinds.Entries(task), kinds.Entries(privacy.Task(task))
	all := make([]correctedField, len(entries))
	for i, e := range entries {
		label := strings.ReplaceAll(runview.Head(e.Column, r.Lang == chinese), "_", " ")
		all[i] = correctedField{Entry: e, Label: label, Shown: e.Value}
		if mask := masked[i].Value; !personal && mask != e.Value {
			all[i].Shown, all[i].Mask, all[i].Value = "", mask, mask
		}
	}
	return all
}

// deadCorrect enqueues a corrected task in place of a dead letter's.
func (u *UI) deadCorrect(r *request) (view, error) {
	d, err := u.deadIn(r.Context(), r.PostForm)
	if err != nil {
		return view{}, err
	}
	task, _, err := kinds.Decode(d.Type, d.Payload)
	if err != nil {
		return view{}, &userError{key: "dead.correct.unreadable"}
	}
	set := map[string]string{}
	var changed []string
	for _, e := range kinds.Entries(task) {
		if value := r.PostFormValue("set." + e.Name); r.PostForm.Has("set."+e.Name) && value != r.PostFormValue("was."+e.Name) {
			set[e.Name] = value
			changed = append(changed, e.Name)
		}
	}
	if len(set) == 0 {
		return view{}, &userError{key: "dead.correct.same"}
	}
	corrected, err := kinds.Correct(d.Type, d.Payload, set)
	if err != nil {
		return view{}, &userError{key: "dead.correct.refused", args: []any{privacy.Redact(err.Error(), deadletter.Words(d))}}
	}
	settled := u.dead.Replace(r.Context(), d, corrected)
	switch settled.Outcome {
	case deadletter.Refused:
		return view{}, &userError{key: "dead.correct.refused", args: []any{privacy.Redact(settled.Err.Error(), deadletter.Words(d))}}
	case deadletter.Failed:
		return view{}, settled.Err
	case deadletter.Underway, deadletter.Replayed, deadletter.Discarded:
	}
	u.noteSettled(r, deadletter.Replayed, countsOf(settled), "corrected: "+strings.Join(changed, ", "))
	return u.afterOne(r, d, "dead.correct.done", settled.TaskID), nil
}

// afterOne returns to the cause of a dead letter that was settled, or to all dead letters if it
// was the last one.
func (u *UI) afterOne(r *request, d ledger.DeadLetter, notice string, args ...any) view {
	c := deadletter.LaneCause{Lane: d.Lane, Class: d.Class, Code: d.Code}
	if n, err := u.dead.CountOf(r.Context(), c, d.Last); err != nil || n == 0 {
		return seeOther("/dead-letters", notice, args...)
	}
	return seeOther(causeAddress(c), notice, args...)
}
