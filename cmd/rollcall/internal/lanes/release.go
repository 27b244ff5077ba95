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
		Use:   "release PLACE",
		Short: "Lift what holds a lane, a tenant or an organisation",
		Long: `Lift what holds a lane, a tenant or an organisation, once its cause is mended.

` + scopeHelp + `

What is done goes by the hold:

  put by a person        lifted
  refused or failing     probed by a worker at once, and lifted if the cause
                         is gone; a task that waits may be the probe
  the platform says the  lifted, for when more calls were bought
  month is spent
  a quota of our own is  not lifted: raise it in the configuration and reload
  spent                  the workers, who then lift it by themselves
  banned                 probed like refused, where the call for a token can; a
                         ban that the platform itself reports is lifted with
                         --force only: it bans an address again at once

A pause of the place's lanes, after refusals for the rate, ends with the last
hold. What else keeps a lane from sending is printed: holds of other scopes, a
pause of its address, asynq's pause button, no worker.

Exit codes:
  0   the place is not on hold, or, with --wait 0, the probe was asked for
  3   the place is still on hold, by itself or by a hold of wider scope, or its
      address pauses; what holds it is printed
  4   Redis cannot be reached: say it again, that does no harm
  64  bad usage, or a place that no worker serves`,
		Example: `  rollcall lanes release lakeside-dt.nickname
  rollcall lanes release tenant lakeside-dt --wait 30s
  rollcall lanes release organisation lakeside`,
		Args: scopeArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return a.release(cmd.Context(), args, f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	cli.By(cmd, &f.by)
	flags.DurationVar(&f.wait, "wait", 5*time.Second, "wait so long for the probe; 0: not at all")
	flags.BoolVar(&f.force, "force", false, "end a ban before its time, and others without a probe")
	return cmd
}

// What became of a hold.
const (
	stepEnded   = "lifted"
	stepProbing = "probing" // asked for, not waited for
	stepHeld    = "still_held"
)

// step is what release did about one hold; its names are a contract.
type step struct {
	Outcome string `json:"outcome"`
	holdRecord

	Message string `json:"message,omitzero"`
}

// exitHeld: the place is still on hold.
const exitHeld = 3

// releaser lifts what holds one place.
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
		return cli.BadInput("--wait: %s is no time to wait", f.wait)
	}
	return a.WithRedis(ctx, func(ctx context.Context, rdb redis.UniversalClient) error {
		ctx, cancel := context.WithTimeout(ctx, cli.AnswerWithin+f.wait)
		defer cancel()
		s, err := Read(ctx, rdb, a.Now())
		if err != nil {
			return err
		}
		r := &releaser{app: a, rdb: rdb, holds: hold.NewStore(rdb), survey: s, by: a.Person(f.by), flags: f}
		if err := r.holds.Refresh(ctx); err != nil {
			return err
		}
		// What is held can be released, even where nobody serves it any more.
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
		p.Text(console.Plain, 0, r.scope.String()+" itself is not on hold")
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
	if err := r.readAddresses(ctx); err != nil {
		return err
	}
	if r.remains(p) {
		held = true
	}
	if held {
		return &exitcode.Error{Code: exitHeld}
	}
	return nil
}

func (p *printer) step(h hold.Hold, s step) {
	style := map[string]console.Style{stepEnded: console.Green, stepProbing: console.Yellow, stepHeld: console.Red}[s.Outcome]
	title := map[string]string{stepEnded: "lifted", stepProbing: "probing", stepHeld: "still on hold"}[s.Outcome]
	p.Text(style, 0, title+": "+heldBy(h)+", by "+h.By+" since "+p.At(h.Since))
	p.Text(console.Plain, 2, h.Reason)
	p.Text(console.Plain, 2, glueCommand(s.Message))
}

// above are the holds of other places that hold the lane, if it is one.
func (r *releaser) above() []hold.Hold {
	if r.scope.Level != hold.Lane {
		return nil
	}
	var all []hold.Hold
	for _, l := range r.covered() {
		all = append(all, slices.DeleteFunc(slices.Clone(l.holds), func(h hold.Hold) bool { return h.Scope == r.scope })...)
	}
	return all
}
