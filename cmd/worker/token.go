package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall/internal/access"
	"rollcall/internal/console"
	"rollcall/internal/exitcode"
)

func (p *program) tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make tokens of the HTTP API",
		Long: `token makes tokens of the HTTP API. Their hashes are in the worker's
configuration, under api.`,
		Example: "  worker token new --name grades --scope enqueue",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.newTokenCommand())
	return cmd
}

type tokenOptions struct {
	name, expires   string
	scopes, tenants []string
}

// tokenFor is how long a token is valid by default.
const tokenFor = 365 * 24 * time.Hour

func (p *program) newTokenCommand() *cobra.Command {
	var o tokenOptions
	cmd := &cobra.Command{
		Use:   "new",
		Short: "Make a token",
		Long: `new makes a random token, prints it once, and prints its hash and the lines for
the worker's configuration. Nothing is stored or sent.

To replace a token, write both hashes into its file, send SIGHUP to the workers,
give the new token to the service, and remove the old hash afterwards.`,
		Example: "  worker token new --name grades --scope enqueue,read --tenant lakeside-dt\n" +
			"  worker token new --name dashboard --scope read --expires 2027-06-30",
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return p.newToken(o, time.Now()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.name, "name", "", "`name` of the token, of a-z, 0-9 and -")
	flags.StringSliceVar(&o.scopes, "scope", nil, "`scopes`: enqueue, read, operate, approve, names")
	flags.StringSliceVar(&o.tenants, "tenant", nil, "`tenants` that it may use (default all)")
	flags.StringVar(&o.expires, "expires", "", "last `day`, such as 2027-06-30 (default in a year)")
	return cmd
}

var tokenName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,38}$`)

func (o tokenOptions) check(now time.Time) error {
	switch {
	case !tokenName.MatchString(o.name):
		return errors.New("--name needs 1 to 39 of a-z, 0-9 and -, not beginning with -")
	case len(o.scopes) == 0:
		return errors.New("missing --scope: enqueue, read, operate, approve or names")
	}
	for _, s := range o.scopes {
		if !slices.Contains(access.Scopes(), access.Scope(s)) {
			return fmt.Errorf("unknown --scope %.40q: it is one of enqueue, read, operate, approve and names", s)
		}
	}
	for _, t := range o.tenants {
		if !tokenName.MatchString(t) {
			return fmt.Errorf("--tenant %.40q is no name of a tenant", t)
		}
	}
	day, err := time.Parse(time.DateOnly, o.expires)
	if err != nil {
		return fmt.Errorf("--expires %.40q is no date; write it as in 2027-06-30", o.expires)
	}
	if day.Before(now.UTC().Truncate(24 * time.Hour)) {
		return fmt.Errorf("--expires %s has passed", o.expires)
	}
	return nil
}

func (p *program) newToken(o tokenOptions, now time.Time) error {
	if o.expires == "" {
		o.expires = now.UTC().Add(tokenFor).Format(time.DateOnly)
	}
	if err := o.check(now); err != nil {
		return exitcode.AsUsage(err)
	}
	token := access.NewSecret()
	console.Fprintf(p.stdout, `The token, shown this once; give it to the service in private:

  %s

Write its hash into a file that others cannot read, such as tokens/%s:

  %s

Add these lines to the worker's configuration, and send SIGHUP to the workers:

api:
  tokens:
    - name: %s
      scopes: [%s]
`, token.Reveal(), o.name, access.HashOf(token.Reveal()), o.name, strings.Join(o.scopes, ", "))
	if len(o.tenants) > 0 {
		console.Fprintf(p.stdout, "      tenants: [%s]\n", strings.Join(o.tenants, ", "))
	}
	console.Fprintf(p.stdout, "      expires: \"%s\"\n      hash: {file: tokens/%s}\n", o.expires, o.name)
	return nil
}
