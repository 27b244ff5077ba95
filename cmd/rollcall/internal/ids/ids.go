// Package ids is rollcall ids: it shows ID changes with an unknown outcome, and settles
// them.
package ids

import (
	"github.com/spf13/cobra"

	"rollcall/internal/cli"
)

// app is one call of the command.
type app struct{ *cli.App }

// Command shows ID changes with an unknown outcome; its subcommands settle them.
func Command(cliApp *cli.App) *cobra.Command {
	a := &app{cliApp}
	cmd := &cobra.Command{
		Use:   "ids",
		Short: "Show and settle ID changes with an unknown outcome",
		Long: `Show and settle ID changes with an unknown outcome, which may have been
applied or not. DingTalk has no API to read an employee's ID, so you must look
it up in the admin console.`,
		Example: `  rollcall ids list
  rollcall ids confirm --tenant lakeside-dt --user u1
  rollcall ids reject --tenant lakeside-dt --user u1`,
	}
	cli.HelpWhenBare(cmd)
	cmd.AddCommand(a.listCommand(), a.settleCommand(confirms), a.settleCommand(rejects))
	return cmd
}
