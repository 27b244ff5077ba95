// Package forget is rollcall forget: it removes what is recorded about a chat or a user.
//
// It must not know how a record is stored: targets, dead letters, runs and nights remove
// their own.
package forget

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"rollcall/cmd/rollcall/internal/find"
	"rollcall/internal/audit"
	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/deadletter"
	"rollcall/internal/exitcode"
	"rollcall/internal/ledger"
	"rollcall/internal/night"
	"rollcall/internal/registry"
	"rollcall/internal/run"
	"rollcall/tasks"
)

// exitBlocked is the exit code if something of the subject has not ended.
const exitBlocked = 3

type flags struct {
	subject

	organisation string
	reason, by   string
	yes          bool
}

// Command removes what is recorded about a chat or a user.
func Command(a *cli.App) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "forget --chat CHAT | --user USER",
		Short: "Remove what is recorded about a chat or a user",
		Long: `Remove what is recorded about a chat or a user: the records of targets, rows and
results of runs, dead letters, and what nightly syncs note of members. Nothing
is changed on a platform. An ID that was changed within a year stays locked,
without the ID. The next change of a target that was removed is sent, even if
the platform has the value. A member who is still in the roster of a schedule is
noted again by the next night.

The command removes nothing while a change has not ended, its outcome is
unknown, or a run with such rows is applied. Without --yes it only counts.
rollcall lanes events shows who removed what, with ids of people masked. Tasks
that ended are visible in asynq for some minutes more.

Members of chats that an earlier version recorded are found after rollcall find
--index.

Exit codes:
  0   done, even if nothing was recorded
  3   something has not ended: nothing was removed, or not everything; the
      command names it
  4   cannot reach Redis; safe to retry
  64  wrong usage, or no lane of the organisation`,
		Example: `  rollcall forget --user u001
  rollcall forget --user u001 --reason "left the school" --yes
  rollcall forget --chat chat7Af3929 --organisation lakeside --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (f.chat == "") == (f.user == "") {
				return cli.BadInput("give one of --chat and --user")
			}
			return a.WithRedis(cmd.Context(), func(ctx context.Context, rdb redis.UniversalClient) error { return forget(ctx, a, rdb, f) })
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&f.chat, "chat", "", "chat, by `ID`: also the names of its members")
	cmd.Flags().StringVar(&f.user, "user", "", "member, employee or student, by `ID`")
	cmd.Flags().StringVar(&f.organisation, "organisation", "", "only this organisation, by `NAME`")
	cli.Yes(cmd, &f.yes)
	cmd.Flags().StringVar(&f.reason, "reason", "", "reason, a `TEXT` for the audit log")
	cli.By(cmd, &f.by)
	return cmd
}

// report is what was found, as --json prints it. Its names are stable.
type report struct {
	Targets int      `json:"targets"`
	Rows    int      `json:"rows"` // of runs
	Runs    int      `json:"runs"`
	Dead    int      `json:"dead_letters"` // with closed ones
	Notes   int      `json:"notes"`        // of schedules: who is in the roster or missing, refused values, texts of reports
	Blocked []string `json:"blocked,omitempty"`
	Removed bool     `json:"removed"`
}

func (r report) empty() bool {
	return r.Targets == 0 && r.Rows == 0 && r.Dead == 0 && r.Notes == 0 && len(r.Blocked) == 0
}

func (r report) String() string {
	text := fmt.Sprintf("%s, %s of %s, %s",
		console.Count(r.Targets, "target"), console.Count(r.Rows, "row"), console.Count(r.Runs, "run"), console.Count(r.Dead, "dead letter"))
	if r.Notes > 0 {
		text += ", " + console.Count(r.Notes, "note") + " of schedules"
	}
	return text
}

func forget(ctx context.Context, a *cli.App, rdb redis.UniversalClient, f flags) error {
	lanes, err := find.Lanes(ctx, rdb, f.organisation, "")
	if err != nil {
		return err
	}
	book := ledger.New(rdb)
	r := &records{
		subject: f.subject, apis: registry.APIs(lanes), book: book, dead: deadletter.New(rdb, nil), runs: run.New(run.Config{Redis: rdb, Ledger: book}),
		nights: night.New(night.Config{Redis: rdb}),
	}
	if f.organisation != "" {
		r.tenants = map[string]bool{}
		for _, l := range lanes {
			r.tenants[l.Tenant] = true
		}
	}
	found, err := r.count(ctx)
	if err != nil {
		return err
	}
	if !f.yes || found.empty() || len(found.Blocked) > 0 {
		return f.print(a, found)
	}
	// Before anything is removed: a removal without an event must not exist.
	what := strings.TrimSuffix(f.String()+": "+found.String()+": "+f.reason, ": ")
	if err := audit.Write(ctx, rdb, audit.Event{
		Event: "data.forgotten", Level: audit.Lane, Name: "all lanes", Class: "operator", Reason: what, By: a.Person(f.by),
		More: map[string]string{"count": strconv.Itoa(found.Targets + found.Rows + found.Dead + found.Notes)},
	}); err != nil {
		return err
	}
	removed, err := r.remove(ctx)
	if err != nil {
		return fmt.Errorf("some records were removed: repeat the command: %w", err)
	}
	removed.Removed = true
	return f.print(a, removed)
}

// mostBlocked bounds how many reasons are printed.
const mostBlocked = 10

// print prints what was removed, or would be.
func (f flags) print(a *cli.App, r report) error {
	if a.JSON {
		if err := a.PrintJSON(r); err != nil {
			return err
		}
	} else {
		f.printText(a.NewPrinter(), r)
	}
	if len(r.Blocked) > 0 {
		return &exitcode.Error{Code: exitBlocked}
	}
	return nil
}

func (f flags) printText(p *cli.Printer, r report) {
	head := ""
	if r.Removed {
		head = "removed: "
	}
	p.Text(console.Bold, 0, head+f.String()+": "+r.String())
	switch {
	case r.Removed && len(r.Blocked) > 0:
		p.Text(console.Red, 0, "not removed; repeat the command:")
	case r.Removed:
	case r.empty():
		p.Text(console.Plain, 0, "nothing is recorded")
	case len(r.Blocked) > 0:
		p.Text(console.Red, 0, "nothing was removed:")
	default:
		p.Text(console.Plain, 0, "nothing was removed; to remove it, repeat the command with --yes")
	}
	for i, why := range r.Blocked {
		if i == mostBlocked {
			p.Text(console.Plain, 2, fmt.Sprintf("and %d more", len(r.Blocked)-i))
			break
		}
		p.Text(console.Plain, 2, why)
	}
}

// of reports whether a task is about the subject, in the organisation that was selected.
func (r *records) of(task tasks.Task) bool {
	tenant, _ := task.Lane()
	return (r.tenants == nil || r.tenants[tenant]) && r.subject.is(task)
}
