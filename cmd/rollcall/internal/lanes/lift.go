package lanes

import (
	"context"
	"fmt"
	"slices"
	"time"

	"rollcall/internal/console"
	"rollcall/internal/hold"
	"rollcall/internal/pace"
)

const (
	// probeLook is the interval of reads of the hold while a probe is awaited.
	probeLook = 100 * time.Millisecond
	// clocksDiffer is the largest tolerated difference of two machines' clocks.
	clocksDiffer = time.Minute
	// probeRetries bounds the requests for a probe of a hold that keeps changing.
	probeRetries = 5
)

// endHolds ends a hold, or requests a probe of it, as its class allows.
func (r *releaser) endHolds(ctx context.Context, h hold.Hold) (step, error) {
	now := r.Now()
	switch over := !h.Until.IsZero() && !now.Before(h.Until); {
	case h.Class == hold.Operator:
		return r.end(ctx, h, "")
	case over:
		return r.end(ctx, h, "it had expired")
	case h.Class == hold.Quota:
		return r.endQuotaHold(ctx, h)
	case h.Class == hold.Banned && h.Probe == hold.ByTime && !r.flags.force:
		return r.step(stepHeld, h, "it ends automatically at "+r.newPrinter().when(h.Until)+". The platform may ban an address again at once, and for longer: "+
			"use --force to end the hold anyway"), nil
	case h.Class == hold.Banned && r.flags.force:
		return r.end(ctx, h, "workers hold the address again if the platform bans it again")
	case r.flags.force:
		return r.end(ctx, h, "ended without a probe: the next refusal puts it back")
	case h.Probe == hold.ByTime:
		return r.step(stepHeld, h, "it ends "+h.HowToEnd()), nil
	}
	return r.probe(ctx, h)
}

func (r *releaser) step(outcome string, h hold.Hold, message string) step {
	return step{outcome, r.survey.record(h), message}
}

// end ends a hold unless it has changed since it was read.
func (r *releaser) end(ctx context.Context, h hold.Hold, remark string) (step, error) {
	done, err := r.holds.End(ctx, h, r.by)
	if err != nil {
		return step{}, err
	}
	if done {
		if remark == "" && len(r.holds.Of(h.Scope))+len(r.above()) == 0 {
			remark = "workers take its tasks again within about two seconds"
		}
		return r.step(stepEnded, h, remark), nil
	}
	now, held, err := r.find(ctx, h)
	switch {
	case err != nil:
		return step{}, err
	case held:
		return r.step(stepHeld, now, now.By+" has just changed it: "+now.Reason+"; check the hold, then retry"), nil
	}
	return r.step(stepEnded, h, "someone else has just released it"), nil
}

// find reads a hold again; false if it has ended.
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

// endQuotaHold ends the hold for a quota that the platform reported as exhausted. A
// hold for a quota of the configuration lasts until the configuration changes.
func (r *releaser) endQuotaHold(ctx context.Context, h hold.Hold) (step, error) {
	if h.Level != hold.Organisation {
		return r.step(stepHeld, h, "the lane has reached its own limit: raise the limit per 24h in the configuration and reload the workers, or wait until "+
			r.newPrinter().At(h.Until)), nil
	}
	// In this order: workers put the hold back while the month is marked as spent.
	month, err := pace.NoteMonthNotSpent(ctx, r.rdb, h.Name)
	if err != nil {
		return step{}, err
	}
	if !month.Said {
		return r.step(stepHeld, h, "the quota of the configuration is spent: raise the organisation's quota in the configuration and reload the workers, which then end the hold"), nil
	}
	remark := "quota hold removed; workers put it back if the platform reports an exhausted quota again"
	for _, m := range r.survey.months() {
		if calls := m.Status.Quota.Calls; m.Organisation == h.Name && calls > 0 && month.Spent >= int64(calls) {
			remark = fmt.Sprintf("quota hold removed, but %d of the %d calls of the configuration are spent: "+
				"workers put it back unless you raise the quota and reload them", month.Spent, calls)
		}
	}
	return r.end(ctx, h, remark)
}

// probe requests a probe by a worker now.
func (r *releaser) probe(ctx context.Context, h hold.Hold) (step, error) {
	for range probeRetries {
		// A worker's clock may be behind the clock of this machine.
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
			return r.step(stepEnded, h, "a worker has just ended it after a probe"), nil
		}
		h = now
	}
	return r.step(stepHeld, h, "it keeps changing; check the hold, then retry"), nil
}

// await waits for the result of the probe, for at most --wait.
func (r *releaser) await(ctx context.Context, h hold.Hold) (step, error) {
	if r.flags.wait == 0 {
		return r.step(stepProbing, h, "a worker probes it as soon as possible; to see the result: rollcall lanes"), nil
	}
	if !r.JSON {
		console.Fprintf(r.Stderr, "waiting up to %s for a worker's probe\n", r.flags.wait)
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
			return r.step(stepEnded, h, "a worker's probe succeeded"), nil
		}
		select {
		case <-ctx.Done():
			return step{}, fmt.Errorf("wait for the probe: %w; the request for a probe stays", context.Cause(ctx))
		case <-end.C:
			return r.step(stepHeld, h, r.found(h, now)), nil
		case <-ticker.C:
		}
	}
}

// found describes a probe that has not ended its hold.
func (r *releaser) found(before, h hold.Hold) string {
	switch {
	case h.Class != before.Class || h.Probe != before.Probe:
		return "replaced by another hold, " + string(h.Class) + ": " + h.Reason
	case h.Reason != before.Reason:
		return "probe failed, for another reason: " + h.Reason
	case h.Tries > 0:
		return "probe failed; next probe " + r.newPrinter().when(h.Next)
	}
	text := "no worker has probed it yet"
	served, waits := 0, int64(0)
	for _, l := range r.survey.Lanes {
		if slices.Contains(l.Scopes(), h.Scope) && !l.Unseen {
			served++
			waits += l.Urgent.Pending + l.Bulk.Pending
		}
	}
	switch {
	case served == 0:
		text += ", and none serves its scope now: start a worker"
	case h.Probe == hold.ByTask && waits == 0:
		text += ": the next task is the probe, and no task is pending"
	default:
		text += "; the request for a probe stays"
	}
	return text
}
