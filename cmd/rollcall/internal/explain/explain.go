// Package explain is rollcall explain: it shows everything known about one target.
package explain

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"rollcall/cmd/rollcall/internal/lanes"
	"rollcall/internal/cli"
	"rollcall/internal/console"
	known "rollcall/internal/explain"
	"rollcall/internal/kinds"
	"rollcall/internal/overview"
	"rollcall/internal/remote"
)

// explainFlags are those of explain.
type explainFlags struct {
	task     string
	personal bool
}

// targets is the part of the help about the arguments.
func targets() string {
	return strings.Join(console.Wrap("LANE is the lane as in logs and rollcall lanes. TARGET is "+kinds.Targets()+
		". Use --task where a log masks the target.", cli.Columns), "\n")
}

// Command prints everything known about one target.
func Command(a *cli.App) *cobra.Command {
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
			if a.UsesAPI() {
				return a.WithAPI(cmd.Context(), func(ctx context.Context, client *remote.Client) error {
					return explain(ctx, a, atAPI{client, f.personal}, args, f)
				})
			}
			return a.WithRedisFor(cmd.Context(), cli.AnswerWithin, func(ctx context.Context, rdb redis.UniversalClient) error {
				return explain(ctx, a, inRedis{rdb, known.NewReader(rdb), f.personal}, args, f)
			})
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&f.task, "task", "", "the target of this task, by `ID`")
	cli.PersonalData(cmd, &f.personal)
	return cmd
}

// explanation is everything known about a target, and the state of the lanes.
type explanation struct {
	*known.Target

	personal bool // the person wants to see names and ids of people
	survey   *lanes.Survey
	lane     overview.Lane
}

func explain(ctx context.Context, a *cli.App, from source, args []string, f explainFlags) error {
	s, err := from.survey(ctx, a.Now())
	if err != nil {
		return err
	}
	x := &explanation{personal: f.personal, survey: s}
	var name, key string
	if f.task != "" {
		name, key, err = from.task(ctx, s, f.task)
	} else {
		name, key = args[0], args[1]
	}
	if err == nil {
		x.lane, err = s.Named(name)
	}
	if err != nil {
		return err
	}
	if why := kinds.WrongKey(x.lane.Kind, key); why != "" && f.task == "" {
		return cli.BadInput("invalid target: %s", why)
	}
	if x.Target, err = from.read(ctx, x.lane, key, f.task, a.Now()); err != nil {
		return err
	}
	if a.JSON {
		return a.PrintJSON(x.json())
	}
	(&printer{a.NewPrinter()}).explanation(x)
	return nil
}
