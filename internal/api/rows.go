package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"rollcall/internal/intake"
	"rollcall/internal/problem"
	"rollcall/internal/roster"
	"rollcall/internal/run"
	"rollcall/internal/table"
	"rollcall/tasks"
)

// RowsQuery says how a body of rows is understood.
type RowsQuery struct {
	Tenant   string   `doc:"Tenant of all rows"                              maxLength:"39"                                                                                                                                     query:"tenant"`
	Kind     KindName `doc:"Kind of all rows; default: as the columns say"   query:"kind"`
	Chat     string   `doc:"Chat of all rows"                                maxLength:"200"                                                                                                                                    query:"chat"`
	Encoding string   `doc:"Encoding of the body, if it is detected wrongly" enum:"utf-8,gb18030,utf-16le,utf-16be"                                                                                                             query:"encoding"`
	Sheet    string   `doc:"Sheet of a workbook; default: the first"         maxLength:"100"                                                                                                                                    query:"sheet"`
	Invalid  string   `default:"refuse"                                      doc:"What becomes of invalid rows. refuse: the request is refused, and none of its rows is stored. keep: they become impossible rows of the plan." enum:"refuse,keep" query:"invalid"`
}

// rows are the rows of a body.
type rows struct {
	file  *roster.File
	judge intake.Judge
	keep  bool // invalid rows become impossible ones
	lines bool // rows have lines of their own
}

// open reads the form of a body of rows that the caller sent. Rows that are annotated have the
// lines and problems that their sender found.
func (a *API) open(c caller, in *spooled, q RowsQuery, annotated bool) (*rows, error) {
	t, err := table.Open(in.input, table.Options{Encoding: q.Encoding, Sheet: q.Sheet})
	if err != nil {
		return nil, unreadable(err)
	}
	file, err := roster.Open(t, roster.Options{Tenant: q.Tenant, Kind: tasks.Kind(q.Kind), Chat: q.Chat, Annotated: annotated, Now: a.now()})
	if err != nil {
		return nil, unreadable(err)
	}
	judge := intake.NewJudge(a.producer, tasks.Limits{})
	discreet := func(ctx context.Context, row roster.Row) error {
		if tenant, foreign := foreignTenant(c, row); foreign {
			return &foreignError{tenant}
		}
		if len(row.Found) > 0 {
			return found(row)
		}
		return c.discreet(judge(ctx, row))
	}
	return &rows{file: file, judge: discreet, keep: q.Invalid == "keep", lines: annotated}, nil
}

// found returns why a row is invalid, as its sender found.
func found(row roster.Row) error {
	e := &tasks.ValidationError{}
	for _, what := range row.Found {
		e.Problems = append(e.Problems, tasks.Problem{What: what})
	}
	return e
}

// flags are the flags of commands that messages about files name.
var flags = strings.NewReplacer(
	"--tenant", "the parameter tenant", "--kind", "the parameter kind", "--chat", "the parameter chat",
	"--encoding", "the parameter encoding", "--sheet", "the parameter sheet",
)

// unreadable is the problem of a body that is no table.
func unreadable(err error) *problem.Problem {
	return problem.New(problem.InvalidFile, flags.Replace(err.Error())+"; no row was stored")
}

// foreignError refuses a row of a tenant that the caller may not use.
type foreignError struct{ tenant string }

func (e *foreignError) Error() string {
	return fmt.Sprintf("the token may not use tenant %.40q", e.tenant)
}

// check reads all rows, and refuses the body if one must not be stored. It returns how many
// there are.
func (r *rows) check(ctx context.Context) (n int, err error) {
	invalid, foreign := problem.New(problem.InvalidRows, ""), problem.New(problem.Tenant, "")
	n, err = intake.Check(ctx, r.file.Rows(), r.judge, func(row roster.Row, refusal error) error {
		if e, ok := errors.AsType[*foreignError](refusal); ok {
			foreign = foreign.Add(problem.Detail{Line: row.Line, Column: "tenant", Detail: e.Error()})
			return nil
		}
		if r.keep {
			return nil
		}
		invalid.InvalidRows++
		for _, p := range row.Explain(refusal) {
			invalid = invalid.Add(problem.Detail{Line: p.Line, Column: p.Column, Detail: flags.Replace(p.What)})
		}
		return nil
	})
	if err != nil {
		return n, unread(err)
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

// unread returns why rows could not be read to their end.
func unread(err error) error {
	if errors.Is(err, intake.ErrTooMany) {
		return problem.New(problem.TooLarge, fmt.Sprintf("a run has at most %d rows: make several", run.MaxRows))
	}
	if is[*intake.UnreadableError](err) {
		return unreadable(err)
	}
	return err
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
func (a *API) add(ctx context.Context, r *rows, id string, from int, numbered bool) (in int, err error) {
	judge := r.judge
	if !r.keep {
		judge = nil // check has refused every invalid row
	}
	in, err = intake.Add(ctx, a.runs, id, from, func(yield func(roster.Row, error) bool) {
		for row, err := range r.file.Rows() {
			if !numbered && !r.lines {
				row.Line = 0 // a line of a part is no line of the whole
			}
			if !yield(row, err) {
				return
			}
		}
	}, judge, nil)
	if err != nil {
		return in, unread(err)
	}
	return in, nil
}
