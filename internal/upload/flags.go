// Package upload reads a roster file that a person names on a command line: the flags
// that say how, the check of the whole file with its report of problems, and the rows of
// a run.
//
// It must not know what a command does with the file or with the run.
package upload

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/kinds"
	"rollcall/internal/roster"
	"rollcall/internal/run"
	"rollcall/internal/table"
	"rollcall/tasks"
)

// Columns returns the part of a help text about the columns of a file.
func Columns() string {
	var table strings.Builder
	row := func(name string, columns []string) {
		for i, line := range console.Wrap(strings.Join(columns, ", "), 64) {
			if i > 0 {
				name = ""
			}
			fmt.Fprintf(&table, "  %-9s %s\n", name, line)
		}
	}
	row("all", roster.CommonColumns())
	for _, k := range kinds.All() {
		row(string(k.Name), k.ColumnNames())
	}
	return `The first line names the columns, in any order. Chinese names such as 用户ID are
known, and --map adds others. Unknown columns are ignored.

` + table.String() + `
--tenant, --kind and --chat replace columns with the same value in every row.
Without a kind, it is detected from the columns if only one kind fits. Separate
the entries of a list with semicolons. An empty cell means no value.`
}

// Flags say how a file is read. The zero value: as it is detected.
type Flags struct {
	// SkipInvalid accepts a file with invalid rows.
	SkipInvalid bool
	// Nothing is what a message adds when a file is refused: "nothing was enqueued".
	Nothing string

	kind     string
	maps     []string
	problems string // path of the file of all problems; empty: none
	table    table.Options
	roster   roster.Options
}

// Add adds the flags to a command. skipUsage describes --skip-invalid.
func (f *Flags) Add(cmd *cobra.Command, skipUsage string) {
	flags := cmd.Flags()
	flags.StringVar(&f.roster.Tenant, "tenant", "", "tenant of all rows, by `NAME`")
	flags.StringVar(&f.kind, "kind", "", "kind of all rows:\n"+kinds.Choice())
	flags.StringVar(&f.roster.Chat, "chat", "", "chat of all rows, by `ID`")
	flags.StringArrayVar(&f.maps, "map", nil, "read the column NAME of the file as COLUMN:\n`NAME=COLUMN`; may be repeated")
	flags.BoolVar(&f.roster.Strict, "strict", false, "refuse a file with unknown columns")
	flags.BoolVar(&f.SkipInvalid, "skip-invalid", false, skipUsage)
	flags.StringVar(&f.problems, "problems", "", "write all problems to `FILE`, as CSV")
	flags.StringVar(&f.table.Encoding, "encoding", "", "encoding of the file, if it is detected wrongly:\n"+strings.Join(table.Encodings(), ", "))
	flags.StringVar(&f.table.Sheet, "sheet", "", "sheet of a workbook, by `NAME`; default: the first")
}

// Files completes the names of files that can be read.
func Files(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"csv", "xlsx", "ndjson", "jsonl", "txt"}, cobra.ShellCompDirectiveFilterFileExt
}

// Kind returns the flag --kind; empty: not given.
func (f *Flags) Kind() (tasks.Kind, error) {
	if _, known := kinds.Named(tasks.Kind(f.kind)); known || f.kind == "" {
		return tasks.Kind(f.kind), nil
	}
	return "", cli.BadInput("--kind %.40q: must be %s", f.kind, kinds.Choice())
}

// rosterOptions returns the options of the rows from the flags.
func (f *Flags) rosterOptions(defaults tasks.Options, now time.Time) (roster.Options, error) {
	o := f.roster
	o.Defaults, o.Now, o.Map = defaults, now, make(map[string]string, len(f.maps))
	o.Ignore = run.IsResultColumn // a file of results that is put in again
	var err error
	if o.Kind, err = f.Kind(); err != nil {
		return o, err
	}
	for _, text := range f.maps {
		name, column, found := strings.Cut(text, "=")
		if !found || name == "" || column == "" {
			return o, cli.BadInput("--map %.80q: must be NAME=COLUMN, such as 学号=user_id", text)
		}
		o.Map[name] = column
	}
	return o, nil
}

// When are the flags --urgent and --at, for rows without a value of their own.
type When struct {
	Urgent bool
	At     string
}

// Options returns the options of rows without a value of their own.
func (w When) Options(now time.Time) (tasks.Options, error) {
	at, err := roster.ParseAt(w.At, now)
	if err != nil {
		return tasks.Options{}, cli.BadInput("--at: %w", err)
	}
	return tasks.Options{Urgent: w.Urgent, At: at}, nil
}

// refuse reports why a file cannot be used.
func (f *Flags) refuse(name string, err error) error {
	return cli.BadInput("%s: %w%s", name, err, f.nothing())
}

func (f *Flags) nothing() string {
	if f.Nothing == "" {
		return ""
	}
	return "; " + f.Nothing
}
