// Command rollcall is for administrators and operators: it plans, applies and
// undoes runs, shows the state of lanes and tasks, holds and releases lanes, settles
// dead letters and ID changes, and shows and steers schedules.
//
// It must not import a platform: only workers call one.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"rollcall/cmd/rollcall/internal/apply"
	"rollcall/cmd/rollcall/internal/dead"
	"rollcall/cmd/rollcall/internal/explain"
	"rollcall/cmd/rollcall/internal/find"
	"rollcall/cmd/rollcall/internal/forget"
	"rollcall/cmd/rollcall/internal/ids"
	"rollcall/cmd/rollcall/internal/lanes"
	"rollcall/cmd/rollcall/internal/plan"
	"rollcall/cmd/rollcall/internal/repair"
	"rollcall/cmd/rollcall/internal/runs"
	"rollcall/cmd/rollcall/internal/schedule"
	"rollcall/cmd/rollcall/internal/template"
	"rollcall/internal/cli"
)

func main() {
	os.Exit(cli.Main("rollcall", cli.Process{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Hostname: os.Hostname,
	}, command))
}

// command builds the command.
func command(a *cli.App) *cobra.Command {
	root := a.Root(&cobra.Command{
		Use:   "rollcall",
		Short: "Plan and apply changes, and control rollcall's workers",
		Long: `Plan and apply the changes of a file, watch them and take them back. Show and
control the work of rollcall's workers: the state of lanes, everything known
about a target, and what an operator must decide.

` + cli.RedisHelp + `

` + cli.APIHelp + `
plan, apply, run, lanes (but not hold, release and events), explain, and dead
list, replay and discard work with it. The other commands need Redis.

Exit codes; some commands add their own:
  0   done
  1   a failure while running, such as an output error
  4   Redis or the API cannot be read or written
  64  wrong usage: nothing was done
  78  ROLLCALL_REDIS_URL or ROLLCALL_REDIS_URL_FILE names no usable Redis, or
      ROLLCALL_API or ROLLCALL_TOKEN_FILE no usable API`,
		Example: `  rollcall plan --tenant lakeside-dt --chat chat1 names.csv
  rollcall apply rsdf3k2m7q4wxyzab --digest 3f9a01b2
  rollcall run watch spring-term
  rollcall lanes
  rollcall lanes hold lakeside-dt.nickname --reason "wrong roster" --for 2h
  rollcall find u1
  rollcall explain lakeside-dt.nickname chat1/u1
  rollcall dead list
  rollcall ids list
  rollcall schedule list`,
	}, "print JSON, one object per line")
	root.AddCommand(plan.Command(a), apply.Command(a), runs.Command(a), lanes.Command(a), explain.Command(a), find.Command(a), dead.Command(a), ids.Command(a), repair.Command(a), forget.Command(a), template.Command(a), schedule.Command(a))
	return root
}
