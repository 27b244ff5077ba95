package ui

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"

	"rollcall/internal/intake"
	"rollcall/internal/kinds"
	"rollcall/internal/roster"
	"rollcall/internal/run"
	"rollcall/internal/runview"
	"rollcall/internal/table"
	"rollcall/tasks"
)

// mostCorrected is how many rows can be corrected on a page; more are corrected in a file.
const mostCorrected = 20

// correction is the form with rows to correct.
type correction struct {
	Run     run.Run
	Label   string
	Rows    []correctedRow
	Many    bool // there are more rows than a page takes
	Lost    int  // rows that could not be read: only the file has their values
	Problem string
	Formats []choice
	Failed  int
}

// correctedRow is a row of the form.
type correctedRow struct {
	rowLine

	Send     bool
	Cells    []correctedCell
	Problems []roster.Problem

	hidden []correctedCell // common columns, which are not corrected
}

// correctedCell is a cell of a row, by its column.
type correctedCell struct{ Name, Column, Head, Value string }

func (u *UI) correctPage(r *request) (view, error) {
	c, err := u.correction(r)
	if err != nil {
		return view{}, err
	}
	return show("run_correct.html", "runs.correct.title", c), nil
}

// correction reads the rows that a person must correct.
func (u *UI) correction(r *request) (*correction, error) {
	made, err := u.loadRun(r)
	if err != nil {
		return nil, err
	}
	if !r.User.Names {
		return nil, &userError{key: "runs.error.names", status: http.StatusForbidden}
	}
	if made.Plan == nil || made.Applied.IsZero() {
		return nil, errNotFound
	}
	c := &correction{Run: made, Label: r.label(made), Failed: toCorrect(made), Formats: r.resultFiles(made).Formats}
	if c.Many = c.Failed > mostCorrected; c.Many {
		return c, nil
	}
	advice, err := runview.ReadAdvice(r.Context(), u.ledger, made)
	if err != nil {
		return nil, err
	}
	// Failed rows are found at once, the others by reading all rows.
	for _, some := range [][]run.Outcome{{run.OutcomeFailed}, {run.OutcomeConflict, run.OutcomeImpossible}} {
		wanted := 0
		for _, o := range some {
			wanted += made.Outcomes[o]
		}
		if wanted == 0 {
			continue
		}
		page, number := runview.Page{Limit: mostCorrected, Scan: rowsRead}, func(p run.Result) int { return p.Number }
		next, err := runview.Read(r.Context(), page, u.runs.ResultsAfter(r.Context(), made.ID, 0, some...), number, func(p run.Result) bool {
			wanted--
			if p.Request.Task == nil {
				c.Lost++
				return true
			}
			c.Rows = append(c.Rows, r.correctedRow(advice.Add(p)))
			return true
		})
		if err != nil {
			return nil, r.explainRun(err)
		}
		c.Many = c.Many || next > 0 && wanted > 0
	}
	slices.SortFunc(c.Rows, func(a, b correctedRow) int { return cmp.Compare(a.Number, b.Number) })
	u.noteNames(r, made.ID)
	return c, nil
}

func (r *request) correctedRow(p run.Result) correctedRow {
	row := correctedRow{rowLine: r.resultLine(p), Send: true}
	cells := roster.Cells(p.Request, p.Previous)
	// The key is that of a task that was stored. A corrected row is another one.
	delete(cells, "key")
	for _, column := range roster.CommonColumns() {
		if value := cells[column]; value != "" {
			row.hidden = append(row.hidden, r.correctedCell(p.Number, column, value))
		}
	}
	_, kind := p.Request.Task.Lane()
	k, _ := kinds.Named(kind)
	for _, column := range k.Columns {
		if cells[column.Name] != "" || column.Needed {
			row.Cells = append(row.Cells, r.correctedCell(p.Number, column.Name, cells[column.Name]))
		}
	}
	return row
}

func (r *request) correctedCell(number int, column, value string) correctedCell {
	return correctedCell{Name: strconv.Itoa(number) + "." + column, Column: column, Head: runview.Head(column, r.Lang == chinese), Value: value}
}

// resend makes a run of corrected rows, and plans it.
func (u *UI) resend(r *request) (view, error) {
	c, err := u.correction(r)
	if err != nil {
		return view{}, err
	}
	var rows []roster.Row
	judge, refused := intake.NewJudge(u.producer, tasks.Limits{}), 0
	for i := range c.Rows {
		row := &c.Rows[i]
		if row.Send = slices.Contains(r.PostForm["row"], strconv.Itoa(row.Number)); !row.Send {
			continue
		}
		read, err := u.readCorrected(r, row)
		if err != nil {
			return view{}, err
		}
		rows = append(rows, read)
		if refusal := judge(r.Context(), read); intake.IsFault(refusal) {
			return view{}, refusal
		} else if refusal != nil {
			refused++
			row.Problems = read.Explain(refusal)
		}
	}
	switch {
	case len(rows) == 0:
		return u.again(c, r.t("runs.correct.none")), nil
	case refused > 0:
		return u.again(c, r.t("runs.correct.invalid", refused)), nil
	}
	draft := run.Draft{Name: c.Run.Name, Author: r.User.By(), Settings: c.Run.Settings, File: c.Run.File}
	draft.Settings.Allowed = nil // they were of other rows
	made, err := u.store(r.Context(), &newRun{}, draft, func(yield func(roster.Row, error) bool) {
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	})
	if err != nil {
		return view{}, err
	}
	u.noteRun(r, "corrected", made.ID, "rows of run "+c.Run.ID)
	u.awaitPlan(r.Context(), made.ID)
	return seeOther(runAddress(made.ID), "runs.did.corrected", len(rows)), nil
}

// readCorrected reads a row of the form. Cells that the form does not show are those of the run.
func (u *UI) readCorrected(r *request, row *correctedRow) (roster.Row, error) {
	record := table.Record{Line: cmp.Or(row.Line, row.Number)}
	for _, c := range row.hidden {
		record.Names, record.Cells = append(record.Names, c.Column), append(record.Cells, c.Value)
	}
	for i := range row.Cells {
		c := &row.Cells[i]
		if sent, ok := r.PostForm[c.Name]; ok {
			c.Value = sent[0]
		}
		record.Names, record.Cells = append(record.Names, c.Column), append(record.Cells, c.Value)
	}
	read, err := roster.One(record, roster.Options{Now: u.now()})
	if err != nil {
		return read, &userError{key: "error.form", status: http.StatusBadRequest}
	}
	return read, nil
}

// again shows the form with what is wrong.
func (u *UI) again(c *correction, problem string) view {
	c.Problem = problem
	v := show("run_correct.html", "runs.correct.title", c)
	v.status = http.StatusUnprocessableEntity
	return v
}
