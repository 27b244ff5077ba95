package lane

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"rollcall/internal/hold"
	"rollcall/internal/pace"
)

// months holds the metered lanes of organisations whose month is spent, and releases
// them when the month turns or the quota was raised.
func (s *Set) months(ctx context.Context, now time.Time) error {
	s.quoting.Lock()
	defer s.quoting.Unlock()
	if len(s.quotas) == 0 {
		return nil
	}
	organisations := slices.Collect(maps.Keys(s.quotas))
	months, err := pace.ReadMonths(ctx, s.rdb, organisations...)
	damaged, _ := errors.AsType[*pace.DamagedError](err)
	for i, m := range months {
		if damaged != nil && slices.Contains(damaged.Keys, pace.MonthKey(organisations[i])) {
			continue // its hold stays as it is
		}
		quota := s.quotas[organisations[i]]
		if m.QuotaKnown && m.Quota != quota { // set by the worker that was last started or reloaded
			s.log.Info("quota of another worker's configuration is in effect", "organisation", organisations[i],
				"calls", m.Quota.Calls, "reserve", m.Quota.Reserve, "before", quota.Calls)
			quota = m.Quota
			s.adopt(organisations[i], quota)
		}
		s.month(ctx, organisations[i], quota, m, now)
	}
	return s.HoldDamaged(err)
}

// adopt applies a quota to an organisation's lanes, and publishes it again to a Redis
// that loses it. The caller holds quoting.
func (s *Set) adopt(organisation string, quota pace.Quota) {
	s.quotas[organisation] = quota
	for _, l := range s.lanes {
		if l.Organisation == organisation && l.Metered {
			l.pacer.SetQuota(quota)
		}
	}
}

func (s *Set) month(ctx context.Context, organisation string, quota pace.Quota, m pace.Month, now time.Time) {
	h := hold.Hold{
		Scope: hold.Scope{Level: hold.Organisation, Name: organisation}, Class: hold.Quota, Until: m.Ends, By: s.name,
	}
	switch left := int64(quota.Calls) - m.Spent; {
	case m.Said:
		h.Reason = fmt.Sprintf("the platform reports that the month's calls are spent (%d were counted here): "+
			"buy more and release the organisation, or wait for the month to turn", m.Spent)
	case quota.Calls == 0 || left > int64(quota.Reserve):
		h.Reason = ""
	case left > 0:
		h.Bulk = true
		h.Reason = fmt.Sprintf("%d of the month's %d calls are left and reserved for urgent tasks: "+
			"raise the organisation's quota in the configuration if it has more, or wait for the month to turn", quota.Reserve, quota.Calls)
	default:
		h.Reason = fmt.Sprintf("all of the month's %d calls are spent: "+
			"raise the organisation's quota in the configuration if it has more, or wait for the month to turn", quota.Calls)
	}
	s.warn(ctx, organisation, quota, m)
	if h.Reason != "" {
		stored, change, err := s.holds.Put(ctx, h)
		s.Outcome(notShared, "", err, "hold", h.String())
		if err != nil {
			return
		}
		s.report(change, stored, s.name)
		return
	}
	for _, old := range s.holds.Of(h.Scope) {
		if old.Class == hold.Quota && now.Before(old.Until) {
			s.endHold(ctx, old)
		}
	}
}

// warn logs once a month that the calls will be spent before the month ends.
func (s *Set) warn(ctx context.Context, organisation string, quota pace.Quota, m pace.Month) {
	if quota.Calls == 0 || quota.Warn == 0 || m.Spent < int64(quota.Warn) {
		return
	}
	first, err := pace.WarnOnce(ctx, s.rdb, organisation, m.Name)
	if err == nil && first {
		s.log.Warn("the month's calls run short", "organisation", organisation, "spent", m.Spent, "of", quota.Calls,
			"reserve", quota.Reserve, "ends", m.Ends)
	}
}
