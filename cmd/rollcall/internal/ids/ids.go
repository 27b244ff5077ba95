// Package ids is rollcall ids: ID changes that a person must settle.
package ids

import (
	"github.com/spf13/cobra"

	"rollcall/internal/cli"
)

// app is one call of the command.
type app struct{ *cli.App }

// Command shows ID changes that may or may not have been applied; the commands
// below it settle them.
func Command(cliApp *cli.App) *cobra.Command {
	a := &app{cliApp}
	cmd := &cobra.Command{
		Use:   "ids",
		Short: "Show and settle ID changes that may or may not have been applied",
		Long: `Show and settle ID changes that may or may not have been applied. DingTalk
cannot be asked which ID an employee has, so a person looks it up and says so.`,
		Example: `  rollcall ids list
  rollcall ids confirm --tenant lakeside-dt --user u1
  rollcall ids reject --tenant lakeside-dt --user u1`,
	}
	cli.HelpWhenBare(cmd)
	cmd.AddCommand(a.listCommand(), a.settleCommand(confirms), a.settleCommand(rejects))
	return cmd
}

type printer struct{ *cli.Printer }

func (a *app) newPrinter() *printer { return &printer{a.NewPrinter()} }
