package cli

import (
	"cmp"
	"fmt"

	"github.com/spf13/cobra"
)

// By adds --by, which names the person who gives the command.
func By(cmd *cobra.Command, by *string) {
	cmd.Flags().StringVar(by, "by", "", "`NAME` of who says so (default: user@host)")
}

// Person is the flag --by, or who gives the command as far as the process knows:
// the audit log shows the name with the change.
func (a *App) Person(by string) string {
	if by != "" {
		return by
	}
	user := cmp.Or(a.process.Getenv("USER"), a.process.Getenv("LOGNAME"), "somebody")
	host, err := a.process.Hostname()
	if err != nil || host == "" {
		return user
	}
	return user + "@" + host
}

// PersonalData adds --show-personal-data, without which people are masked.
func PersonalData(cmd *cobra.Command, personal *bool) {
	cmd.Flags().BoolVar(personal, "show-personal-data", false, "names and ids of people as they are")
}

// DryRun adds --dry-run to a command that changes something.
func DryRun(cmd *cobra.Command, dryRun *bool) {
	cmd.Flags().BoolVar(dryRun, "dry-run", false, "only say what would be done")
}

// Yes adds --yes to a command that deletes something.
func Yes(cmd *cobra.Command, yes *bool) {
	cmd.Flags().BoolVar(yes, "yes", false, "do it: without it the command only says what it\nwould delete")
}

// Limit adds -n, whose default is the value of n.
func Limit(cmd *cobra.Command, n *int, usage string) {
	cmd.Flags().IntVarP(n, "limit", "n", *n, usage)
}

// Exactly wants one argument, and says what it is.
func Exactly(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("%d arguments are given, one is wanted: %s (quote it if it holds spaces)", len(args), what)
		}
		return nil
	}
}
