package runs

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall/cmd/rollcall/internal/plan"
	"rollcall/cmd/rollcall/internal/session"
	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/run"
	"rollcall/internal/runview"
)

// resultFlags say which results are written, and where.
type resultFlags struct {
	failed   bool
	out      string
	into     string
	n        int
	lang     string
	encoding string
	sheet    string

	advice runview.Advice
}

func (a *app) resultsCommand() *cobra.Command {
	f := resultFlags{n: 20}
	cmd := &cobra.Command{
		Use:   "results RUN",
		Short: "Show or write the result of each row",
		Long: `Show the result of each row of a run: what became of it, the value before and
after, the platform's code and message, what to do, the request id and the time.

-o writes all rows to a file with the columns from which rollcall plan reads
them again. --into copies the file that was planned, with its own columns, order
and encoding, and adds the results. Columns of results that a file has already
are replaced.

--failed selects the rows that failed, and those that were not sent because they
are wrong or in conflict. Correct them in the file, and give it to rollcall plan
again. Names and ids of people are shown in full, as in the plan: who works with
a run has its list.

With --json, print an object for each row.

` + exits,
		Example: `  rollcall run results spring-term
  rollcall run results spring-term --failed -o failed.xlsx
  rollcall run results spring-term --into names.csv -o names-results.csv`,
		Args: cli.Exactly("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return a.withRun(cmd.Context(), args[0], f.run)
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().BoolVar(&f.failed, "failed", false, "only rows that a person must correct")
	cmd.Flags().StringVarP(&f.out, "output", "o", "", "write the rows to `FILE`: .xlsx, .csv or .ndjson")
	cmd.Flags().StringVar(&f.into, "into", "", "copy `FILE`, which was planned, and add the results;\ndefault for -o: its name with -results")
	cmd.Flags().StringVar(&f.encoding, "encoding", "", "encoding of the file of --into, if it is detected\nwrongly")
	cmd.Flags().StringVar(&f.sheet, "sheet", "", "sheet of the workbook of --into, by `NAME`;\ndefault: the first")
	cli.Language(cmd, &f.lang, "a file")
	cli.Limit(cmd, &f.n, 1, "number of rows to show, `N`")
	return cmd
}

func (f *resultFlags) check() error {
	if f.into == "" && (f.encoding != "" || f.sheet != "") {
		return cli.BadInput("--encoding and --sheet: only with --into")
	}
	if f.out == "" || f.into != "" {
		return nil // a copy has the format of its file
	}
	_, err := plan.Format(f.out)
	return err
}

// run writes or prints the results.
func (f *resultFlags) run(ctx context.Context, s *session.Session, r run.Run) (err error) {
	if f.advice, err = s.Advice(ctx, r); err != nil {
		return err
	}
	switch {
	case f.into != "":
		return f.merge(ctx, s, r)
	case f.out != "":
		return f.write(ctx, s, r)
	case s.JSON:
		return f.each(ctx, s, r, func(row run.Result) error { return s.PrintJSON(newRecord(row)) })
	}
	return f.print(ctx, s, r)
}

// each calls do with the selected rows.
func (f *resultFlags) each(ctx context.Context, s *session.Session, r run.Run, do func(run.Result) error) error {
	for row, err := range s.Runs.Results(ctx, r.ID) {
		if err == nil && f.selects(row) {
			err = do(f.advice.Add(row))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// toCorrect are the outcomes of rows that a person must correct.
func toCorrect() []run.Outcome {
	return []run.Outcome{run.OutcomeFailed, run.OutcomeConflict, run.OutcomeImpossible}
}

// cells are the cells of run.ResultColumns for a row, with its time in the local zone.
func (f *resultFlags) cells(row run.Result) []string {
	row.At = row.At.Local()
	return run.ResultCells(row, f.lang == "zh")
}

func (f *resultFlags) selects(row run.Result) bool {
	return !f.failed || slices.Contains(toCorrect(), row.Outcome)
}

// record is the result of a row, as --json prints it. Its names are stable.
type record struct {
	Row       int         `json:"row"`
	Line      int         `json:"line,omitzero"`
	Tenant    string      `json:"tenant,omitzero"`
	Kind      string      `json:"kind,omitzero"`
	Target    string      `json:"target,omitzero"`
	Outcome   string      `json:"outcome"`          // [result of a row](runs.md#reference)
	Values    []run.Value `json:"values,omitempty"` // by field
	Class     string      `json:"class,omitzero"`
	Code      string      `json:"code,omitzero"`
	Message   string      `json:"message,omitzero"`
	Todo      string      `json:"todo,omitzero"`
	RequestID string      `json:"request_id,omitzero"`
	At        time.Time   `json:"at,omitzero"`
}

func newRecord(row run.Result) record {
	at := runview.Masker{Shown: true}.Place(row.Row)
	return record{
		Row: row.Number, Line: row.Line, Tenant: at.Tenant, Kind: string(at.Kind), Target: at.Target, Outcome: string(row.Outcome), Values: row.Values,
		Class: row.Class, Code: row.Code, Message: cmp.Or(row.Message, row.Why), Todo: row.Advice, RequestID: row.RequestID, At: row.At,
	}
}

// print shows the first rows.
func (f *resultFlags) print(ctx context.Context, s *session.Session, r run.Run) error {
	p := s.NewPrinter()
	t := console.Table{Width: p.Width, Columns: []console.Column{
		{Head: "LINE", Most: 7, Right: true}, {Head: "OUTCOME", Most: 10}, {Head: "TARGET", Most: 26}, {Head: "OLD"}, {Most: 1}, {Head: "NEW"},
	}}
	more := 0
	var wrong []record
	err := f.each(ctx, s, r, func(row run.Result) error {
		if more++; more > f.n {
			return nil
		}
		rec := newRecord(row)
		if rec.Message != "" || rec.Todo != "" {
			wrong = append(wrong, rec)
		}
		old, now := rec.change()
		t.Add(strconv.Itoa(cmp.Or(rec.Line, rec.Row)), rec.Outcome, rec.Target, old, "→", now)
		return nil
	})
	if err != nil {
		return err
	}
	if more == 0 {
		console.Fprintln(p.Out, "no rows")
		return nil
	}
	t.Print(p.Out)
	if more > f.n {
		p.Text(console.Plain, 0, fmt.Sprintf("and %d more; -o results.xlsx writes all", more-f.n))
	}
	for _, rec := range wrong {
		p.Text(console.Plain, 0, rec.reason())
	}
	return nil
}

// change is the value of a row before and after, in words for a person.
func (r record) change() (old, now string) {
	var before, after []string
	for _, v := range r.Values {
		name := ""
		if len(r.Values) > 1 {
			name = v.Field + ": "
		}
		if before = append(before, "?"); v.Known {
			before[len(before)-1] = name + v.Old
		}
		after = append(after, name+v.New)
	}
	return strings.Join(before, "; "), strings.Join(after, "; ")
}

// reason says why a row is as it is, and what to do.
func (r record) reason() string {
	text := place(r.Row, r.Line) + ": "
	if r.Code != "" {
		text += r.Code + ": "
	}
	text += r.Message
	if r.Todo != "" {
		text += "; to do: " + r.Todo
	}
	return text
}

// place names a row by its line in its file, or by its number.
func place(number, line int) string {
	if line == 0 {
		return fmt.Sprintf("row %d", number)
	}
	return fmt.Sprintf("line %d", line)
}
