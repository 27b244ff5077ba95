package upload

import (
	"strconv"

	"github.com/spf13/cobra"

	"rollcall/internal/cli"
	"rollcall/internal/run"
	"rollcall/tasks"
)

// RunFlags describe the run that is made of a file.
type RunFlags struct {
	Guards *Guards

	name    string
	canary  string
	trust   bool
	another bool
	by      string
}

// NewRunFlags adds the flags to a command.
func NewRunFlags(cmd *cobra.Command) *RunFlags {
	f := &RunFlags{}
	flags := cmd.Flags()
	flags.StringVar(&f.name, "name", "", "`NAME` of the run, a label for lists")
	flags.StringVar(&f.canary, "canary", "20", "`N` rows must end well before the rest is sent;\n\"chat\": one of each chat; 0: none")
	flags.BoolVar(&f.trust, "trust-previous", false, "a row is unchanged if its column previous says so")
	flags.BoolVar(&f.another, "other-approver", false, "the approval of a held run needs another person")
	f.Guards = NewGuards(cmd)
	cli.By(cmd, &f.by)
	return f
}

// Draft returns the run that the flags describe.
func (f *RunFlags) Draft(a *cli.App) (run.Draft, error) {
	if f.name != "" && !tasks.ValidRun(f.name) {
		return run.Draft{}, cli.BadInput("--name: invalid name %.80q: use 1 to 64 of A-Z, a-z, 0-9, ., _ and -", f.name)
	}
	settings := run.Settings{Allowed: f.Guards.Names(), TrustPrevious: f.trust, OtherApprover: f.another}
	if settings.CanaryChats = f.canary == "chat"; !settings.CanaryChats {
		n, err := strconv.Atoi(f.canary)
		if err != nil || n < 0 {
			return run.Draft{}, cli.BadInput("--canary %.20q: must be chat, or a number of rows, 0 or more", f.canary)
		}
		if settings.Canary = n; n == 0 {
			settings.Canary = -1 // 0 is the default of a run
		}
	}
	return run.Draft{Name: f.name, Author: f.Person(a), Settings: settings}, nil
}

// Person returns who runs the command.
func (f *RunFlags) Person(a *cli.App) string { return a.Person(f.by) }
