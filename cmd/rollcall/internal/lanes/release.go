package lanes

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/exitcode"
	"rollcall/internal/hold"
)

type releaseFlags struct {
	by    string
	wait  time.Duration
	force bool
}

func (a *app) releaseCommand() *cobra.Command {
	var f releaseFlags
	cmd := &cobra.Command{
		Use:   "release SCOPE",
		Short: "End the hold of a lane, a tenant or an organisation",
		Long: `End the hold of a lane, a tenant or an organisation, after you fixed its cause.

` + scopeHelp + `

The effect depends on the hold:

  by a person            ends
  refused or failing     a worker probes now, and the hold ends if the probe
                         succeeds; the probe may be a waiting task
  quota, as reported by  ends: use this after you bought more calls
  the platform
  quota of the           stays: raise the quota in the configuration and reload
  configuration          the workers, which then end the hold
  banned                 a worker probes now if a token request can show the
                         end of the ban; a ban that the platform reported ends
                         with --force only, as it may ban again at once

With the last hold, a pause of the lanes after refusals for the rate also ends.
The command prints every other cause that stops a lane: holds of other scopes, a
pause of its address, asynq's pause button, no worker.

Exit codes:
  0   the scope is not on hold, or, with --wait 0, the probe was requested
  3   the scope is still on hold, or a hold of a wider scope or a pause of its
      address stops it; the command prints which
  4   cannot reach Redis; safe to retry
  64  wrong usage, or no worker serves the scope`,
		Example: `  rollcall lanes release lakeside-dt.nickname
  rollcall lanes release tenant lakeside-dt --wait 30s
  rollcall lanes release organisation lakeside`,
		Args: scopeArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return a.release(cmd.Context(), args, f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	cli.By(cmd, &f.by)
	flags.DurationVar(&f.wait, "wait", 5*time.Second, "longest wait for the probe; 0: do not wait")
	flags.BoolVar(&f.force, "force", false, "end a ban early, and other holds without a probe")
	return cmd
}

// The outcomes for a hold, in --json.
const (
	stepEnded   = "lifted"
	stepProbing = "probing" // requested, not waited for
	stepHeld    = "still_held"
)

// step is the outcome of release for one hold; its names are stable.
type step struct {
	Outcome string `json:"outcome"` // of a hold: entered, changed or same; of a release: lifted, probing or still_held
	holdRecord

	Message string `json:"message,omitzero"` // why it is still held
}

// exitHeld: the scope is still on hold.
const exitHeld = 3

// releaser ends the holds of one scope.
type releaser struct {
	*app

	rdb    redis.UniversalClient
	holds  *hold.Store
	survey *Survey
	scope  hold.Scope
	by     string
	flags  releaseFlags
}

func (a *app) release(ctx context.Context, args []string, f releaseFlags) error {
	if f.wait < 0 {
		return cli.BadInput("--wait: %s is negative; use 0 or more, such as 5s", f.wait)
	}
	return a.WithRedisFor(ctx, cli.AnswerWithin+f.wait, func(ctx context.Context, rdb redis.UniversalClient) error {
		s, err := Read(ctx, rdb, a.Now())
		if err != nil {
			return err
		}
		r := &releaser{app: a, rdb: rdb, holds: hold.NewStore(rdb), survey: s, by: a.Person(f.by), flags: f}
		if err := r.holds.Refresh(ctx); err != nil {
			return err
		}
		// A hold can be released even if no worker serves its scope any more.
		if p, ok := hold.ParseScope(strings.Join(args, " ")); ok && len(r.holds.Of(p)) > 0 {
			r.scope = p
		} else if r.scope, err = s.scope(args); err != nil {
			return err
		}
		return r.releaseAll(ctx)
	})
}

func (r *releaser) releaseAll(ctx context.Context) error {
	holds := r.holds.Of(r.scope)
	p := r.newPrinter()
	if len(holds) == 0 && !r.JSON {
		p.Text(console.Plain, 0, r.scope.String()+" is not on hold itself")
	}
	held := false
	for _, h := range holds {
		done, err := r.endHolds(ctx, h)
		if err != nil {
			return err
		}
		held = held || done.Outcome == stepHeld
		if r.JSON {
			err = r.PrintJSON(done)
		} else {
			p.step(h, done)
		}
		if err != nil {
			return err
		}
	}
	if !held {
		if err := r.resume(ctx, p); err != nil {
			return err
		}
	}
	pauses, err := r.readAddresses(ctx)
	if err != nil {
		return err
	}
	if r.remains(p, pauses) || held {
		return &exitcode.Error{Code: exitHeld}
	}
	return nil
}

func (p *printer) step(h hold.Hold, s step) {
	style := map[string]console.Style{stepEnded: console.Green, stepProbing: console.Yellow, stepHeld: console.Red}[s.Outcome]
	title := map[string]string{stepEnded: "released", stepProbing: "probe requested", stepHeld: "still on hold"}[s.Outcome]
	p.Text(style, 0, title+": "+heldBy(h)+", by "+h.By+" since "+p.At(h.Since))
	p.Text(console.Plain, 2, h.Reason)
	p.Text(console.Plain, 2, glueCommand(s.Message))
}

// above returns the holds of other scopes on the lane, if the scope is one.
func (r *releaser) above() []hold.Hold {
	if r.scope.Level != hold.Lane {
		return nil
	}
	var all []hold.Hold
	for _, l := range r.covered() {
		all = append(all, slices.DeleteFunc(slices.Clone(l.Holds), func(h hold.Hold) bool { return h.Scope == r.scope })...)
	}
	return all
}
