package cli

import (
	"cmp"
	"fmt"

	"github.com/spf13/cobra"
)

// By adds --by, the name of the person who runs the command.
func By(cmd *cobra.Command, by *string) {
	cmd.Flags().StringVar(by, "by", "", "your `NAME`, for the audit log (default: user@host)")
}

// Person returns the flag --by, or user@host of the process. The audit log shows the
// name with the change.
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
	cmd.Flags().BoolVar(personal, "show-personal-data", false, "show names and ids of people unmasked")
}

// DryRun adds --dry-run to a command that changes something.
func DryRun(cmd *cobra.Command, dryRun *bool) {
	cmd.Flags().BoolVar(dryRun, "dry-run", false, "only show what would be done")
}

// Yes adds --yes to a command that deletes something.
func Yes(cmd *cobra.Command, yes *bool) {
	cmd.Flags().BoolVar(yes, "yes", false, "delete; without it the command only shows what it\nwould delete")
}

// Limit adds -n, whose default is the value of n, and refuses less than least.
func Limit(cmd *cobra.Command, n *int, least int, usage string) {
	cmd.Flags().IntVarP(n, "limit", "n", *n, usage)
	before(cmd, func() error {
		if *n < least {
			return BadInput("-n %d: must be %d or more", *n, least)
		}
		return nil
	})
}

// Language adds --lang, en or zh, the language of what.
func Language(cmd *cobra.Command, lang *string, what string) {
	cmd.Flags().StringVar(lang, "lang", "en", "`LANGUAGE` of "+what+": en or zh")
	before(cmd, func() error {
		if *lang != "en" && *lang != "zh" {
			return BadInput("--lang %.20q: must be en or zh", *lang)
		}
		return nil
	})
}

// before adds a check of the flags that are read, after those that were added earlier.
func before(cmd *cobra.Command, check func() error) {
	earlier := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if earlier != nil {
			if err := earlier(cmd, args); err != nil {
				return err
			}
		}
		return check()
	}
}

// Exactly refuses all but one argument. Messages call it name.
func Exactly(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return fmt.Errorf("missing argument: %s", name)
		case 1:
			return nil
		}
		return fmt.Errorf("too many arguments: %d instead of one %s; quote it if it contains spaces", len(args), name)
	}
}
