package dead

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/deadletter"
	"rollcall/internal/exitcode"
	"rollcall/internal/ledger"
)

const deadSettleExits = `Exit codes:
  0   done, even if there was nothing to do
  3   some dead letters stay, because their tasks would fail again
  4   cannot write some of them to Redis; safe to retry
  64  wrong usage, no dead letter has the id, or --all or --yes is missing:
      nothing was done`

const deadWhich = `Select dead letters by id, or by --all and filters. Filters without --all and
--dry-run change nothing: they show what would be done.`

func (f *deadFlags) settleFlags(cmd *cobra.Command) {
	f.filterFlags(cmd)
	cmd.Flags().BoolVar(&f.all, "all", false, "all dead letters that match the filters")
	cli.DryRun(cmd, &f.dryRun)
	cli.By(cmd, &f.by)
}

func (a *app) deadReplayCommand() *cobra.Command {
	var f deadFlags
	var set []string
	var file string
	cmd := &cobra.Command{
		Use:   "replay ID... | --all [filters]",
		Short: "Retry dead letters, unchanged or corrected",
		Long: `Retry dead letters. Each task returns to its queue unchanged, with its old
revision: if its target has a newer change, the task ends as superseded. The
dead letter is removed once the task is stored.

--set and --task replace the task of one dead letter with a corrected one, which
counts as the latest change. --set takes a field name of the payload; separate
the entries of a list with commas; an empty value removes the field. --task
reads all fields as a JSON object from a file; - is standard input.

` + deadWhich + `

` + deadSettleExits,
		Example: `  rollcall dead replay --cause busy --since 24h --all
  rollcall dead replay --set "nickname=Ann Lee" \
      0d0cd8f0-8ac5-4c2c-9f6a-5c4f5a4ad3a1
  rollcall dead replay --dry-run --tenant lakeside-dt`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, ids []string) error {
			w := operation{a: a, ids: ids, flags: f, outcome: deadletter.Replayed}
			if len(set) > 0 || file != "" {
				return w.replace(cmd.Context(), set, file)
			}
			return w.run(cmd.Context(), func(ctx context.Context, service store, dead []ledger.DeadLetter) []deadletter.Settled {
				return service.Replay(ctx, dead)
			})
		},
	}
	f.settleFlags(cmd)
	cmd.Flags().StringArrayVar(&set, "set", nil, "for one id: a corrected `FIELD=VALUE`")
	cmd.Flags().StringVar(&file, "task", "", "for one id: a corrected task in `FILE`")
	return cmd
}

func (a *app) deadDiscardCommand() *cobra.Command {
	var f deadFlags
	var reason string
	cmd := &cobra.Command{
		Use:   "discard --reason TEXT ID... | --all [filters]",
		Short: "Delete dead letters and their tasks in asynq's archive",
		Long: `Delete dead letters and their tasks in asynq's archive. rollcall lanes events
shows who did it, why, and how many were deleted. Without --yes the command only
shows what it would delete.

` + deadWhich + `

` + deadSettleExits,
		Example: `  rollcall dead discard --cause rejected --all --reason "left the school" \
      --yes
  rollcall dead discard --reason "done by hand" --yes \
      0d0cd8f0-8ac5-4c2c-9f6a-5c4f5a4ad3a1`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, ids []string) error {
			if strings.TrimSpace(reason) == "" {
				return cli.BadInput("missing --reason: other operators need the reason")
			}
			w := operation{a: a, ids: ids, flags: f, outcome: deadletter.Discarded, reason: reason}
			return w.run(cmd.Context(), func(ctx context.Context, service store, dead []ledger.DeadLetter) []deadletter.Settled {
				return service.Discard(ctx, dead)
			})
		},
	}
	f.settleFlags(cmd)
	cli.Yes(cmd, &f.yes)
	cmd.Flags().StringVar(&reason, "reason", "", "reason, a `TEXT` for other operators; required")
	return cmd
}

// operation is one replay or discard.
type operation struct {
	a       *app
	ids     []string
	flags   deadFlags
	outcome deadletter.Outcome
	reason  string

	counts  map[deadletter.Outcome]int
	byCause deadletter.Counts
}

type settling func(context.Context, store, []ledger.DeadLetter) []deadletter.Settled

func (e *operation) run(ctx context.Context, do settling) error {
	filter, err := e.flags.filter(e.a.Now())
	switch {
	case err != nil:
		return err
	case len(e.ids) > 0 && (!filter.Zero() || e.flags.all):
		return cli.BadInput("ids cannot be combined with filters or --all: use one or the other")
	case len(e.ids) == 0 && filter.Zero() && !e.flags.all && !e.flags.dryRun:
		return cli.BadInput("no dead letters selected: give ids, or --all with or without filters")
	}
	e.counts, e.byCause = map[deadletter.Outcome]int{}, deadletter.Counts{}
	return e.a.withStore(ctx, false, e.reason, func(ctx context.Context, service store) error {
		if len(e.ids) == 0 && e.rehearses() {
			return e.announce(ctx, service, filter)
		}
		named, err := e.named(ctx, service)
		if err != nil {
			return err
		}
		if len(named) > 0 && e.rehearses() {
			return e.nothingDone(int64(len(named)))
		}
		page := func(dead []ledger.DeadLetter) error {
			settled := do(ctx, service, dead)
			e.report(settled)
			// Redis is unavailable for the other dead letters as well.
			if last := settled[len(settled)-1]; last.Outcome == deadletter.Failed {
				return errStopped
			}
			return ctx.Err()
		}
		if len(named) > 0 {
			err = page(named)
		} else {
			err = service.Each(ctx, filter, page)
		}
		return e.end(ctx, service, err)
	})
}

var errStopped = errors.New("stopped")

// announce prints the dead letters that match the filters.
func (e *operation) announce(ctx context.Context, service store, filter deadletter.Filter) error {
	causes, err := service.Causes(ctx, filter)
	if err != nil {
		return err
	}
	if err := e.a.printCauses(causes); err != nil {
		return err
	}
	return e.nothingDone(sum(causes))
}

// missing returns the flags without which the operation must not run.
func (e *operation) missing() string {
	all := len(e.ids) == 0 && !e.flags.all
	yes := e.outcome == deadletter.Discarded && !e.flags.yes
	switch {
	case all && yes:
		return "--all and --yes"
	case all:
		return "--all"
	case yes:
		return "--yes"
	}
	return ""
}

// rehearses reports whether the operation only shows what it would do.
func (e *operation) rehearses() bool { return e.flags.dryRun || e.missing() != "" }

// nothingDone returns an error that names the missing flags; nil in a dry run.
func (e *operation) nothingDone(dead int64) error {
	if e.flags.dryRun || dead == 0 {
		return nil
	}
	return cli.BadInput("nothing was done: add %s to have %s %s", e.missing(), console.Count(int(dead), "dead letter"), e.outcome)
}

// named reads the dead letters of the given ids, all of them before any is changed.
func (e *operation) named(ctx context.Context, service store) ([]ledger.DeadLetter, error) {
	var dead []ledger.DeadLetter
	seen := map[string]bool{}
	for _, id := range e.ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		found, err := service.Find(ctx, id)
		if err != nil {
			return nil, err
		}
		dead = append(dead, found)
		if e.rehearses() {
			e.line("would be "+string(e.outcome), deadletter.Settled{DeadLetter: found})
		}
	}
	return dead, nil
}

// settledRecord is the outcome for a dead letter, as --json prints it.
type settledRecord struct {
	ID      string `json:"id"` // of the dead letter
	Lane    string `json:"lane"`
	Outcome string `json:"outcome"` // replayed, discarded, underway (the task was already queued again), refused or failed; "would be …" in a dry run
	TaskID  string `json:"task_id,omitzero"`
	Error   string `json:"error,omitzero"` // why
}

// mostFaults bounds the number of remaining dead letters that are listed.
const mostFaults = 20

func (e *operation) report(settled []deadletter.Settled) {
	e.byCause.Add(settled)
	for _, s := range settled {
		e.counts[s.Outcome]++
		kept := s.Outcome == deadletter.Refused || s.Outcome == deadletter.Failed
		if e.a.JSON || len(e.ids) > 0 || kept && e.counts[deadletter.Refused]+e.counts[deadletter.Failed] <= mostFaults {
			e.line(string(s.Outcome), s)
		}
	}
}

func (e *operation) line(outcome string, s deadletter.Settled) {
	r := settledRecord{ID: s.DeadLetter.ID, Lane: s.DeadLetter.Lane, Outcome: outcome, TaskID: s.TaskID}
	if s.Err != nil {
		r.Error = s.Err.Error()
	}
	switch {
	case e.a.JSON:
		_ = e.a.PrintJSON(r) // text always encodes; the exit code reports an output error
	case s.Err != nil:
		console.Fprintf(e.a.Stderr, "%s: %s: %s\n", r.ID, outcome, console.Line(r.Error))
	case r.TaskID != "" && r.TaskID != r.ID:
		console.Fprintf(e.a.Stdout, "%s %s %s as %s\n", outcome, r.Lane, r.ID, r.TaskID)
	default:
		console.Fprintf(e.a.Stdout, "%s %s %s\n", outcome, r.Lane, r.ID)
	}
}

// end adds an event for the dead letters that were settled, even after an error, and
// prints the counts.
func (e *operation) end(ctx context.Context, service store, err error) error {
	noted := service.Note(ctx, e.outcome, e.byCause, e.reason, e.a.Person(e.flags.by))
	if !e.a.JSON {
		var parts []string
		for _, o := range []deadletter.Outcome{deadletter.Replayed, deadletter.Discarded, deadletter.Underway, deadletter.Refused, deadletter.Failed} {
			if n := e.counts[o]; n > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", n, o))
			}
		}
		if len(parts) == 0 {
			parts = []string{"no dead letters"}
		}
		console.Fprintln(e.a.Stdout, strings.Join(parts, ", "))
	}
	if noted != nil {
		console.Fprintln(e.a.Stderr, "warning:", noted)
	}
	switch {
	case e.counts[deadletter.Failed] > 0:
		return &exitcode.Error{Code: cli.NoRedis, Err: errors.New("cannot write some tasks to Redis; their dead letters stay; safe to retry")}
	case err != nil:
		return err
	case e.counts[deadletter.Refused] > 0:
		return &exitcode.Error{Code: exitDeadLetterStays}
	}
	return nil
}
