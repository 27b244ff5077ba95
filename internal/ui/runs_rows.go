package ui

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/advice"
	"rollcall/internal/run"
	"rollcall/internal/runview"
)

// What the rows on the page of a run show.
const (
	showPlan    = "plan"
	showResults = "results"
	showUndo    = "undo"
)

const (
	// rowsOnPage is how many rows a page shows: with a filter, each may be in a block of its
	// own, which costs a command.
	rowsOnPage = 30
	// rowsRead is how many rows a page reads for them: 16 blocks.
	rowsRead = 4096
)

// rowsData are the rows on the page of a run.
type rowsData struct {
	Show    string
	Tabs    []choice
	Filters []countLine
	Rows    []rowLine
	// First is the address of the first page; empty: this is it. Next is that of the next one;
	// empty: there are no more.
	First, Next string
	After       int
	// Few says that the page is not full because many rows were read that are not wanted.
	Few     bool
	Exclude bool // rows can be crossed out
	Masked  bool
	Filter  string
}

// rowLine is a row of a plan, of the results, or of the verification of an undo.
type rowLine struct {
	Number, Line int
	Word         badge
	Place        runview.Place
	Changes      []changeLine
	Why          string // the reason
	Said         string // the message of the platform, instead of a reason
	Look         string // why a person should look at it
	Out          bool   // it can be crossed out
	Undoable     bool

	Code, Class, Advice, RequestID string
	At                             time.Time
}

// changeLine is a value before and after.
type changeLine struct {
	Field    string // empty: the row has one value
	Old, New string
	Known    bool
	Stated   bool
	Same     bool
}

// fillRows reads the rows of the page.
func (u *UI) fillRows(r *request, d *runData) error {
	q := r.URL.Query()
	after, _ := strconv.Atoi(q.Get("after"))
	d.Rows = &rowsData{Show: q.Get("show"), After: max(after, 0), Masked: !r.User.Names}
	all := []string{showPlan}
	if d.Progress != nil {
		all = []string{showResults, showPlan}
	}
	if d.Run.UndoOf != "" {
		all = append(all, showUndo)
	}
	if !slices.Contains(all, d.Rows.Show) {
		d.Rows.Show = all[0]
	}
	for _, tab := range all {
		d.Rows.Tabs = append(d.Rows.Tabs, choice{Value: rowsAddress(d.Run.ID, url.Values{"show": {tab}}), Text: r.t("runs.show." + tab), Chosen: tab == d.Rows.Show})
	}
	filter, read := "decision", u.planned
	switch d.Rows.Show {
	case showResults:
		filter, read = "outcome", u.results
	case showUndo:
		filter, read = "verdict", u.verified
	}
	query := url.Values{"show": {d.Rows.Show}}
	if d.Rows.Filter = q.Get(filter); d.Rows.Filter != "" {
		query.Set(filter, d.Rows.Filter)
	}
	if d.Rows.After > 0 {
		d.Rows.First = rowsAddress(d.Run.ID, query)
	}
	next, err := read(r, d, query)
	if err != nil {
		return err
	}
	if next > 0 {
		query.Set("after", strconv.Itoa(next))
		d.Rows.Next = rowsAddress(d.Run.ID, query)
	}
	d.Rows.Few = next > 0 && len(d.Rows.Rows) < rowsOnPage
	if r.User.Names && len(d.Rows.Rows) > 0 {
		u.noteNames(r, d.Run.ID)
	}
	return nil
}

// planned reads rows of the plan.
func (u *UI) planned(r *request, d *runData, _ url.Values) (next int, err error) {
	rows := d.Rows
	rows.Exclude = d.Actions.Exclude
	rows.Filters = d.Plan.Counts
	if n := d.Run.Plan.Suspicious; n > 0 {
		rows.Filters = append(slices.Clone(rows.Filters), countLine{
			Word: lookAt, Text: r.t("runs.look"), Rows: n, To: rowsAddress(d.Run.ID, url.Values{"show": {showPlan}, "decision": {lookAt}}),
		})
	}
	page, number := runview.Page{Limit: rowsOnPage, Scan: rowsRead}, func(p run.Planned) int { return p.Number }
	return runview.Read(r.Context(), page, u.runs.RowsAfter(r.Context(), d.Run.ID, rows.After), number, func(p run.Planned) bool {
		if rows.Filter == lookAt && (p.Suspicious == "" || !p.Decision.Calls()) || rows.Filter != "" && rows.Filter != lookAt && rows.Filter != string(p.Decision) {
			return false
		}
		rows.Rows = append(rows.Rows, r.plannedLine(p, rows.Exclude))
		return true
	})
}

// lookAt is the filter for rows that a person should look at.
const lookAt = "look"

func (r *request) plannedLine(p run.Planned, exclude bool) rowLine {
	m := r.masker()
	l := r.rowLine(p.Number, p.Row, p.Values)
	l.Word = r.decisionBadge(p.Decision)
	l.Why, l.Look = m.Words(p.Row, r.translated(p.Why)), m.Words(p.Row, r.translated(p.Suspicious))
	l.Undoable = p.Undoable
	l.Out = exclude && p.Decision != run.RowExcluded && p.Decision != run.RowImpossible
	return l
}

func (r *request) rowLine(number int, row run.Row, values []run.Value) rowLine {
	m := r.masker()
	l := rowLine{Number: number, Line: row.Line, Place: m.Place(row)}
	changes := m.Changes(row, values)
	for _, c := range changes {
		line := changeLine{Old: c.Old, New: c.New, Known: c.Known, Stated: c.Stated, Same: c.Known && c.Old == c.New}
		if runview.Several(changes) {
			line.Field = r.field(c.Field)
		}
		if c.New == runview.ConsoleNames {
			line.New = r.t("runs.console")
		}
		l.Changes = append(l.Changes, line)
	}
	return l
}

// field is the name of a field of a target in the user's language.
func (r *request) field(name string) string {
	return cmp.Or(r.hint("runs.field."+name), runview.Head(strings.TrimPrefix(name, "options."), r.Lang == chinese))
}

func (r *request) decisionBadge(d run.Decision) badge {
	class := "quiet"
	switch d {
	case run.RowChange, run.RowNew:
		class = "ok"
	case run.RowConflict, run.RowImpossible:
		class = "warn"
	case run.RowUnchanged, run.RowExcluded:
	}
	return badge{class, r.t("runs.decision." + string(d))}
}

func (r *request) outcomeBadge(o run.Outcome) badge {
	class := "quiet"
	switch o {
	case run.OutcomeApplied:
		class = "ok"
	case run.OutcomeFailed:
		class = "bad"
	case run.OutcomeConflict, run.OutcomeImpossible:
		class = "warn"
	case run.OutcomeWaiting, run.OutcomeOpen, run.OutcomeUnchanged, run.OutcomeSuperseded, run.OutcomeCancelled, run.OutcomeExcluded:
	}
	return badge{class, r.t("runs.outcome." + string(o))}
}

// results reads results of rows.
func (u *UI) results(r *request, d *runData, _ url.Values) (next int, err error) {
	rows := d.Rows
	rows.Filters = d.Progress.Counts
	var only []run.Outcome
	if rows.Filter != "" {
		only = []run.Outcome{run.Outcome(rows.Filter)}
	}
	advice, err := runview.ReadAdvice(r.Context(), u.ledger, d.Run)
	if err != nil {
		return 0, err
	}
	page, number := runview.Page{Limit: rowsOnPage, Scan: rowsRead}, func(p run.Result) int { return p.Number }
	return runview.Read(r.Context(), page, u.runs.ResultsAfter(r.Context(), d.Run.ID, rows.After, only...), number, func(p run.Result) bool {
		rows.Rows = append(rows.Rows, r.resultLine(advice.Add(p)))
		return true
	})
}

func (r *request) resultLine(p run.Result) rowLine {
	m := r.masker()
	l := r.rowLine(p.Number, p.Row, p.Values)
	l.Word, l.Code, l.Class, l.At = r.outcomeBadge(p.Outcome), p.Code, p.Class, p.At
	if l.Said = m.Words(p.Row, p.Message); l.Said == "" {
		l.Why = m.Words(p.Row, r.translated(p.Why))
	}
	l.RequestID = m.Words(p.Row, p.RequestID)
	if l.Advice = p.Advice; r.Lang == chinese {
		l.Advice = advice.Chinese(p.Advice)
	}
	return l
}

// verified compares rows of the run that was taken back with what the undo did. The next page
// begins at another row of the undo.
func (u *UI) verified(r *request, d *runData, query url.Values) (next int, err error) {
	rows := d.Rows
	undoAfter, _ := strconv.Atoi(r.URL.Query().Get("row"))
	for _, v := range []run.Verdict{run.VerdictRestored, run.VerdictSkipped, run.VerdictImpossible, run.VerdictOpen, run.VerdictNothing} {
		rows.Filters = append(rows.Filters, countLine{
			Word: string(v), Text: r.t("runs.verdict." + string(v)), To: rowsAddress(d.Run.ID, url.Values{"show": {showUndo}, "verdict": {string(v)}}),
		})
	}
	last := undoAfter
	page, number := runview.Page{Limit: rowsOnPage, Scan: rowsRead}, func(v run.Verified) int { return v.Number }
	next, err = runview.Read(r.Context(), page, u.runs.VerifyAfter(r.Context(), d.Run.ID, rows.After, max(undoAfter, 0)), number, func(v run.Verified) bool {
		last = max(last, v.UndoRow)
		if rows.Filter != "" && rows.Filter != string(v.Verdict) {
			return false
		}
		rows.Rows = append(rows.Rows, r.verifiedLine(v))
		return true
	})
	if next > 0 {
		query.Set("row", strconv.Itoa(last))
	}
	return next, err
}

func (r *request) verifiedLine(v run.Verified) rowLine {
	l := r.rowLine(v.Number, v.Row, v.Values)
	class := map[run.Verdict]string{run.VerdictRestored: "ok", run.VerdictSkipped: "warn", run.VerdictImpossible: "warn"}[v.Verdict]
	l.Word = badge{cmp.Or(class, "quiet"), r.t("runs.verdict." + string(v.Verdict))}
	l.Why, l.RequestID, l.At = r.masker().Words(v.Row, r.translated(v.Why)), r.masker().Words(v.Row, v.RequestID), v.At
	return l
}

// joined lists numbers.
func joined(numbers []int) string {
	parts := make([]string, len(numbers))
	for i, n := range numbers {
		parts[i] = strconv.Itoa(n)
	}
	return strings.Join(parts, ", ")
}
