package ids

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"rollcall/internal/backlog"
	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/exitcode"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/privacy"
	"rollcall/internal/registry"
	"rollcall/internal/unverified"
	"rollcall/tasks"
)

// exitUnderway: a task is running for the employee.
const exitUnderway = 3

// verdict is how a person settles an ID change with an unknown outcome.
type verdict struct {
	unverified.Verdict

	short, long string
	deletes     bool // dead letters
}

var (
	confirms = verdict{
		Verdict: unverified.Confirm, deletes: true,
		short: "Record that an ID change was applied",
		long: `Record that an ID change with an unknown outcome was applied. First look up the
employee's ID in the DingTalk admin console. The ID then counts as applied at
the time it was sent, and no other ID is sent for the employee for a year. The
employee's dead letters of class unverified are deleted with their tasks in
asynq's archive. This needs --yes: without it the command only shows what it
would do.`,
	}
	rejects = verdict{
		Verdict: unverified.Reject,
		short:   "Record that an ID change was not applied",
		long: `Record that an ID change with an unknown outcome was not applied. First look up
the employee's ID in the DingTalk admin console. IDs can then be sent for the
employee again. The employee's dead letters of class unverified stay: replay or
discard them with the commands that are printed. A task that still waits sends
the ID again.`,
	}
)

// idFlags name an employee, and the person who settles the ID change.
type idFlags struct {
	tenant, user, by string
	dryRun, yes      bool
	personal         bool
}

func (a *app) settleCommand(w verdict) *cobra.Command {
	var f idFlags
	cmd := &cobra.Command{
		Use:   string(w.Verdict) + " --tenant T --user U",
		Short: w.short,
		Long: w.long + `

rollcall explain and rollcall lanes events show who settled it. With --dry-run
the command only shows the ID change.

Exit codes:
  0   done
  3   a task is running for the employee: nothing was done, retry in a minute
  4   cannot reach Redis; safe to retry
  64  wrong usage, no worker serves the tenant, or no unknown outcome`,
		Example: `  rollcall ids ` + string(w.Verdict) + ` --tenant lakeside-dt --user u1 --dry-run
  rollcall ids ` + string(w.Verdict) + ` --tenant lakeside-dt --user u1` + map[bool]string{true: " --yes"}[w.deletes],
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.settleID(cmd.Context(), w, f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.tenant, "tenant", "", "`NAME` of the tenant in the configuration")
	flags.StringVar(&f.user, "user", "", "the employee's user `ID`")
	cli.DryRun(cmd, &f.dryRun)
	if w.deletes {
		cli.Yes(cmd, &f.yes)
	}
	cli.By(cmd, &f.by)
	cli.PersonalData(cmd, &f.personal)
	return cmd
}

// settledID is a settled ID change, as --json prints it. Its names are stable.
type settledID struct {
	Outcome string   `json:"outcome"` // confirmed, rejected; would be confirmed, would be rejected
	Lane    string   `json:"lane"`
	Target  string   `json:"target"`
	Value   string   `json:"value,omitzero"` // the ID; empty if an older worker sent it
	TaskID  string   `json:"task_id,omitzero"`
	State   string   `json:"task_state,omitzero"` // in asynq
	Letters []string `json:"letters,omitempty"`   // dead letters; confirm: deleted; reject: to replay or discard
}

func (a *app) settleID(ctx context.Context, w verdict, f idFlags) error {
	if f.tenant == "" || f.user == "" {
		return cli.BadInput("missing --tenant or --user: both are required")
	}
	return a.WithRedisFor(ctx, cli.AnswerWithin, func(ctx context.Context, rdb redis.UniversalClient) error {
		lanes, err := registry.Read(ctx, rdb, a.Now())
		if err != nil {
			return err
		}
		lane, err := idLane(lanes, f.tenant)
		if err != nil {
			return err
		}
		s := idSettlement{app: a, verdict: w, flags: f, rdb: rdb, service: unverified.New(rdb)}
		target, _ := kinds.Change(tasks.IDChange{Tenant: f.tenant, UserID: f.user}, lane.Organisation)
		if s.change, err = s.service.Look(ctx, lane, target); err != nil {
			return err
		}
		return s.run(ctx)
	})
}

// idLane returns the lane for ID changes of a tenant.
func idLane(lanes []registry.Lane, tenant string) (registry.Lane, error) {
	var names []string
	for _, l := range lanes {
		if l.Kind != tasks.KindID {
			continue
		}
		if l.Tenant == tenant {
			return l, nil
		}
		names = append(names, l.Tenant)
	}
	if len(names) == 0 {
		return registry.Lane{}, cli.BadInput("no worker serves ID changes: check that --redis names the Redis that the workers use")
	}
	return registry.Lane{}, cli.BadInput("no worker serves ID changes of tenant %q; served tenants: %s", tenant, cli.Listed(names))
}

// idSettlement is one confirm or reject.
type idSettlement struct {
	*app

	verdict verdict
	flags   idFlags
	rdb     redis.UniversalClient
	service *unverified.Service
	change  unverified.Change
}

func (s *idSettlement) laneName() string {
	return registry.Queue(s.change.Lane.Tenant, s.change.Lane.Kind, false)
}

func (s *idSettlement) run(ctx context.Context) error {
	switch {
	case !s.change.Open(s.verdict.Verdict):
		return s.nothing()
	case s.change.Running:
		return s.underway()
	}
	done := settledID{
		Outcome: s.verdict.Done(), Lane: s.laneName(), Target: s.change.Target.Key, Value: s.change.Value, TaskID: s.change.TaskID,
	}
	var err error
	if s.rehearses() {
		done.Outcome = "would be " + done.Outcome
	} else if done.Value, done.TaskID, err = s.settle(ctx); err != nil {
		return err
	}
	for _, l := range s.change.Dead {
		done.Letters = append(done.Letters, l.ID)
	}
	if done.TaskID != "" && !slices.Contains(done.Letters, done.TaskID) {
		if done.State, err = s.stateOf(ctx, done.TaskID); err != nil {
			return err
		}
	}
	if !s.flags.personal {
		done.Target = privacy.Target(tasks.KindID, done.Target)
		done.Value = privacy.Value(tasks.KindID, unverified.Field, done.Value)
	}
	if s.JSON {
		if err := s.PrintJSON(done); err != nil {
			return err
		}
	} else {
		s.report(done)
	}
	if s.rehearses() && !s.flags.dryRun {
		return cli.BadInput("nothing was done: add --yes to have the ID %s", s.verdict.Done())
	}
	return nil
}

func (s *idSettlement) nothing() error {
	return cli.BadInput("this employee of %s has no ID change with an unknown outcome, so there is nothing to %s; for details: rollcall explain %s USER",
		s.flags.tenant, s.verdict.Verdict, s.laneName())
}

// rehearses reports whether the command only shows what it would do.
func (s *idSettlement) rehearses() bool { return s.flags.dryRun || s.verdict.deletes && !s.flags.yes }

func (s *idSettlement) underway() error {
	return &exitcode.Error{Code: exitUnderway, Err: errors.New("a task is running for this employee and may settle the ID change: nothing was done; retry in a minute")}
}

func (s *idSettlement) settle(ctx context.Context) (value, taskID string, err error) {
	value, taskID, err = s.service.Settle(ctx, s.change, s.verdict.Verdict, s.Person(s.flags.by))
	unnoted, done := errors.AsType[*unverified.UnnotedError](err)
	switch {
	case done:
		console.Fprintln(s.Stderr, "warning:", unnoted)
		return value, taskID, nil
	case errors.Is(err, ledger.ErrUnderway):
		return "", "", s.underway()
	case errors.Is(err, ledger.ErrNothingUnknown):
		return "", "", s.nothing()
	}
	return value, taskID, err
}

// stateOf returns the state of a task in asynq, in either queue of the lane.
func (s *idSettlement) stateOf(ctx context.Context, id string) (string, error) {
	states, _, err := backlog.States(ctx, s.rdb, []backlog.Task{
		{Queue: registry.Queue(s.change.Lane.Tenant, s.change.Lane.Kind, true), ID: id}, {Queue: s.laneName(), ID: id},
	})
	return strings.Join(states, ""), err
}

func (s *idSettlement) report(done settledID) {
	p := s.NewPrinter()
	what := "the ID "
	if done.Value != "" {
		what += done.Value + " "
	}
	p.Text(console.Bold, 0, done.Outcome+": "+what+"of "+done.Target+" in "+done.Lane)
	if done.TaskID != "" {
		text := "sent by task " + console.Glued(done.TaskID)
		if done.State != "" {
			text += ", which is " + done.State
		}
		p.Text(console.Plain, 2, text)
	}
	if s.verdict.Verdict == unverified.Confirm {
		for _, id := range done.Letters {
			p.Text(console.Plain, 2, map[bool]string{true: "would be deleted", false: "deleted"}[s.rehearses()]+": dead letter of task "+console.Glued(id))
		}
		p.Text(console.Plain, 2, "no other ID is sent for this employee for a year after this one was sent")
		return
	}
	p.Text(console.Plain, 2, "IDs are sent for this employee again: the same or another")
	if len(done.Letters) == 0 && done.State == "" {
		p.Text(console.Plain, 2, "no dead letter for this change: enqueue it again if it is still needed")
	}
	for _, id := range done.Letters {
		p.Text(console.Plain, 2, "to retry it: "+console.Glued("rollcall dead replay "+id))
		p.Text(console.Plain, 2, "or to discard it: "+console.Glued(`rollcall dead discard --reason "..." `+id))
	}
}
