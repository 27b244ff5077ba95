package api

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/go-json-experiment/json"

	"rollcall/internal/access"
	"rollcall/internal/roster"
	"rollcall/internal/run"
	"rollcall/internal/sheet"
	"rollcall/internal/table"
)

// Page selects a page of the rows of a run.
type Page struct {
	After int `doc:"Number of the row before the first: next of the last page" maximum:"1000000"             minimum:"0"    query:"after"`
	Limit int `default:"200"                                                   doc:"Rows of a page, at most" maximum:"1000" minimum:"1"   query:"limit"`
}

// scanned bounds how many rows a page reads: with a filter, few of them may be in it.
const scanned = 50_000

// read takes rows until the page is full. next is the last row that was read; 0: there are
// no more.
func (p Page) read(ctx context.Context, rows iter.Seq2[int, error], taken func() int) (next int, err error) {
	read := 0
	for number, err := range rows {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return 0, err
		}
		if read++; taken() >= p.Limit || read >= scanned {
			return number, nil
		}
	}
	return 0, nil
}

type resultsInput struct {
	RunPath
	Page

	Outcome []string `doc:"Only rows with these outcomes, separated by commas" enum:"waiting,open,applied,unchanged,superseded,failed,cancelled,conflict,impossible,excluded"                                                          nullable:"false"            query:"outcome"`
	Format  string   `default:"json"                                           doc:"json is a page. The others are all rows, with the columns of the upload, so that they can be corrected and sent again: they need the scope names." enum:"json,ndjson,csv,xlsx" query:"format"`
}

// ResultPage is a page of results.
type ResultPage struct {
	Rows []ResultRow `json:"rows"                                                       nullable:"false"`
	Next int         `doc:"Value of after for the next page; missing: this is the last" json:"next,omitzero"`
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
		typeJSON:   {Schema: schemaOf[ResultPage](doc)},
		typeNDJSON: {},
		typeCSV:    {Schema: &huma.Schema{Type: huma.TypeString}},
		typeXLSX:   {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
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
	var page ResultPage
	only, m := set(in.Outcome), c.masker()
	page.Next, err = in.read(ctx, func(yield func(int, error) bool) {
		for row, err := range a.runs.ResultsAfter(ctx, in.ID, in.After) {
			if err == nil && c.mayRow(row.Row) && (len(only) == 0 || only[string(row.Outcome)]) {
				page.Rows = append(page.Rows, m.result(row))
			}
			if !yield(row.Number, err) {
				return
			}
		}
	}, func() int { return len(page.Rows) })
	if err != nil {
		return nil, err
	}
	return &resultsOutput{ContentType: typeJSON, Body: func(hc huma.Context) { _ = json.MarshalWrite(hc.BodyWriter(), page) }}, nil
}

// formats are those of files of results.
func formats() map[string]struct {
	format table.Format
	media  string
} {
	return map[string]struct {
		format table.Format
		media  string
	}{"ndjson": {table.NDJSON, typeNDJSON}, "csv": {table.CSV, typeCSV + "; charset=utf-8"}, "xlsx": {table.XLSX, typeXLSX}}
}

// resultFile streams all results in the columns of the upload.
func (a *API) resultFile(ctx context.Context, c caller, r run.Run, in *resultsInput) (*resultsOutput, error) {
	if !c.May(access.Names) {
		return nil, newProblem(problemNames, "files of results are never masked: the token needs the scope names")
	}
	if r.Plan == nil {
		return nil, newProblem(problemState, fmt.Sprintf("cannot read the results of run %s: it has no plan yet", r.ID))
	}
	of, columns, only := formats()[in.Format], columnsOf(r.Plan), set(in.Outcome)
	write := func(hc huma.Context) {
		_, w := humago.Unwrap(hc)
		if err := a.writeResults(ctx, c, w, r.ID, of.format, columns, only); err != nil {
			a.log.Warn("results not written to the end", "run", r.ID, "err", err)
			panic(http.ErrAbortHandler) // the client must not take a part for the whole
		}
	}
	return &resultsOutput{ContentType: of.media, Disposition: fmt.Sprintf("attachment; filename=%q", "rollcall-"+r.ID+"."+in.Format), Body: write}, nil
}

// columnsOf are the columns of a file with the rows of a plan.
func columnsOf(p *run.Plan) []string {
	all := roster.CommonColumns()
	for _, l := range p.Lanes {
		for _, column := range roster.Columns(l.Kind) {
			if !slices.Contains(all, column) {
				all = append(all, column)
			}
		}
	}
	return roster.Order(all)
}

func (a *API) writeResults(ctx context.Context, c caller, w io.Writer, id string, format table.Format, columns []string, only map[string]bool) error {
	out, err := sheet.NewStream(w, format, slices.Concat(columns, run.ResultColumns(false)))
	if err != nil {
		return err
	}
	for row, err := range a.runs.ResultsAfter(ctx, id, 0) {
		if err != nil {
			return err
		}
		if !c.mayRow(row.Row) || len(only) > 0 && !only[string(row.Outcome)] {
			continue
		}
		var cells []string
		of := roster.Cells(row.Request, row.Previous)
		for _, column := range columns {
			cells = append(cells, of[column])
		}
		row.At = row.At.UTC()
		if err := out.Row(append(cells, run.ResultCells(row, false)...)); err != nil {
			return err
		}
	}
	return out.Close()
}
