package intake_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/intake"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/roster"
	"rollcall/internal/run"
	"rollcall/internal/table"
	"rollcall/tasks"
)

// file opens a file of nicknames.
func file(t *testing.T, lines ...string) intake.Rows {
	t.Helper()
	in, err := table.Spool(strings.NewReader("tenant,chat_id,user_id,nickname\n" + strings.Join(lines, "\n") + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close() })
	opened, err := table.Open(in, table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := roster.Open(opened, roster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return rows.Rows()
}

func TestAllRowsAreJudgedAndTheWrongOnesBecomeImpossible(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		rows := file(t, "dt,c,u1,Ann", "dt,c,u 2,Bob", "dt,c,u3,", "dt,c,u4,Eve")
		judge := intake.NewJudge(nil, tasks.Limits{})
		var refused []string
		n, err := intake.Check(t.Context(), rows, judge, func(row roster.Row, refusal error) error {
			for _, p := range row.Explain(refusal) {
				refused = append(refused, fmt.Sprintf("%d %s %q", p.Line, p.Column, p.Value))
			}
			return nil
		})
		if diff := cmp.Diff([]string{`3 user_id "u 2"`, `4 nickname ""`}, refused); diff != "" || n != 4 || err != nil {
			t.Errorf("%d rows, %v, refused (-want +got):\n%s", n, err, diff)
		}
		rdb := s.Client(t)
		service := run.New(run.Config{Redis: rdb, Ledger: ledger.New(rdb)})
		made, err := service.Create(t.Context(), run.Draft{})
		if err != nil {
			t.Fatal(err)
		}
		reported := 0
		in, err := intake.Add(t.Context(), service, made.ID, 0, rows, judge, func(in int) { reported = in })
		if in != 4 || reported != 4 || err != nil {
			t.Errorf("%d rows are in, %d reported, %v", in, reported, err)
		}
		// To add the same rows again does nothing.
		if in, err := intake.Add(t.Context(), service, made.ID, 0, rows, judge, nil); in != 4 || err != nil {
			t.Errorf("%d rows are in, %v", in, err)
		}
	})
}

func TestACheckEndsWithTheFirstFault(t *testing.T) {
	t.Parallel()
	unavailable := &tasks.StoreError{Err: errors.New("redis is unavailable")}
	broken := errors.New("the file was cut")
	stop := errors.New("enough")
	refuses := func(err error) intake.Judge { return func(context.Context, roster.Row) error { return err } }
	cut := func(yield func(roster.Row, error) bool) {
		_ = yield(roster.Row{Line: 2}, nil) && yield(roster.Row{}, broken)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx   context.Context //nolint:containedctx // of one case
		rows  intake.Rows
		judge intake.Judge
		want  error
	}{
		"Redis":               {t.Context(), file(t, "dt,c,u1,A"), refuses(unavailable), unavailable},
		"the file":            {t.Context(), cut, refuses(nil), broken},
		"the caller":          {t.Context(), file(t, "dt,c,u1,A"), refuses(errors.New("wrong")), stop},
		"the end of its time": {ended, file(t, "dt,c,u1,A"), refuses(nil), context.Canceled},
	} {
		_, err := intake.Check(c.ctx, c.rows, c.judge, func(roster.Row, error) error { return stop })
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, unreadable := errors.AsType[*intake.UnreadableError](err); unreadable != (c.want == broken) { //nolint:errorlint // of the table above
			t.Errorf("%s: %T", name, err)
		}
	}
}
