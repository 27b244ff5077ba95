package ui

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"rollcall/internal/access"
	"rollcall/internal/overview"
	"rollcall/internal/pace"
	"rollcall/internal/registry"
	"rollcall/internal/run"
	"rollcall/internal/runview"
)

// runData is what the page of a run shows.
type runData struct {
	Run   run.Run
	Label string
	State badge
	Why   string // of the state
	Next  string // what to do now, or what happens
	Held  []string
	Steps []stepLine

	Progress *progressData // once it was applied
	Plan     *planData
	Rows     *rowsData // nil: there is no plan
	Actions  actions
	Files    *fileData // of results; nil: it was not applied
}

// actions are what the user may do to the run now.
type actions struct {
	Apply, Approve, Reject, Pause, Resume, Cancel, Plan, Undo, Exclude bool
	// Correct says that rows can be corrected on a page, OwnRun that another person must
	// approve, because the user made the run.
	Correct, OwnRun bool
	Digest          string
}

// stepLine is a state of the timeline.
type stepLine struct {
	State  badge
	At     time.Time
	By     string
	Reason string
	Now    bool
}

// progressData is how far a run is.
type progressData struct {
	Done, Of int
	Counts   []countLine
	Left     time.Duration // at the rates of the lanes; 0: not known
	Canary   string
}

// countLine is a number of rows with a word for them.
type countLine struct {
	Word    string // of the service
	Text    string
	Meaning string
	Rows    int
	To      string // address of the rows
}

// loadRun reads the run that a request names.
func (u *UI) loadRun(r *request) (run.Run, error) {
	made, err := u.runs.Get(r.Context(), r.PathValue("id"))
	return made, r.explainRun(err)
}

func (u *UI) runPage(r *request) (view, error) {
	made, err := u.loadRun(r)
	if err != nil {
		return view{}, err
	}
	if made.State == run.StateUploading && made.Sealed && made.Plan == nil && r.User.May(access.Operator) {
		u.planner.Start(made.ID) // it was interrupted, or another worker makes it
	}
	d := runData{
		Run: made, Label: r.label(made), State: r.stateBadge(made), Steps: r.timeline(made), Actions: r.actions(made),
	}
	if made.State != run.StateHeld { // the guards of the plan say it
		d.Why = r.translated(made.Reason)
	}
	d.Next = r.next(made, d.Actions)
	if !made.Applied.IsZero() && made.Plan != nil {
		d.Progress, d.Files = r.progress(made), r.resultFiles(made)
	}
	if made.Plan != nil {
		d.Plan = r.plan(made)
		if err := u.fillRows(r, &d); err != nil {
			return view{}, r.explainRun(err)
		}
	}
	if made.State.Sends() {
		d.Held = u.obstacles(r, made)
	}
	v := show("run.html", "more.run", d)
	switch {
	case made.State.Sends() || made.State == run.StateUploading:
		v = v.refreshed()
	case !made.State.Ended(): // somebody else may apply, approve or resume it
		v = v.watched()
	}
	return v, nil
}

// flag is how a guard is accepted on a command line, at the end of a reason.
var flag = regexp.MustCompile(`\s*[(（]--[a-z-]+[)）]`)

// translated is a text of the service in the user's language.
func (r *request) translated(text string) string {
	text = flag.ReplaceAllString(text, "")
	if r.Lang == chinese {
		return run.Chinese(text)
	}
	return text
}

// timeline are the states of a run, the one now last.
func (r *request) timeline(made run.Run) []stepLine {
	steps := made.History
	if len(steps) == 0 && !made.Created.Equal(made.Changed) {
		steps = []run.Step{{State: run.StateUploading, At: made.Created, By: made.Author}} // of an older version
	}
	var all []stepLine
	for i, s := range steps {
		by := s.By
		if i == 0 && s.State == run.StateUploading {
			by = cmp.Or(by, made.Author)
		}
		all = append(all, stepLine{State: r.stateBadge(run.Run{State: s.State}), At: s.At, By: by, Reason: r.translated(s.Reason)})
	}
	now := stepLine{State: r.stateBadge(made), At: made.Changed, By: made.By, Reason: r.translated(made.Reason), Now: true}
	if len(all) == 0 {
		now.By = cmp.Or(now.By, made.Author)
	}
	return append(all, now)
}

// actions are what the user may do to a run.
func (r *request) actions(made run.Run) actions {
	a := actions{}
	operator, approver := r.User.May(access.Operator), r.User.May(access.Approver)
	open := made.State == run.StatePlanned || made.State == run.StateHeld
	if made.Plan != nil {
		a.Digest = made.Plan.Digest
	}
	expired := made.Plan != nil && r.ui.now().After(made.Plan.Until)
	a.Apply = operator && made.State == run.StatePlanned && !expired
	a.OwnRun = made.State == run.StateHeld && made.Settings.OtherApprover && made.Author == r.User.By()
	a.Approve = approver && made.State == run.StateHeld && !a.OwnRun && !expired
	a.Reject = approver && open
	a.Exclude, a.Plan = operator && open, operator && open
	a.Pause = operator && made.State.Sends()
	a.Resume = operator && made.State == run.StatePaused
	a.Cancel = operator && !made.State.Ended() && made.State != run.StateDamaged
	a.Undo = operator && made.Outcomes[run.OutcomeApplied] > 0 && (made.State == run.StateDone || made.State == run.StateCancelled || made.State == run.StatePaused)
	a.Correct = operator && toCorrect(made) > 0 && (made.State.Ended() || made.State == run.StatePaused)
	return a
}

// toCorrect counts the rows that a person must correct. An undo has none: what it skips was
// changed by others.
func toCorrect(made run.Run) int {
	if made.UndoOf != "" {
		return 0
	}
	n := 0
	for _, o := range wrong() {
		n += made.Outcomes[o]
	}
	return n
}

// wrong are the outcomes of rows that a person must correct.
func wrong() []run.Outcome {
	return []run.Outcome{run.OutcomeFailed, run.OutcomeConflict, run.OutcomeImpossible}
}

// next is what happens next, or what to do.
func (r *request) next(made run.Run, a actions) string {
	switch {
	case made.State == run.StateUploading && !made.Sealed:
		return r.t("runs.next.uploading", made.Rows)
	case made.State == run.StateUploading:
		return r.t("runs.next.planning")
	case (made.State == run.StatePlanned || made.State == run.StateHeld) && r.ui.now().After(made.Plan.Until):
		return r.t("runs.next.expired")
	case made.State == run.StatePlanned && made.Plan.Calls() == 0:
		return r.t("runs.next.nothing")
	case made.State == run.StatePlanned && len(made.Plan.Objections()) > 0:
		return r.t("runs.next.objects")
	case made.State == run.StatePlanned:
		return r.t("runs.next.apply", num(made.Plan.Calls()))
	case made.State == run.StateHeld && a.OwnRun:
		return r.t("runs.next.other")
	case made.State == run.StateHeld && !a.Approve:
		return r.t("runs.next.approver", r.t("role."+string(access.Approver)))
	case made.State == run.StateHeld:
		return r.t("runs.next.approve")
	case made.State == run.StatePaused:
		return r.t("runs.next.paused")
	case made.State == run.StateDone && toCorrect(made) > 0:
		return r.t("runs.next.correct", num(toCorrect(made)))
	}
	return ""
}

// progress is how far an applied run is.
func (r *request) progress(made run.Run) *progressData {
	p := &progressData{Done: done(made), Of: made.Rows}
	for _, o := range run.Outcomes() {
		if n := made.Outcomes[o]; n > 0 {
			p.Counts = append(p.Counts, countLine{
				Word: string(o), Text: r.t("runs.outcome." + string(o)), Meaning: r.t("runs.outcome." + string(o) + ".about"), Rows: n,
				To: rowsAddress(made.ID, url.Values{"show": {showResults}, "outcome": {string(o)}}),
			})
		}
	}
	open := made.Outcomes[run.OutcomeWaiting] + made.Outcomes[run.OutcomeOpen]
	if calls := made.Plan.Calls(); made.State.Sends() && calls > 0 && open > 0 {
		p.Left = time.Duration(float64(made.Plan.Seconds) * float64(open) / float64(calls) * float64(time.Second))
	}
	switch {
	case made.State != run.StateCanary:
	case made.Progress != "":
		p.Canary = r.translated(made.Progress)
	case made.Settings.CanaryChats:
		p.Canary = r.t("runs.canary.chats")
	default:
		p.Canary = r.t("runs.canary.rows")
	}
	return p
}

// planData is the summary of a plan.
type planData struct {
	*run.Plan

	Counts []countLine
	Guards []guardLine
	Costs  []costLine
	Takes  time.Duration
	Short  string // of the digest
	Over   bool   // it is valid no longer
}

// guardLine is a guard that objects.
type guardLine struct {
	run.Guard

	Text   string
	Accept string // what accepts it
	Rows   string
}

// costLine is what the plan spends of a month.
type costLine struct {
	run.Cost

	Warn bool
	Day  string // on which the month runs out; empty: it suffices
}

func (r *request) plan(made run.Run) *planData {
	p := &planData{
		Plan: made.Plan, Takes: time.Duration(made.Plan.Seconds) * time.Second,
		Short: made.Plan.Digest[:min(8, len(made.Plan.Digest))], Over: r.ui.now().After(made.Plan.Until),
	}
	for _, d := range run.Decisions() {
		if n := made.Plan.Counts[d]; n > 0 {
			p.Counts = append(p.Counts, countLine{
				Word: string(d), Text: r.t("runs.decision." + string(d)), Meaning: r.t("runs.decision." + string(d) + ".about"), Rows: n,
				To: rowsAddress(made.ID, url.Values{"show": {showPlan}, "decision": {string(d)}}),
			})
		}
	}
	for _, g := range made.Plan.Guards {
		p.Guards = append(p.Guards, guardLine{Guard: g, Text: r.translated(g.What), Accept: r.accepts(g), Rows: r.rowsOf(g)})
	}
	for _, c := range made.Plan.Costs {
		l := costLine{Cost: c, Warn: c.Bounded && !c.RunsOut.IsZero()}
		if l.Warn {
			l.Day = c.RunsOut.In(pace.Shanghai).Format(time.DateOnly)
		}
		p.Costs = append(p.Costs, l)
	}
	return p
}

// accepts is what accepts the find of a guard.
func (r *request) accepts(g run.Guard) string {
	return cmp.Or(r.hint("runs.guard."+g.Name), r.t("runs.guard.other"))
}

// rowsOf lists the first rows of a guard, by their lines where these are known.
func (r *request) rowsOf(g run.Guard) string {
	switch {
	case len(g.Lines) == 1:
		return r.t("runs.guard.line", joined(g.Lines))
	case len(g.Lines) > 1:
		return r.t("runs.guard.lines", joined(g.Lines))
	case len(g.Rows) == 1:
		return r.t("runs.guard.row", joined(g.Rows))
	case len(g.Rows) > 1:
		return r.t("runs.guard.rows", joined(g.Rows))
	}
	return ""
}

// masker is how the user sees names and ids of people.
func (r *request) masker() runview.Masker { return runview.Masker{Shown: r.User.Names} }

// obstacles are what holds a run back, in words.
func (u *UI) obstacles(r *request, made run.Run) []string {
	state := u.state.State(r.Context())
	if state.Read.IsZero() {
		return nil
	}
	var all []string
	for _, part := range made.Plan.Lanes {
		name := registry.Queue(part.Tenant, part.Kind, false)
		i := slices.IndexFunc(state.Lanes.Lanes, func(l overview.Lane) bool { return l.Name() == name })
		switch {
		case part.Calls == 0:
		case i < 0:
			all = append(all, r.t("runs.held.none", name))
		default:
			for _, h := range state.Lanes.Lanes[i].Holds {
				key := "runs.held.lane"
				if h.Bulk {
					key = "runs.held.bulk"
				}
				all = append(all, strings.TrimSpace(r.t(key, name, r.clock(h.Since), r.why(h))+" "+r.holdNext(h)))
			}
		}
	}
	return all
}
