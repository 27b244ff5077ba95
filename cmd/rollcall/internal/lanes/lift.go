package lanes

import (
	"context"
	"fmt"
	"slices"
	"time"

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

// lift does about a hold what its class allows.
func (r *releaser) endHolds(ctx context.Context, h hold.Hold) (step, error) {
	now := r.Now()
	switch over := !h.Until.IsZero() && !now.Before(h.Until); {
	case h.Class == hold.Operator:
		return r.end(ctx, h, "")
	case over:
		return r.end(ctx, h, "its time was over")
	case h.Class == hold.Quota:
		return r.endQuotaHold(ctx, h)
	case h.Class == hold.Banned && h.Probe == hold.ByTime && !r.flags.force:
		return r.step(stepHeld, h, "it ends automatically at "+r.newPrinter().when(h.Until)+". The platform bans an address again at once, and for longer: "+
			"--force ends it all the same"), nil
	case h.Class == hold.Banned && r.flags.force:
		return r.end(ctx, h, "if the platform bans again, the workers hold it again")
	case r.flags.force:
		return r.end(ctx, h, "without a probe: the next refusal brings it back")
	case h.Probe == hold.ByTime:
		return r.step(stepHeld, h, "it ends "+h.HowToEnd()), nil
	}
	return r.probe(ctx, h)
}

func (r *releaser) step(outcome string, h hold.Hold, message string) step {
	return step{outcome, r.survey.record(h), message}
}

// end lifts a hold unless it was changed meanwhile.
func (r *releaser) end(ctx context.Context, h hold.Hold, remark string) (step, error) {
	done, err := r.holds.End(ctx, h, r.by)
	if err != nil {
		return step{}, err
	}
	if done {
		if remark == "" && len(r.holds.Of(h.Scope))+len(r.above()) == 0 {
			remark = "workers take its tasks again within some two seconds"
		}
		return r.step(stepEnded, h, remark), nil
	}
	now, held, err := r.find(ctx, h)
	switch {
	case err != nil:
		return step{}, err
	case held:
		return r.step(stepHeld, now, "it was changed meanwhile, by "+now.By+": "+now.Reason+"; look at it, and say it again"), nil
	}
	return r.step(stepEnded, h, "somebody else has just lifted it"), nil
}

// find reads a hold anew; false if it is gone.
func (r *releaser) find(ctx context.Context, h hold.Hold) (hold.Hold, bool, error) {
	if err := r.holds.Refresh(ctx); err != nil {
		return h, false, err
	}
	for _, now := range r.holds.Of(h.Scope) {
		if (now.Class == hold.Operator) == (h.Class == hold.Operator) {
			return now, true, nil
		}
	}
	return h, false, nil
}

// liftQuota takes back that the platform said the month was spent. What our own
// count says stands until the configuration says otherwise.
func (r *releaser) endQuotaHold(ctx context.Context, h hold.Hold) (step, error) {
	if h.Level != hold.Organisation {
		return r.step(stepHeld, h, "it is our own count that says so: raise the lane's limit per 24h in the configuration and reload the workers, or wait until "+
			r.newPrinter().At(h.Until)), nil
	}
	months, err := pace.ReadMonths(ctx, r.rdb, h.Name)
	if err != nil {
		return step{}, err
	}
	if !months[0].Said {
		return r.step(stepHeld, h, "it is our own count that says so: raise the organisation's quota in the configuration and reload the workers, who lift it then"), nil
	}
	// In this order: workers hold it anew as long as it is said.
	if err := pace.NoteMonthNotSpent(ctx, r.rdb, h.Name); err != nil {
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
		asked, err := r.holds.ProbeNow(ctx, h, r.Now().Add(-clocksDiffer))
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
			return r.step(stepEnded, h, "a worker has just found it over"), nil
		}
		h = now
	}
	return r.step(stepHeld, h, "it changes all the time; look at it, and say it again"), nil
}

// await tells what the probe found, as far as that is seen in time.
func (r *releaser) await(ctx context.Context, h hold.Hold) (step, error) {
	if r.flags.wait == 0 {
		return r.step(stepProbing, h, "a worker probes it as soon as it can: rollcall lanes"), nil
	}
	if !r.JSON {
		fmt.Fprintf(r.Stderr, "waiting up to %s for a worker's probe\n", r.flags.wait)
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
			return r.step(stepEnded, h, "a worker's probe found it over"), nil
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
		return "probed, and not over as far as is known; next probe " + r.newPrinter().when(h.Next)
	}
	text := "no worker has probed it yet"
	served, waits := 0, int64(0)
	for _, l := range r.survey.Lanes {
		if slices.Contains(l.scopes(), h.Scope) && !l.unseen {
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
