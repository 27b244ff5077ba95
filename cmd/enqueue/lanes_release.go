package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"rollcall/internal/hold"
	"rollcall/internal/pace"
)

const (
	// probeLook is how often the board is looked at while a probe is waited for.
	probeLook = 100 * time.Millisecond
	// clocksDiffer is how far the clocks of two machines may be apart.
	clocksDiffer = time.Minute
	// probeRetries bounds how often a hold that others change is asked anew.
	probeRetries = 5
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

` + placeHelp + `

What is done goes by the hold:

  put by a person        lifted
  refused or failing     probed by a worker at once, and lifted if the cause
                         is gone; a task that waits may be the probe
  the platform says the  lifted, for when more calls were bought
  month is spent
  a quota of our own is  not lifted: raise it in the configuration and reload
  spent                  the workers, who then lift it by themselves
  banned                 lifted with --force only: the platform bans an address
                         again at once

Exit codes:
  0  the place is not on hold, or, with --wait 0, the probe was asked for
  2  bad usage, or a place that no worker serves
  3  the place is still on hold, or a lane is by its tenant or organisation;
     what holds it is said
  4  Redis cannot be reached: say it again, that does no harm`,
		Example: `  enqueue lanes release lakeside-dt.nickname
  enqueue lanes release tenant lakeside-dt --wait 30s
  enqueue lanes release organisation lakeside`,
		Args: placeArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return a.release(cmd.Context(), args, f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.by, "by", "", "`NAME` of who says so (default: user@host)")
	flags.DurationVar(&f.wait, "wait", 5*time.Second, "wait so long for the probe; 0: not at all")
	flags.BoolVar(&f.force, "force", false, "lift a ban before its time, and others without a probe")
	return cmd
}

// What became of a hold.
const (
	stepLifted  = "lifted"
	stepProbing = "probing" // asked for, not waited for
	stepHeld    = "still_held"
)

// step is what release did about one hold; its names are a contract.
type step struct {
	Outcome string `json:"outcome"`
	holdRecord

	Message string `json:"message,omitzero"`
}

// releaser lifts what holds one place.
type releaser struct {
	*app

	rdb    redis.UniversalClient
	board  *hold.Board
	survey *survey
	place  hold.Place
	by     string
	flags  releaseFlags
}

func (a *app) release(ctx context.Context, args []string, f releaseFlags) error {
	if f.wait < 0 {
		return badInput("--wait: %s is no time to wait", f.wait)
	}
	return a.withRedis(ctx, func(ctx context.Context, rdb redis.UniversalClient) error {
		ctx, cancel := context.WithTimeout(ctx, answerWithin+f.wait)
		defer cancel()
		s, err := readSurvey(ctx, rdb, a.now())
		if err != nil {
			return err
		}
		r := &releaser{app: a, rdb: rdb, board: hold.NewBoard(rdb), survey: s, by: a.by(f.by), flags: f}
		if err := r.board.Refresh(ctx); err != nil {
			return err
		}
		// What is held can be released, even where nobody serves it any more.
		if p, ok := hold.ParsePlace(strings.Join(args, " ")); ok && len(r.board.Of(p)) > 0 {
			r.place = p
		} else if r.place, err = s.place(args); err != nil {
			return err
		}
		return r.releaseAll(ctx)
	})
}

func (r *releaser) releaseAll(ctx context.Context) error {
	holds := r.board.Of(r.place)
	p := r.newPrinter()
	if len(holds) == 0 && !r.json {
		p.text("", 0, r.place.String()+" itself is not on hold")
	}
	held := false
	for _, h := range holds {
		done, err := r.lift(ctx, h)
		if err != nil {
			return err
		}
		held = held || done.Outcome == stepHeld
		if r.json {
			err = r.printJSON(done)
		} else {
			p.step(h, done)
		}
		if err != nil {
			return err
		}
	}
	for _, h := range r.above() {
		held = true
		if !r.json {
			p.text(red, 0, fmt.Sprintf("%s is held by another hold, of %s: %s", r.place, heldBy(h), glueCommand(r.survey.lift(h))))
		}
	}
	if held {
		return &exitError{code: exitHeld}
	}
	return nil
}

func (p *printer) step(h hold.Hold, s step) {
	colour := map[string]string{stepLifted: green, stepProbing: yellow, stepHeld: red}[s.Outcome]
	title := map[string]string{stepLifted: "lifted", stepProbing: "probing", stepHeld: "still on hold"}[s.Outcome]
	p.text(colour, 0, title+": "+heldBy(h)+", by "+h.By+" since "+p.at(h.Since))
	p.text("", 2, h.Reason)
	p.text("", 2, glueCommand(s.Message))
}

// above are the holds of other places that hold the lane, if it is one.
func (r *releaser) above() []hold.Hold {
	for _, l := range r.survey.lanes {
		if r.place.Level == hold.Lane && l.name() == r.place.Name {
			return slices.DeleteFunc(slices.Clone(l.holds), func(h hold.Hold) bool { return h.Place == r.place })
		}
	}
	return nil
}

// lift does about a hold what its class allows.
func (r *releaser) lift(ctx context.Context, h hold.Hold) (step, error) {
	now := r.now()
	switch over := !h.Until.IsZero() && !now.Before(h.Until); {
	case h.Class == hold.Operator:
		return r.end(ctx, h, "")
	case over:
		return r.end(ctx, h, "its time was over")
	case h.Class == hold.Quota:
		return r.liftQuota(ctx, h)
	case h.Class == hold.Banned && !r.flags.force:
		return r.step(stepHeld, h, "it ends by itself "+r.newPrinter().at(h.Until)+". The platform bans an address again at once, and for longer: "+
			"--force lifts it all the same"), nil
	case h.Class == hold.Banned:
		return r.end(ctx, h, "the pace of the lanes may pause until the ban's end; if the platform bans again, so do the workers")
	case r.flags.force:
		return r.end(ctx, h, "without a probe: the next refusal brings it back")
	case h.Probe == hold.ByTime:
		return r.step(stepHeld, h, "it ends "+h.HowToLift()+"; --force lifts it now"), nil
	}
	return r.probe(ctx, h)
}

func (r *releaser) step(outcome string, h hold.Hold, message string) step {
	return step{outcome, r.survey.record(h), message}
}

// end lifts a hold unless it was changed meanwhile.
func (r *releaser) end(ctx context.Context, h hold.Hold, remark string) (step, error) {
	done, err := r.board.Lift(ctx, h, r.by)
	if err != nil {
		return step{}, err
	}
	if done {
		if remark == "" && len(r.board.Of(h.Place))+len(r.above()) == 0 {
			remark = "workers take its tasks again within some two seconds"
		}
		return r.step(stepLifted, h, remark), nil
	}
	now, held, err := r.find(ctx, h)
	switch {
	case err != nil:
		return step{}, err
	case held:
		return r.step(stepHeld, now, "it was changed meanwhile, by "+now.By+": "+now.Reason+"; look at it, and say it again"), nil
	}
	return r.step(stepLifted, h, "somebody else has just lifted it"), nil
}

// find reads a hold anew; false if it is gone.
func (r *releaser) find(ctx context.Context, h hold.Hold) (hold.Hold, bool, error) {
	if err := r.board.Refresh(ctx); err != nil {
		return h, false, err
	}
	for _, now := range r.board.Of(h.Place) {
		if (now.Class == hold.Operator) == (h.Class == hold.Operator) {
			return now, true, nil
		}
	}
	return h, false, nil
}

// liftQuota takes back that the platform said the month was spent. What our own
// count says stands until the configuration says otherwise.
func (r *releaser) liftQuota(ctx context.Context, h hold.Hold) (step, error) {
	if h.Level != hold.Organisation {
		return r.step(stepHeld, h, "it is our own count that says so: raise the lane's limit per 24h in the configuration and reload the workers, or wait until "+
			r.newPrinter().at(h.Until)), nil
	}
	months, err := pace.ReadMonths(ctx, r.rdb, h.Name)
	if err != nil {
		return step{}, err
	}
	if !months[0].Said {
		return r.step(stepHeld, h, "it is our own count that says so: raise the organisation's quota in the configuration and reload the workers, who lift it then"), nil
	}
	// In this order: workers hold it anew as long as it is said.
	if err := pace.UnsayMonthSpent(ctx, r.rdb, h.Name); err != nil {
		return step{}, err
	}
	remark := "that the platform says the month is spent is taken back; it holds again if the platform says so again"
	for _, o := range r.survey.organisations() {
		if calls := o.status.Quota.Calls; o.name == h.Name && calls > 0 && months[0].Spent >= int64(calls) {
			remark = fmt.Sprintf("that the platform says so is taken back, but %d of the %d calls of the configuration are spent: "+
				"workers hold it again unless you raise the quota and reload them", months[0].Spent, calls)
		}
	}
	return r.end(ctx, h, remark)
}

// probe has a worker find out at once whether a hold is over.
func (r *releaser) probe(ctx context.Context, h hold.Hold) (step, error) {
	for range probeRetries {
		// A worker's clock may be behind ours.
		asked, err := r.board.ProbeNow(ctx, h, r.now().Add(-clocksDiffer))
		if err != nil {
			return step{}, err
		}
		if asked {
			return r.await(ctx, h)
		}
		now, held, err := r.find(ctx, h)
		if err != nil {
			return step{}, err
		}
		if !held {
			return r.step(stepLifted, h, "a worker has just found it over"), nil
		}
		h = now
	}
	return r.step(stepHeld, h, "it changes all the time; look at it, and say it again"), nil
}

// await tells what the probe found, as far as that is seen in time.
func (r *releaser) await(ctx context.Context, h hold.Hold) (step, error) {
	if r.flags.wait == 0 {
		return r.step(stepProbing, h, "a worker probes it as soon as it can: enqueue lanes"), nil
	}
	if !r.json {
		fmt.Fprintf(r.stderr, "waiting up to %s for a worker's probe\n", r.flags.wait)
	}
	ticker := time.NewTicker(probeLook)
	defer ticker.Stop()
	end := time.NewTimer(r.flags.wait)
	defer end.Stop()
	for {
		now, held, err := r.find(ctx, h)
		if err != nil {
			return step{}, err
		}
		if !held {
			return r.step(stepLifted, h, "a worker's probe found it over"), nil
		}
		select {
		case <-ctx.Done():
			return step{}, fmt.Errorf("wait for the probe: %w; it stays asked for", context.Cause(ctx))
		case <-end.C:
			return r.step(stepHeld, h, r.found(h, now)), nil
		case <-ticker.C:
		}
	}
}

// found is what is known of a probe that has not lifted its hold.
func (r *releaser) found(before, h hold.Hold) string {
	switch {
	case h.Class != before.Class || h.Probe != before.Probe:
		return "it is another hold now, " + string(h.Class) + ": " + h.Reason
	case h.Reason != before.Reason:
		return "probed, and there is another reason now: " + h.Reason
	case h.Tries > 0:
		return "probed, and not over as far as is known; next probe " + r.newPrinter().at(h.Next)
	}
	text := "no worker has probed it yet"
	served, waits := 0, int64(0)
	for _, l := range r.survey.lanes {
		if slices.Contains(l.places(), h.Place) && !l.unseen {
			served++
			waits += l.urgent.Pending + l.bulk.Pending
		}
	}
	switch {
	case served == 0:
		text += ": none serves it at present; start one"
	case h.Probe == hold.ByTask && waits == 0:
		text += ": the next task is the probe, and none is pending"
	default:
		text += "; it stays asked for"
	}
	return text
}
