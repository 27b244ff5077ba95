// Package intake makes runs of tables: it judges all rows before the first is stored, adds
// them to a run, and plans the run in the background.
//
// It must not know where a table is from, nor who reads what is wrong with it.
package intake

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"rollcall/internal/roster"
	"rollcall/internal/run"
	"rollcall/tasks"
)

// Rows are the rows of a table. They can be read several times, each time from the beginning.
type Rows = iter.Seq2[roster.Row, error]

// Judge returns the reason to refuse a row before anything is stored, or nil. A
// *tasks.StoreError says that Redis cannot be read, and nothing about the row.
type Judge func(ctx context.Context, row roster.Row) error

// Checker checks a request by the limits of its lane.
type Checker interface {
	Check(ctx context.Context, r tasks.Request) error
}

// NewJudge returns a Judge that knows the limits of the lanes that client knows. Without
// client, rows are judged by limits alone.
func NewJudge(client Checker, limits tasks.Limits) Judge {
	return func(ctx context.Context, row roster.Row) error {
		if err := row.Refusal(limits); err != nil {
			return err
		}
		if client != nil {
			return client.Check(ctx, row.Request)
		}
		return row.Request.Validate(limits)
	}
}

// IsFault reports whether a refusal is about Redis, and says nothing about the row.
func IsFault(refusal error) bool {
	_, ok := errors.AsType[*tasks.StoreError](refusal)
	return ok
}

// ErrTooMany reports more rows than a run has.
var ErrTooMany = fmt.Errorf("more than %d rows", run.MaxRows)

// UnreadableError reports that rows cannot be read to their end.
type UnreadableError struct{ Err error }

func (e *UnreadableError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *UnreadableError) Unwrap() error { return e.Err }

// Check reads all rows, and calls refused with each one that is refused and why; an error of
// it ends the reading. It returns how many rows there are. Its own errors are ErrTooMany,
// *UnreadableError, *tasks.StoreError, and that of ctx.
func Check(ctx context.Context, rows Rows, judge Judge, refused func(row roster.Row, refusal error) error) (n int, err error) {
	for row, err := range rows {
		switch {
		case ctx.Err() != nil:
			return n, ctx.Err()
		case err != nil:
			return n, &UnreadableError{err}
		case n == run.MaxRows:
			return n, ErrTooMany
		}
		n++
		refusal := judge(ctx, row)
		if refusal == nil {
			continue
		}
		if IsFault(refusal) {
			return n, refusal
		}
		if err := refused(row, refusal); err != nil {
			return n, err
		}
	}
	return n, nil
}

// Runs are where rows become those of a run: the service in Redis, or a client of the API.
type Runs interface {
	Add(ctx context.Context, id string, from int, rows []run.Row) (in int, err error)
}

// Add adds rows to a run from a position on, and returns how many rows the run has then.
// Invalid rows are impossible rows of the run; judge nil: Check has refused all of them. progress is called with the number of rows
// that are in; nil: it is not. Its errors are *UnreadableError, *tasks.StoreError, and those of
// run.Service.Add.
func Add(ctx context.Context, runs Runs, id string, from int, rows Rows, judge Judge, progress func(in int)) (in int, err error) {
	in = from
	batch := make([]run.Row, 0, run.MaxAdd)
	flush := func() error {
		after, err := runs.Add(ctx, id, from, batch)
		from += len(batch)
		in, batch = after, batch[:0]
		if err == nil && progress != nil {
			progress(in)
		}
		return err
	}
	for row, err := range rows {
		if err != nil {
			return in, &UnreadableError{err}
		}
		var refusal error
		if judge != nil {
			if refusal = judge(ctx, row); IsFault(refusal) {
				return in, refusal
			}
		}
		if batch = append(batch, runRow(row, refusal)); len(batch) == cap(batch) {
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

// runRow returns the row of a run. refusal is why the row is invalid, or nil.
func runRow(row roster.Row, refusal error) run.Row {
	r := run.Row{Line: row.Line, Request: row.Request, Previous: row.Previous}
	if refusal == nil {
		return r
	}
	for _, p := range row.Explain(refusal) {
		what := p.What
		if p.Column != "" {
			what = "column " + p.Column + ": " + what
		}
		r.Problems = append(r.Problems, what)
	}
	return r
}
