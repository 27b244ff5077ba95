package ui

import (
	"cmp"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"rollcall/internal/access"
	"rollcall/internal/audit"
	"rollcall/internal/hold"
	"rollcall/internal/run"
	"rollcall/internal/table"
)

// uploadsAtOnce bounds the files that one process reads at the same time: each costs a core.
const uploadsAtOnce = 4

// runsRoutes registers the pages of runs.
func (u *UI) runsRoutes() {
	u.handle("GET /runs", access.Viewer, u.runsPage)
	u.handle("GET /runs/new", access.Operator, u.newRunPage)
	u.handleUpTo("POST /runs/new", access.Operator, table.MaxSize+mostForm, u.makeRun)
	u.handle("GET /examples/{kind}", access.Operator, u.exampleFile)
	u.handle("GET /runs/{id}", access.Viewer, u.runPage)
	u.handle("GET /runs/{id}/download", access.Viewer, u.downloadResults)
	u.handle("GET /runs/{id}/correct", access.Operator, u.correctPage)
	u.handle("POST /runs/{id}/correct", access.Operator, u.resend)
	u.handle("POST /runs/{id}/exclude", access.Operator, u.excludeRows)
	for _, s := range u.steps() {
		u.handle("POST /runs/{id}/"+s.name, s.role, func(r *request) (view, error) { return u.step(r, s) })
	}
}

// Close ends plans that are being made. The next one that needs such a plan begins it again.
func (u *UI) Close() { u.planner.Close() }

// explainRun returns what a user can do about an error of a run.
func (r *request) explainRun(err error) error {
	if _, ok := errors.AsType[*run.NotFoundError](err); ok {
		return errNotFound
	}
	if e, ok := errors.AsType[*run.StateError](err); ok {
		return &userError{key: "runs.error.state", args: []any{r.t("runs.state." + string(e.State))}, status: http.StatusConflict}
	}
	if _, ok := errors.AsType[*run.DigestError](err); ok {
		return &userError{key: "runs.error.digest", status: http.StatusConflict}
	}
	if _, ok := errors.AsType[*run.BusyError](err); ok {
		return &userError{key: "runs.error.busy", status: http.StatusConflict}
	}
	if e, ok := errors.AsType[*run.ApproverError](err); ok {
		return &userError{key: "runs.error.approver", args: []any{e.Author}, status: http.StatusForbidden}
	}
	return err
}

// noteRun records what a user did to a run. The reason is for people.
func (u *UI) noteRun(r *request, did, id, reason string) {
	by := r.User.By()
	u.log.Info("run changed on the pages", "did", did, "run", id, "user", by)
	err := audit.Write(r.Context(), u.rdb, audit.Event{
		Event: "run." + did, Level: "run", Name: id, Class: string(hold.Operator), Reason: reason, By: by,
	})
	if err != nil {
		u.log.Warn("change of a run not among the events", "did", did, "run", id, "user", by, "err", err)
	}
}

const (
	// runsOnPage is how many runs the list shows, and runsRead how many it reads for them.
	runsOnPage, runsRead = 20, 40
)

// runsList is what the list of runs shows.
type runsList struct {
	Runs   []runLine
	State  string
	Name   string
	Tenant string
	States []choice
	// Next is the address of the page of older runs; empty: this is the last. Previous is that
	// of newer ones. Looked says that the page has fewer runs because others that were read do
	// not match.
	Next, Previous string
	Looked         bool
	First          bool // nothing is filtered, and it is the first page
}

// choice is an option of a list.
type choice struct {
	Value, Text string
	Chosen      bool
}

// choices lists values in their order, each once.
func choices(values []string, chosen string) []choice {
	var all []choice
	for _, value := range slices.Compact(slices.Sorted(slices.Values(values))) {
		all = append(all, choice{value, value, value == chosen})
	}
	return all
}

// runLine is a run of the list.
type runLine struct {
	run.Run

	Label string
	State badge
	// Of is how many rows are sent, Done how many were; Of is 0 if that is not known.
	Done, Of int
	Failed   int
}

func (u *UI) runsPage(r *request) (view, error) {
	q := r.URL.Query()
	list := runsList{State: q.Get("state"), Name: q.Get("name"), Tenant: q.Get("tenant")}
	f := run.Filter{Name: list.Name, Tenant: list.Tenant, N: runsOnPage}
	if slices.Contains(run.States(), run.State(list.State)) {
		f.States = []run.State{run.State(list.State)}
	}
	f.Before, _ = time.Parse(time.RFC3339Nano, q.Get("before"))
	f.After, _ = time.Parse(time.RFC3339Nano, q.Get("after"))
	newest := f.Before.IsZero() && f.After.IsZero()
	list.First = newest && f.States == nil && f.Name == "" && f.Tenant == ""
	found, next, err := u.runs.Page(r.Context(), f, runsRead)
	if err != nil {
		return view{}, err
	}
	for _, made := range found {
		list.Runs = append(list.Runs, r.runLine(made))
	}
	list.Looked = !next.IsZero() && len(found) < runsOnPage
	list.Previous, list.Next = besides(q, f, found, next)
	list.States = append(list.States, choice{Text: r.t("runs.filter.any")})
	for _, s := range run.States() {
		list.States = append(list.States, choice{Value: string(s), Text: r.t("runs.state." + string(s)), Chosen: string(s) == list.State})
	}
	v := show("runs.html", "runs.title", list)
	if newest {
		v = v.list()
	}
	return v, nil
}

// besides returns the addresses of the pages of newer and of older runs. next is that of
// [run.Service.Page].
func besides(q url.Values, f run.Filter, found []run.Run, next time.Time) (newer, older string) {
	q = maps.Clone(q)
	address := func(name string, at time.Time) string {
		q.Del("before")
		q.Del("after")
		q.Set(name, at.UTC().Format(time.RFC3339Nano))
		return "/runs?" + q.Encode()
	}
	switch {
	case !f.After.IsZero():
		if !next.IsZero() {
			newer = address("after", next)
		}
		return newer, address("before", f.After.Add(time.Microsecond))
	case !f.Before.IsZero() && len(found) > 0:
		newer = address("after", found[0].Created)
	case !f.Before.IsZero():
		newer = address("after", f.Before.Add(-time.Microsecond))
	}
	if !next.IsZero() {
		older = address("before", next)
	}
	return newer, older
}

func (r *request) runLine(made run.Run) runLine {
	l := runLine{Run: made, Label: r.label(made), State: r.stateBadge(made), Failed: made.Outcomes[run.OutcomeFailed]}
	switch {
	case made.State.Ended() && made.Outcomes != nil:
		l.Done, l.Of = done(made), made.Rows
	case made.State.Applied() && made.Plan != nil:
		l.Done, l.Of = made.Fed, made.Plan.Calls()
	}
	return l
}

// label names a run for a person: by its name, its file, or the run that it takes back.
func (r *request) label(made run.Run) string {
	switch {
	case made.Name != "":
		return made.Name
	case made.UndoOf != "":
		return r.t("runs.undo.of", cmp.Or(made.File.Name, made.UndoOf))
	case made.File.Name != "":
		return made.File.Name
	}
	return made.ID
}

// done counts the rows that have ended.
func done(made run.Run) int {
	n := 0
	for o, rows := range made.Outcomes {
		if o.Final() {
			n += rows
		}
	}
	return n
}

// stateBadge is the word for the state of a run. One whose rows failed is no success.
func (r *request) stateBadge(made run.Run) badge {
	b := badge{Text: r.t("runs.state." + string(made.State))}
	switch made.State {
	case run.StateDone:
		if b.Class = "ok"; made.Outcomes[run.OutcomeFailed] > 0 {
			b.Class = "warn"
		}
	case run.StateHeld, run.StatePaused:
		b.Class = "warn"
	case run.StateDamaged:
		b.Class = "bad"
	case run.StateCanary, run.StateApplying:
		b.Class = "ok"
	case run.StateUploading, run.StatePlanned, run.StateCancelled, run.StateRejected, run.StateExpired:
		b.Class = "quiet"
	}
	if made.State == run.StateUploading && made.Sealed {
		b.Text = r.t("runs.state.planning")
	}
	return b
}

// runAddress is the address of the page of a run.
func runAddress(id string) string { return "/runs/" + url.PathEscape(id) }

// rowsAddress is the address of rows on it.
func rowsAddress(id string, query url.Values) string {
	return runAddress(id) + "?" + query.Encode() + "#rows"
}
