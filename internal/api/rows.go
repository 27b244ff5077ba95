package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"rollcall/internal/roster"
	"rollcall/internal/run"
	"rollcall/internal/table"
	"rollcall/internal/upload"
	"rollcall/tasks"
)

// mostErrors bounds the errors of a response.
const mostErrors = 1000

// RowsQuery says how a body of rows is understood.
type RowsQuery struct {
	Tenant   string `doc:"Tenant of all rows"                              maxLength:"39"                                                                                                                                     query:"tenant"`
	Kind     string `doc:"Kind of all rows; default: as the columns say"   enum:"nickname,course,group,id,student"                                                                                                            query:"kind"`
	Chat     string `doc:"Chat of all rows"                                maxLength:"200"                                                                                                                                    query:"chat"`
	Encoding string `doc:"Encoding of the body, if it is detected wrongly" enum:"utf-8,gb18030,utf-16le,utf-16be"                                                                                                             query:"encoding"`
	Sheet    string `doc:"Sheet of a workbook; default: the first"         maxLength:"100"                                                                                                                                    query:"sheet"`
	Invalid  string `default:"refuse"                                      doc:"What becomes of invalid rows. refuse: the request is refused, and none of its rows is stored. keep: they become impossible rows of the plan." enum:"refuse,keep" query:"invalid"`
}

// rows are the rows of a body.
type rows struct {
	file  *roster.File
	judge upload.Judge
	keep  bool // invalid rows become impossible ones
}

// open reads the form of a body of rows.
func (a *API) open(in *spooled, q RowsQuery) (*rows, error) {
	t, err := table.Open(in.input, table.Options{Encoding: q.Encoding, Sheet: q.Sheet})
	if err != nil {
		return nil, unreadable(err)
	}
	file, err := roster.Open(t, roster.Options{Tenant: q.Tenant, Kind: tasks.Kind(q.Kind), Chat: q.Chat, Now: a.now()})
	if err != nil {
		return nil, unreadable(err)
	}
	return &rows{file: file, judge: upload.NewJudge(a.producer, tasks.Limits{}), keep: q.Invalid == "keep"}, nil
}

// flags are the flags of commands that messages about files name.
var flags = strings.NewReplacer(
	"--tenant", "the parameter tenant", "--kind", "the parameter kind", "--chat", "the parameter chat",
	"--encoding", "the parameter encoding", "--sheet", "the parameter sheet",
)

// unreadable is the problem of a body that is no table.
func unreadable(err error) *Problem {
	return newProblem(problemInvalidFile, flags.Replace(err.Error())+"; no row was stored")
}

// check reads all rows, and refuses the body if one must not be stored. It returns how many
// there are.
func (r *rows) check(ctx context.Context, c caller) (n int, err error) {
	invalid, foreign := newProblem(problemInvalidRows, ""), newProblem(problemTenant, "")
	for row, err := range r.file.Rows() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return n, r.ended(ctx, err)
		}
		if n++; n > run.MaxRows {
			return n, newProblem(problemTooLarge, fmt.Sprintf("a run has at most %d rows: make several", run.MaxRows))
		}
		if tenant, ok := foreignTenant(c, row); ok {
			foreign.add(Detail{Line: row.Line, Column: "tenant", Detail: fmt.Sprintf("the token may not use tenant %.40q", tenant)})
			continue
		}
		refusal := c.discreet(r.judge(ctx, row))
		if refusal == nil || r.keep && !isFault(refusal) {
			continue
		}
		if isFault(refusal) {
			return n, refusal
		}
		invalid.InvalidRows++
		for _, p := range row.Explain(refusal) {
			invalid.add(Detail{Line: p.Line, Column: p.Column, Detail: flags.Replace(p.What)})
		}
	}
	if len(foreign.Errors) > 0 {
		foreign.Detail = "the token may not use the tenant of a row; no row was stored"
		return n, foreign
	}
	if invalid.InvalidRows > 0 {
		invalid.Detail = fmt.Sprintf("%d of %d rows are invalid; no row was stored", invalid.InvalidRows, n)
		return n, invalid
	}
	return n, nil
}

// ended returns why the rows ended early.
func (r *rows) ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return unreadable(err)
}

// isFault reports whether a refusal is about Redis, and says nothing about the row.
func isFault(err error) bool {
	_, ok := errors.AsType[*tasks.StoreError](err)
	return ok
}

func (p *Problem) add(d Detail) {
	if len(p.Errors) < mostErrors {
		p.Errors = append(p.Errors, d)
	}
}

// discreet removes from an error the tenants that the caller may not use.
func (c caller) discreet(err error) error {
	unserved, ok := errors.AsType[*tasks.UnservedError](err)
	if !ok {
		return err
	}
	e := *unserved
	e.Tenants = slices.DeleteFunc(slices.Clone(e.Tenants), func(t string) bool { return !c.MayTenant(t) })
	return &e
}

// foreignTenant returns the tenant of a row that the caller may not use.
func foreignTenant(c caller, row roster.Row) (tenant string, foreign bool) {
	if row.Request.Task == nil {
		return "", false
	}
	tenant, _ = row.Request.Task.Lane()
	return tenant, !c.MayTenant(tenant)
}

// add adds the checked rows to a run from a position on, and returns how many the run has.
func (a *API) add(ctx context.Context, c caller, r *rows, id string, from int, numbered bool) (in int, err error) {
	in = from
	batch := make([]run.Row, 0, run.MaxAdd)
	flush := func() error {
		after, err := a.runs.Add(ctx, id, from, batch)
		from += len(batch)
		in, batch = after, batch[:0]
		return err
	}
	for row, err := range r.file.Rows() {
		if err != nil {
			return in, r.ended(ctx, err)
		}
		refusal := c.discreet(r.judge(ctx, row))
		if isFault(refusal) {
			return in, refusal
		}
		added := upload.RunRow(row, refusal)
		if !numbered {
			added.Line = 0 // a line of a part is no line of the whole
		}
		if batch = append(batch, added); len(batch) == cap(batch) {
			if err := flush(); err != nil {
				return in, err
			}
		}
	}
	if len(batch) > 0 {
		err = flush()
	}
	return in, err
}
