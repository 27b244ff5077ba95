package night

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall/internal/run"
	"rollcall/internal/source"
)

// reading is what was read of a source.
type reading struct {
	source.Reading

	tick     time.Time
	rule     string // version
	records  int
	rows     spool
	problems []string // of the first rows that cannot be used, without values
}

// firstProblems is how many rows with problems a report names.
const firstProblems = 20

// read reads the source and makes its rows. A reading that a person must look after is a
// *source.Error.
func (s *Service) read(ctx context.Context, n Night, tick time.Time) (*reading, error) {
	made, err := n.Rule.Begin(ctx, tick)
	if err != nil {
		return nil, &source.Error{Cause: source.Malformed, Err: err}
	}
	read := &reading{tick: tick, rule: n.Rule.Version()}
	what, err := n.Source.Read(ctx, func(columns []string, r source.Record) error {
		read.records++
		rows, err := made.Add(columns, r)
		if err != nil {
			return source.Errorf(source.Malformed, "%s: %w", r.At, err)
		}
		return read.add(rows, r.At)
	})
	if err == nil {
		var rows []run.Row
		if rows, err = made.End(ctx); err == nil {
			err = read.add(rows, "")
		}
	}
	if err == nil {
		err = read.rows.end()
	}
	read.Reading = what
	_, known := errors.AsType[*source.Error](err)
	switch {
	case err == nil && read.records == 0:
		return nil, source.Errorf(source.Empty, "the source has no records")
	case err == nil, known:
		return read, err
	case ctx.Err() != nil:
		return nil, context.Cause(ctx) // the worker stops
	}
	return nil, &source.Error{Cause: source.Down, Err: err}
}

// add keeps rows of a record.
func (read *reading) add(rows []run.Row, at string) error {
	for _, r := range rows {
		if read.rows.rows == run.MaxRows {
			return source.Errorf(source.TooLarge, "the reading has more than %d rows: use several schedules", run.MaxRows)
		}
		if len(r.Problems) > 0 && len(read.problems) < firstProblems {
			at := at
			switch {
			case at == "" && r.Line > 0:
				at = fmt.Sprintf("line %d", r.Line)
			case at == "":
				at = fmt.Sprintf("row %d", read.rows.rows+1)
			}
			read.problems = append(read.problems, at+": "+r.Problems[0])
		}
		if err := read.rows.add(r); err != nil {
			return err
		}
	}
	return nil
}
