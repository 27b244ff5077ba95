package api

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/go-json-experiment/json"

	"rollcall/internal/access"
	"rollcall/internal/problem"
	"rollcall/internal/run"
	"rollcall/internal/runview"
	"rollcall/internal/table"
	"rollcall/internal/wire"
)

// Page selects a page of the rows of a run.
type Page struct {
	After int `doc:"Number of the row before the first: next of the last page" maximum:"1000000"             minimum:"0"    query:"after"`
	Limit int `default:"200"                                                   doc:"Rows of a page, at most" maximum:"1000" minimum:"1"   query:"limit"`
	// Columns doubles the length of a page.
	Columns bool `doc:"Also return each row as the columns of a file" query:"columns"`
}

// scanned bounds how many rows a page reads: with a filter, few of them may be in it.
const scanned = 50_000

// rows is the page of rows that is wanted.
func (p Page) rows() runview.Page { return runview.Page{Limit: p.Limit, Scan: scanned} }

type resultsInput struct {
	RunPath
	Page

	Outcome []string `doc:"Only rows with these outcomes, separated by commas" enum:"waiting,open,applied,unchanged,superseded,failed,cancelled,conflict,impossible,excluded"                                                          nullable:"false"            query:"outcome"`
	Format  string   `default:"json"                                           doc:"json is a page. The others are all rows, with the columns of the upload, so that they can be corrected and sent again: they need the scope names." enum:"json,ndjson,csv,xlsx" query:"format"`
}

type resultsOutput struct {
	ContentType string `header:"Content-Type"`
	Disposition string `doc:"Name of a file"  header:"Content-Disposition"`
	Body        func(huma.Context)
}

func (a *API) registerResults() {
	op := huma.Operation{
		OperationID: "get-results", Method: http.MethodGet, Path: "/v1/runs/{id}/results", Tags: []string{"Runs"},
		Summary: "Read what became of each row", Description: "Also while the run is applied. The formats ndjson, csv and xlsx stream all rows; a response that was cut has no end: read it again.",
	}
	register(a, op, []access.Scope{access.Read, access.Enqueue}, a.getResults)
	doc := a.huma.OpenAPI()
	documented := doc.Paths[op.Path].Get.Responses["200"]
	delete(documented.Headers, "Content-Type")
	documented.Content = map[string]*huma.MediaType{
		typeJSON:             {Schema: schemaOf[wire.ResultPage](doc)},
		table.NDJSON.Media(): {},
		table.CSV.Media():    {Schema: &huma.Schema{Type: huma.TypeString}},
		table.XLSX.Media():   {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
	}
}

func (a *API) getResults(ctx context.Context, c caller, in *resultsInput) (*resultsOutput, error) {
	r, err := a.visible(ctx, c, in.ID, access.Read)
	if err != nil {
		return nil, err
	}
	if in.Format != "json" {
		return a.resultFile(ctx, c, r, in)
	}
	var page wire.ResultPage
	advice, err := runview.ReadAdvice(ctx, a.ledger, r)
	if err != nil {
		return nil, err
	}
	m := c.masker()
	results := a.runs.ResultsAfter(ctx, in.ID, in.After, runview.Outcomes(in.Outcome)...)
	page.Next, err = runview.Read(ctx, in.rows(), results, numberOfResult, func(row run.Result) bool {
		if !c.mayRow(row.Row) {
			return false
		}
		shown := m.result(advice.Add(row))
		if in.Columns {
			shown.Columns = m.columns(row.Row)
		}
		page.Rows = append(page.Rows, shown)
		return true
	})
	if err != nil {
		return nil, err
	}
	return &resultsOutput{ContentType: typeJSON, Body: func(hc huma.Context) { _ = json.MarshalWrite(hc.BodyWriter(), page) }}, nil
}

// resultFile streams all results in the columns of the upload.
func (a *API) resultFile(ctx context.Context, c caller, r run.Run, in *resultsInput) (*resultsOutput, error) {
	if !c.May(access.Names) {
		return nil, problem.New(problem.Names, "files of results are never masked: the token needs the scope names")
	}
	if r.Plan == nil {
		return nil, problem.New(problem.State, fmt.Sprintf("cannot read the results of run %s: it has no plan yet", r.ID))
	}
	advice, err := runview.ReadAdvice(ctx, a.ledger, r)
	if err != nil {
		return nil, err
	}
	format, only := table.Format(strings.ToUpper(in.Format)), runview.Outcomes(in.Outcome)
	file, media := runview.File{Format: format, Columns: runview.Columns(r.Plan)}, format.Media()
	if format == table.CSV {
		media += "; charset=utf-8"
	}
	write := func(hc huma.Context) {
		_, w := humago.Unwrap(hc)
		if err := file.Write(w, advice.All(a.allowedRows(ctx, c, r.ID, only), time.UTC)); err != nil {
			a.log.Warn("results not written to the end", "run", r.ID, "err", err)
			panic(http.ErrAbortHandler) // the client must not take a part for the whole
		}
	}
	return &resultsOutput{ContentType: media, Disposition: fmt.Sprintf("attachment; filename=%q", "rollcall-"+r.ID+"."+in.Format), Body: write}, nil
}

// allowedRows are the results of the rows that the caller may see.
func (a *API) allowedRows(ctx context.Context, c caller, id string, only []run.Outcome) iter.Seq2[run.Result, error] {
	return func(yield func(run.Result, error) bool) {
		for row, err := range a.runs.ResultsAfter(ctx, id, 0, only...) {
			if err == nil && !c.mayRow(row.Row) {
				continue
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

func numberOfResult(r run.Result) int { return r.Number }
