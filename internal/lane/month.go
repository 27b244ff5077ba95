package lane

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"rollcall/internal/hold"
	"rollcall/internal/pace"
)

// months are those of the organisations with metered lanes. An organisation has
// one quota in all workers, the one that was said last: two would lift each
// other's holds and put them again.
type months struct {
	set *Set

	mu     sync.Mutex
	quotas map[string]quota // by organisation
}

type quota struct {
	pace.Quota

	said bool // to the other workers
}

// expect takes in the quota of the configuration.
func (c *months) expect(organisation string, q pace.Quota) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.quotas[organisation] = quota{Quota: q}
}

// say tells the other workers what they do not know yet.
func (c *months) say(ctx context.Context) error {
	c.mu.Lock()
	all := maps.Clone(c.quotas)
	c.mu.Unlock()
	for organisation, q := range all {
		if q.said {
			continue
		}
		if err := pace.SayQuota(ctx, c.set.rdb, organisation, q.Quota); err != nil {
			return err
		}
		c.mu.Lock()
		if c.quotas[organisation] == q {
			c.quotas[organisation] = quota{q.Quota, true}
		}
		c.mu.Unlock()
	}
	return nil
}

// keep has the lanes of an organisation keep a quota.
func (c *months) keep(ctx context.Context, organisation string, q pace.Quota) error {
	var failed error
	for _, l := range c.set.lanes {
		if l.Organisation == organisation && l.Metered {
			l.pacer.SetQuota(q)
			failed = errors.Join(failed, l.pacer.Open(ctx))
		}
	}
	return failed
}

// look holds the metered lanes of organisations whose month is spent, and lets
// them go when the month turns or the quota was raised.
func (c *months) look(ctx context.Context, now time.Time) error {
	if err := c.say(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	before := maps.Clone(c.quotas)
	c.mu.Unlock()
	organisations := slices.Sorted(maps.Keys(before))
	if len(organisations) == 0 {
		return nil
	}
	read, err := pace.ReadMonths(ctx, c.set.rdb, organisations...)
	if err != nil {
		return err
	}
	for i, m := range read {
		q, err := c.follow(ctx, organisations[i], before[organisations[i]], m.Quota)
		if err != nil {
			return err
		}
		c.judge(ctx, organisations[i], q, m, now)
	}
	return nil
}

// follow keeps the quota that another worker was told after this one. before is
// what this one kept when that was read.
func (c *months) follow(ctx context.Context, organisation string, before quota, last *pace.Quota) (pace.Quota, error) {
	c.mu.Lock()
	own := c.quotas[organisation]
	news := own == before && own.said && last != nil && *last != own.Quota
	if news {
		c.quotas[organisation] = quota{*last, true}
	}
	c.mu.Unlock()
	if !news {
		return own.Quota, nil
	}
	c.set.log.Info("another worker was told another quota, which holds for all", "organisation", organisation,
		"calls", last.Calls, "reserve", last.Reserve, "before", own.Calls)
	return *last, c.keep(ctx, organisation, *last)
}

// judge holds an organisation by what it has spent, or lets it go.
func (c *months) judge(ctx context.Context, organisation string, quota pace.Quota, m pace.Month, now time.Time) {
	s := c.set
	h := hold.Hold{
		Place: hold.Place{Level: hold.Organisation, Name: organisation}, Class: hold.Quota, Until: m.Ends, By: s.name,
	}
	switch left := int64(quota.Calls) - m.Spent; {
	case m.Said:
		h.Reason = fmt.Sprintf("the platform says that the month's calls are spent (%d were counted here): "+
			"buy more and release the organisation, or wait for the month to turn", m.Spent)
	case quota.Calls == 0 || left > int64(quota.Reserve):
		h.Reason = ""
	case left > 0:
		h.Bulk = true
		h.Reason = fmt.Sprintf("%d of the month's %d calls are left, which are kept for urgent tasks: "+
			"raise the organisation's quota in the configuration if it has more, or wait for the month to turn", quota.Reserve, quota.Calls)
	default:
		h.Reason = fmt.Sprintf("all of the month's %d calls are spent: "+
			"raise the organisation's quota in the configuration if it has more, or wait for the month to turn", quota.Calls)
	}
	c.warn(ctx, organisation, quota, m)
	if h.Reason != "" {
		stored, change, err := s.board.Put(ctx, h)
		if err != nil {
			s.log.Warn("a hold could not be shared with the other workers; the next look tries again", "err", err)
			return
		}
		s.report(change, stored, s.name)
		return
	}
	for _, old := range s.board.Of(h.Place) {
		if old.Class == hold.Quota && now.Before(old.Until) {
			s.lift(ctx, old)
		}
	}
}

// warn says once a month that its end comes sooner than it should.
func (c *months) warn(ctx context.Context, organisation string, quota pace.Quota, m pace.Month) {
	if quota.Calls == 0 || quota.Warn == 0 || m.Spent < int64(quota.Warn) {
		return
	}
	first, err := pace.WarnOnce(ctx, c.set.rdb, organisation, m.Name)
	if err == nil && first {
		c.set.log.Warn("the month's calls run short", "organisation", organisation, "spent", m.Spent, "of", quota.Calls,
			"reserve", quota.Reserve, "ends", m.Ends)
	}
}
