// Package explain is rollcall explain: it shows everything known about one target.
package explain

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"rollcall/cmd/rollcall/internal/lanes"
	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/deadletter"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/privacy"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

// explainFlags are those of explain.
type explainFlags struct {
	task     string
	personal bool
}

// targets is the part of the help about the arguments.
func targets() string {
	var all []string
	for _, k := range kinds.All() {
		all = append(all, k.Target)
	}
	return strings.Join(console.Wrap("LANE is the lane as in logs and rollcall lanes. TARGET is "+strings.Join(all, ", ")+
		". Use --task where a log masks the target.", cli.Columns), "\n")
}

// app is one call of the command.
type app struct{ *cli.App }

// Command prints everything known about one target.
func Command(cliApp *cli.App) *cobra.Command {
	a := &app{cliApp}
	var f explainFlags
	cmd := &cobra.Command{
		Use:   "explain LANE TARGET | --task ID",
		Short: "Explain the state of one target",
		Long: `Explain the state of one target. The first line is a summary. Then follow the
latest change and the state of its task, the applied value and its time, unknown
outcomes, running and waiting tasks, the last ten effects with the platform's
request ids, dead letters, and the state of the lane.

` + targets() + `

Names and ids of people are masked without --show-personal-data.

Exit codes:
  0   done, even if nothing is known about the target
  4   cannot read Redis
  64  wrong usage, no worker serves the lane, or the task is unknown`,
		Example: `  rollcall explain lakeside-dt.nickname chat1/u1
  rollcall explain lakeside-dt.id u1 --show-personal-data
  rollcall explain --task 0d0cd8f0-8ac5-4c2c-9f6a-5c4f5a4ad3a1`,
		Args: func(_ *cobra.Command, args []string) error {
			if f.task == "" && len(args) != 2 || f.task != "" && len(args) > 0 {
				return errors.New("expected LANE TARGET, such as lakeside-dt.nickname chat1/u1, or --task ID alone")
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.WithRedis(cmd.Context(), func(ctx context.Context, rdb redis.UniversalClient) error {
				ctx, cancel := context.WithTimeout(ctx, cli.AnswerWithin)
				defer cancel()
				return a.explain(ctx, rdb, args, f)
			})
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&f.task, "task", "", "the target of this task, by `ID`")
	cli.PersonalData(cmd, &f.personal)
	return cmd
}

// explanation is everything known about a target.
type explanation struct {
	personal bool
	now      time.Time
	survey   *lanes.Survey
	lane     lanes.State
	record   ledger.Record
	tasks    map[string]taskFacts // of the record, by id
	dead     []ledger.DeadLetter  // of the target
	resendAt time.Time            // when the applied values are sent once more, at the earliest; zero: never
	more     bool                 // the lane has more dead letters than were read
	words    []string             // names and ids of people in the record
}

// taskFacts is the state of a task.
type taskFacts struct {
	ID    string
	Queue string
	State string // in asynq; "" if it does not know the task
	Next  time.Time
	Error string // of its last attempt
	Open  bool   // not ended, according to the ledger
	dead  *ledger.DeadLetter
}

func (a *app) explain(ctx context.Context, rdb redis.UniversalClient, args []string, f explainFlags) error {
	s, err := lanes.Read(ctx, rdb, a.Now())
	if err != nil {
		return err
	}
	x := &explanation{personal: f.personal, now: a.Now(), survey: s, tasks: map[string]taskFacts{}}
	r := &reader{rdb: rdb, ledger: ledger.New(rdb), service: deadletter.New(rdb, nil), inspector: asynq.NewInspectorFromRedisClient(rdb)}
	var key string
	if f.task != "" {
		x.lane, key, err = r.find(ctx, s, f.task)
	} else {
		x.lane, err = s.Named(args[0])
		key = args[1]
	}
	if err == nil && x.lane.Kind == tasks.KindNickname && strings.Count(key, "/") != 1 {
		err = cli.BadInput("invalid target: for a nickname, use chat/user with one slash; escape a slash or percent sign in an id as %%2F or %%25")
	}
	if err != nil {
		return err
	}
	if err := r.read(ctx, x, key); err != nil {
		return err
	}
	if a.JSON {
		return a.PrintJSON(x.json())
	}
	(&printer{a.NewPrinter()}).explanation(x)
	return nil
}

// reader reads everything known about a target.
type reader struct {
	rdb       redis.UniversalClient
	ledger    *ledger.Ledger
	service   *deadletter.Service
	inspector *asynq.Inspector
}

// find returns the target of a task, from its dead letter, the ledger or asynq. It
// costs some round trips per lane.
func (r *reader) find(ctx context.Context, s *lanes.Survey, id string) (lanes.State, string, error) {
	dead, err := r.service.Find(ctx, id)
	if err == nil && dead.Target != "" {
		lane, err := s.Named(dead.Lane)
		return lane, dead.Target, err
	}
	if _, missing := errors.AsType[*deadletter.MissingError](err); err != nil && !missing {
		return lanes.State{}, "", err
	}
	for _, l := range s.Lanes {
		open, found, err := r.ledger.OpenTask(ctx, l.Organisation, string(l.Kind), id)
		if err != nil {
			return lanes.State{}, "", err
		}
		if tenant, kind, _, ok := registry.ParseQueue(open.Queue); found && ok && tenant == l.Tenant && kind == l.Kind {
			return l, open.Change.Target.Key, nil
		}
		for _, urgent := range []bool{true, false} {
			info, err := r.info(registry.Queue(l.Tenant, l.Kind, urgent), id)
			if err != nil {
				return lanes.State{}, "", err
			}
			if info == nil {
				continue
			}
			task, _, err := kinds.Decode(info.Type, info.Payload)
			if err != nil {
				return lanes.State{}, "", cli.BadInput("task %s of %s: cannot read its target: %w", id, l.Name(), err)
			}
			target, _ := kinds.Change(task, l.Organisation)
			return l, target.Key, nil
		}
	}
	return lanes.State{}, "", cli.BadInput("task %.100q not found: it may have ended; give LANE and TARGET instead", id)
}

// info returns asynq's record of a task; nil: none, or one that it cannot decode.
func (r *reader) info(queue, id string) (*asynq.TaskInfo, error) {
	info, err := r.inspector.GetTaskInfo(queue, id)
	switch {
	case err == nil:
		return info, nil
	case errors.Is(err, asynq.ErrTaskNotFound), errors.Is(err, asynq.ErrQueueNotFound), strings.Contains(err.Error(), "could not decode"):
		return nil, nil //nolint:nilnil // it is not there
	}
	return nil, err
}

const (
	// deadLettersRead bounds the dead letters of a lane that are read to find those of
	// a target, which takes about a second. The dead letters of tasks in the record are
	// always found.
	deadLettersRead = 1000
	deadLetterPage  = 100
	// editsShown bounds how many open edits are looked up.
	editsShown = 10
)

func (r *reader) read(ctx context.Context, x *explanation, key string) (err error) {
	target := ledger.Target{Organisation: x.lane.Organisation, API: string(x.lane.Kind), Key: key}
	if x.record, err = r.ledger.Look(ctx, target); err != nil {
		return err
	}
	x.words = wordsOf(x.lane.Kind, x.record)
	if x.resendAt, err = r.ledger.ResendAt(ctx, target, x.lane.Tenant); err != nil {
		return err
	}
	if err := r.readDeadLetters(ctx, x); err != nil {
		return err
	}
	for _, id := range named(x.record) {
		if x.tasks[id], err = r.task(ctx, x, id); err != nil {
			return err
		}
	}
	return nil
}

// named are the tasks that a record names, but those that have ended well.
func named(r ledger.Record) []string {
	var ids []string
	for _, name := range r.Names() {
		if f := r.Fields[name]; f.TaskID != "" {
			ids = append(ids, f.TaskID)
		}
		if f := r.Fields[name]; f.Intent != nil {
			ids = append(ids, f.Intent.TaskID)
		}
	}
	for _, e := range r.Edits[:min(len(r.Edits), editsShown)] {
		ids = append(ids, e.TaskID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// wordsOf returns the names and ids of people in a record.
func wordsOf(kind tasks.Kind, record ledger.Record) []string {
	words := privacy.WordsOfTarget(kind, record.Target.Key)
	for name, f := range record.Fields {
		for _, value := range []string{f.Value, f.Wanted} {
			words = append(words, privacy.WordsOfValue(kind, name, value)...)
		}
		if f.Intent != nil {
			words = append(words, privacy.WordsOfValue(kind, name, f.Intent.Value)...)
		}
	}
	for _, e := range record.Effects {
		for name, value := range e.Set {
			words = append(words, privacy.WordsOfValue(kind, name, value)...)
		}
	}
	return words
}

func (r *reader) readDeadLetters(ctx context.Context, x *explanation) error {
	var from ledger.Cursor
	for n := 0; ; n += deadLetterPage {
		dead, next, err := r.ledger.DeadPage(ctx, ledger.DeadLetterFilter{Lane: x.lane.Name()}, from, deadLetterPage)
		if err != nil {
			return err
		}
		for _, l := range dead {
			if l.Target == x.record.Target.Key {
				x.dead = append(x.dead, l)
			}
		}
		if next == "" {
			return nil
		}
		if from = next; n+deadLetterPage >= deadLettersRead {
			x.more = true
			return nil
		}
	}
}

// task returns the state of a task, from the queue in its record, or else from both
// queues of the lane.
func (r *reader) task(ctx context.Context, x *explanation, id string) (taskFacts, error) {
	facts := taskFacts{ID: id}
	open, found, err := r.ledger.OpenTask(ctx, x.lane.Organisation, string(x.lane.Kind), id)
	if err != nil {
		return facts, err
	}
	facts.Open = found
	lane := x.lane.Name()
	queues := []string{registry.Queue(x.lane.Tenant, x.lane.Kind, true), lane}
	if tenant, kind, _, ok := registry.ParseQueue(open.Queue); ok {
		facts.Queue, queues, lane = open.Queue, []string{open.Queue}, registry.Queue(tenant, kind, false)
	}
	for _, queue := range queues {
		info, err := r.info(queue, id)
		if err != nil {
			return facts, err
		}
		if info != nil {
			words := append(privacy.WordsOf(info.Type, info.Payload), info.Headers[kinds.KeyHeader])
			facts.Queue, facts.State, facts.Error, facts.Next = queue, info.State.String(), x.masked(info.LastErr, words...), info.NextProcessAt
			break
		}
	}
	deadLetter, dead, err := r.ledger.DeadLetter(ctx, lane, id)
	if err != nil || !dead {
		return facts, err
	}
	facts.dead = &deadLetter
	if !slices.ContainsFunc(x.dead, func(l ledger.DeadLetter) bool { return l.ID == id }) {
		x.dead = append(x.dead, deadLetter)
	}
	return facts, nil
}
