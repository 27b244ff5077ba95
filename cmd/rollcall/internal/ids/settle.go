package ids

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"rollcall/internal/backlog"
	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/deadletter"
	"rollcall/internal/exitcode"
	"rollcall/internal/hold"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
	"rollcall/internal/privacy"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

// exitUnderway: a task is at the person right now.
const exitUnderway = 3

const idField = "id" // of the ledger

// word is how a person settles an ID change that is in doubt.
type word struct {
	name, done  string
	short, long string
	deletes     bool // dead letters
	settle      func(*ledger.Ledger, context.Context, ledger.Target, string, string) (value, taskID string, err error)
}

var (
	confirms = word{
		name: "confirm", done: "confirmed", deletes: true, settle: (*ledger.Ledger).Confirm,
		short: "Say that an ID change in doubt was applied",
		long: `Say that an ID change in doubt was applied, after you have looked the person up
in the DingTalk admin console. The ID counts as applied when it was sent, and
the person is not asked for another for a year. Dead letters of class unverified
of the person are removed, with their tasks in asynq's archive, which needs
--yes: without it only what would be done is shown.`,
	}
	rejects = word{
		name: "reject", done: "rejected", settle: (*ledger.Ledger).Reject,
		short: "Say that an ID change in doubt was not applied",
		long: `Say that an ID change in doubt was not applied, after you have looked the person
up in the DingTalk admin console. The person may be asked again. Dead letters of
class unverified of the person stay, for you to replay or discard: the commands
are printed. A task that still waits sends the ID again by itself.`,
	}
)

// idFlags name a person, and who settles the doubt about him.
type idFlags struct {
	tenant, user, by string
	dryRun, yes      bool
	personal         bool
}

func (a *app) settleCommand(w word) *cobra.Command {
	var f idFlags
	cmd := &cobra.Command{
		Use:   w.name + " --tenant T --user U",
		Short: w.short,
		Long: w.long + `

Who said so stands in rollcall explain, and among the events: rollcall lanes
events. With --dry-run it is only said what is in doubt.

Exit codes:
  0   done
  3   a task is at the person right now: nothing was done, try again in a minute
  4   Redis cannot be reached: say it again, nothing is done twice
  64  bad usage, a tenant that no worker serves, or nothing is in doubt`,
		Example: `  rollcall ids ` + w.name + ` --tenant lakeside-dt --user u1 --dry-run
  rollcall ids ` + w.name + ` --tenant lakeside-dt --user u1` + map[bool]string{true: " --yes"}[w.deletes],
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

// settledID is what became of a doubt, as --json prints it. Its names are a
// contract.
type settledID struct {
	Outcome string   `json:"outcome"` // confirmed, rejected; would be confirmed, would be rejected
	Lane    string   `json:"lane"`
	Target  string   `json:"target"`
	Value   string   `json:"value,omitzero"` // that was in doubt; not known of an older worker's
	TaskID  string   `json:"task_id,omitzero"`
	State   string   `json:"task_state,omitzero"` // in asynq
	Letters []string `json:"letters,omitempty"`   // confirm: that were removed; reject: to replay or discard
}

func (a *app) settleID(ctx context.Context, w word, f idFlags) error {
	if f.tenant == "" || f.user == "" {
		return cli.BadInput("--tenant and --user are wanted: whose ID is it?")
	}
	return a.WithRedis(ctx, func(ctx context.Context, rdb redis.UniversalClient) error {
		ctx, cancel := context.WithTimeout(ctx, cli.AnswerWithin)
		defer cancel()
		lane, err := a.idLane(ctx, rdb, f.tenant)
		if err != nil {
			return err
		}
		s := idSettlement{app: a, word: w, flags: f, rdb: rdb, lane: lane, ledger: ledger.New(rdb), service: deadletter.New(rdb, nil)}
		s.target, _ = kinds.Change(tasks.IDChange{Tenant: f.tenant, UserID: f.user}, lane.Organisation)
		return s.run(ctx)
	})
}

// idLane finds the lane for ID changes of a tenant.
func (a *app) idLane(ctx context.Context, rdb redis.UniversalClient, tenant string) (registry.Lane, error) {
	lanes, err := registry.Read(ctx, rdb, a.Now())
	if err != nil {
		return registry.Lane{}, err
	}
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
		return registry.Lane{}, cli.BadInput("no worker serves ID changes of any tenant: see whether --redis names the Redis that the workers use")
	}
	return registry.Lane{}, cli.BadInput("no worker serves ID changes of a tenant %q; served are %s", tenant, cli.Listed(names))
}

// idSettlement is one confirm or reject.
type idSettlement struct {
	*app

	word    word
	flags   idFlags
	rdb     redis.UniversalClient
	lane    registry.Lane
	target  ledger.Target
	ledger  *ledger.Ledger
	service *deadletter.Service
}

func (s *idSettlement) run(ctx context.Context) error {
	record, err := s.ledger.Look(ctx, s.target)
	if err != nil {
		return err
	}
	state := record.Fields[idField]
	switch {
	case state.Unknown == 0 && !s.saidBefore(record):
		return cli.BadInput("nothing is in doubt about the ID of this person of %s, so there is nothing to %s: rollcall explain %s USER shows what is known",
			s.flags.tenant, s.word.name, registry.Queue(s.lane.Tenant, s.lane.Kind, false))
	case record.InFlight:
		return s.underway()
	}
	done := settledID{Outcome: s.word.done, Lane: registry.Queue(s.lane.Tenant, s.lane.Kind, false), Target: s.target.Key}
	if state.Intent != nil {
		done.Value, done.TaskID = state.Intent.Value, state.Intent.TaskID
	}
	dead, err := s.dead(ctx)
	if err != nil {
		return err
	}
	if s.rehearses() {
		done.Outcome = "would be " + done.Outcome
	} else if done.Value, done.TaskID, err = s.settle(ctx, done, dead); err != nil {
		return err
	}
	for _, l := range dead {
		done.Letters = append(done.Letters, l.ID)
	}
	if done.TaskID != "" && !slices.Contains(done.Letters, done.TaskID) {
		if done.State, err = s.stateOf(ctx, done.TaskID); err != nil {
			return err
		}
	}
	if !s.flags.personal {
		done.Target = privacy.Target(tasks.KindID, done.Target)
		done.Value = privacy.Value(tasks.KindID, idField, done.Value)
	}
	if s.JSON {
		if err := s.PrintJSON(done); err != nil {
			return err
		}
	} else {
		s.report(done)
	}
	if s.rehearses() && !s.flags.dryRun {
		return cli.BadInput("nothing was done: with --yes, the ID would be %s", s.word.done)
	}
	return nil
}

// rehearses reports whether it is only said what would be done.
func (s *idSettlement) rehearses() bool { return s.flags.dryRun || s.word.deletes && !s.flags.yes }

// saidBefore tells that the same was said last, and may not have come to its end.
func (s *idSettlement) saidBefore(r ledger.Record) bool {
	return len(r.Effects) > 0 && r.Effects[0].Did == s.word.name
}

func (s *idSettlement) underway() error {
	return &exitcode.Error{Code: exitUnderway, Err: errors.New("a task is at this person right now, and may settle it by itself: nothing was done, try again in a minute")}
}

// letters are those of class unverified of the person, of all tenants of the
// organisation.
func (s *idSettlement) dead(ctx context.Context) ([]ledger.DeadLetter, error) {
	var found []ledger.DeadLetter
	err := s.service.Each(ctx, deadletter.Filter{Kind: tasks.KindID, Class: string(outcome.Unverified)}, func(dead []ledger.DeadLetter) error {
		for _, l := range dead {
			if l.Organisation == s.lane.Organisation && l.Target == s.target.Key {
				found = append(found, l)
			}
		}
		return nil
	})
	return found, err
}

// settle writes the person's word down first, and removes letters after: what
// fails in between is done when it is said again.
func (s *idSettlement) settle(ctx context.Context, done settledID, dead []ledger.DeadLetter) (value, taskID string, err error) {
	by := s.Person(s.flags.by)
	value, taskID, err = s.word.settle(s.ledger, ctx, s.target, idField, by)
	switch {
	case errors.Is(err, ledger.ErrUnderway):
		return "", "", s.underway()
	case errors.Is(err, ledger.ErrNothingUnknown): // it was said before
		value, taskID = done.Value, done.TaskID
	case err != nil:
		return "", "", err
	default:
		scope := hold.Scope{Level: hold.Lane, Name: done.Lane}
		if err := hold.Note(ctx, s.rdb, "id."+s.word.done, scope, string(outcome.Unverified), "an ID change in doubt, of task "+taskID, by); err != nil {
			fmt.Fprintln(s.Stderr, "warning:", err)
		}
	}
	if s.word.name == rejects.name {
		return value, taskID, nil
	}
	for _, settled := range s.service.Discard(ctx, dead) {
		if settled.Err != nil {
			return "", "", fmt.Errorf("the ID is %s, and the dead letter of task %s stays: say it again: %w", s.word.done, settled.DeadLetter.ID, settled.Err)
		}
	}
	return value, taskID, nil
}

// stateOf is where a task is in asynq, in whichever of the lane's queues.
func (s *idSettlement) stateOf(ctx context.Context, id string) (string, error) {
	states, _, err := backlog.States(ctx, s.rdb, []backlog.Task{
		{Queue: registry.Queue(s.lane.Tenant, s.lane.Kind, true), ID: id}, {Queue: registry.Queue(s.lane.Tenant, s.lane.Kind, false), ID: id},
	})
	return strings.Join(states, ""), err
}

func (s *idSettlement) report(done settledID) {
	p := s.newPrinter()
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
	if s.word.name == confirms.name {
		for _, id := range done.Letters {
			p.Text(console.Plain, 2, map[bool]string{true: "to be removed", false: "removed"}[s.rehearses()]+": the dead letter of task "+console.Glued(id))
		}
		p.Text(console.Plain, 2, "no other ID is sent for this person until a year after it was sent")
		return
	}
	p.Text(console.Plain, 2, "from now on an ID is sent for this person again, the same or another")
	if len(done.Letters) == 0 && done.State == "" {
		p.Text(console.Plain, 2, "no dead letter holds the change: enqueue it again if it is still needed")
	}
	for _, id := range done.Letters {
		p.Text(console.Plain, 2, "to have it tried again: "+console.Glued("rollcall dead replay "+id))
		p.Text(console.Plain, 2, "or to drop it: "+console.Glued(`rollcall dead discard --reason "..." `+id))
	}
}
