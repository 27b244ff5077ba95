package night

import (
	"cmp"
	"context"
	"slices"
	"time"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/pace"
	"rollcall/internal/run"
	"rollcall/tasks"
)

const (
	// mostRefreshed is how many names a night confirms at most.
	mostRefreshed = 1000
	// refreshedWithin is how long after a night its names are confirmed. The next night
	// chooses again.
	refreshedWithin = 20 * time.Hour
	// refreshAfter is the default of Refresh.After.
	refreshAfter = 30 * 24 * time.Hour
)

// Refresh is how unchanged names are confirmed that were not for long: by sending them once
// more, because DingTalk has no call that reads one.
type Refresh struct {
	// Percent of the month's spare calls are used for that. 0: none is confirmed.
	Percent int
	// After is how long ago a name must have been confirmed. 0: 30 days.
	After time.Duration
}

// Evidence is how the names of unchanged rows are known. Names that the platform took at a
// call without any doubt are Answered.
type Evidence struct {
	Answered int       `json:"answered"`         // names whose call was answered
	Doubt    int       `json:"doubt"`            // names that were settled after a call whose outcome was unknown
	Stated   int       `json:"stated"`           // names that a file stated
	Unknown  int       `json:"unknown"`          // names of which it is not known how and when they were applied
	Oldest   time.Time `json:"oldest,omitzero"`  // when the name was confirmed that was not for longest
	Refresh  int       `json:"refresh,omitzero"` // of the names, those that are confirmed by a call after this night
}

// oldName is an unchanged name that can be confirmed.
type oldName struct {
	evidence ledger.Evidence
	since    time.Time
	tenant   string
	target   ledger.Target
}

// weaker orders names by their evidence, the weakest first, and of equal ones by when they
// were confirmed last.
func weaker(a, b oldName) int {
	return cmp.Or(cmp.Compare(a.evidence, b.evidence), a.since.Compare(b.since), cmp.Compare(a.target.Key, b.target.Key))
}

// known counts how an unchanged name is known, and keeps it if it is among the weakest. Only
// nicknames count: other values cannot be sent again by themselves.
func (c *compared) known(r *run.Compared) {
	kind, ok := kinds.Of(r.Request.Task)
	if !ok || kind.Name != tasks.KindNickname || !r.Known {
		return
	}
	switch r.Evidence {
	case ledger.EvidenceNone:
		c.evidence.Unknown++
	case ledger.EvidenceStated:
		c.evidence.Stated++
	case ledger.EvidenceDoubt:
		c.evidence.Doubt++
	case ledger.EvidenceAnswered:
		c.evidence.Answered++
	}
	if !r.Since.IsZero() && (c.evidence.Oldest.IsZero() || r.Since.Before(c.evidence.Oldest)) {
		c.evidence.Oldest = r.Since.UTC()
	}
	if c.refresh.Percent == 0 || !r.Since.IsZero() && c.now.Sub(r.Since) < cmp.Or(c.refresh.After, refreshAfter) {
		return
	}
	tenant, _ := r.Request.Task.Lane()
	if c.old = append(c.old, oldName{r.Evidence, r.Since, tenant, r.Target}); len(c.old) >= 4*mostRefreshed {
		c.keepWeakest()
	}
}

// keepWeakest sorts the names that can be confirmed, and drops all but the weakest.
func (c *compared) keepWeakest() {
	slices.SortFunc(c.old, weaker)
	c.old = c.old[:min(len(c.old), mostRefreshed)]
}

// spare returns how many calls a night can use to confirm names of an organisation: its share
// of what is left of the month when the nights to come have made their calls.
func (r Refresh) spare(left int64, perNight float64, now time.Time) int {
	nights := nightsLeft(now)
	spare := float64(left) - perNight*float64(nights-1)
	return int(max(0, spare) * float64(r.Percent) / 100 / float64(nights))
}

// nightsLeft is how many nights the month has, with this one.
func nightsLeft(now time.Time) int {
	now = now.In(pace.Shanghai)
	return time.Date(now.Year(), now.Month()+1, 0, 0, 0, 0, 0, pace.Shanghai).Day() - now.Day() + 1
}

// chooseRefresh chooses the names that are confirmed after the night, the weakest first.
// left is what its other calls leave of the months.
func (s *Service) chooseRefresh(ctx context.Context, a *attempt, budgets map[string]run.Budget, left map[string]int64) ([]oldName, error) {
	c := a.found
	if len(c.old) == 0 {
		return nil, nil
	}
	history, err := s.History(ctx, a.Name)
	if err != nil {
		return nil, err
	}
	c.keepWeakest()
	room := map[string]int{}
	for organisation, b := range budgets {
		if b.Bounded { // without a quota nothing says what is spare
			room[organisation] = a.Refresh.spare(left[organisation], perNight(history), s.now())
		}
	}
	return slices.DeleteFunc(c.old, func(o oldName) bool {
		room[o.target.Organisation]--
		return room[o.target.Organisation] < 0
	}), nil
}

// perNight is how many calls a night makes, on average of the last ones.
func perNight(history []Report) float64 {
	calls, nights := 0, 0
	for _, r := range history {
		if r.Final() {
			calls, nights = calls+r.Calls, nights+1
		}
	}
	return float64(calls) / float64(max(nights, 1))
}

// refreshNames has the workers confirm names once the night is applied, in place of those
// that are left of the last night.
func (s *Service) refreshNames(ctx context.Context, a *attempt) error {
	if a.Refresh.Percent == 0 {
		return nil
	}
	of := map[ledger.Sender][]ledger.Target{}
	for _, sender := range a.found.senders() {
		of[sender] = nil
	}
	for _, o := range a.chosen.refresh {
		sender := ledger.Sender{Organisation: o.target.Organisation, API: o.target.API, Tenant: o.tenant}
		of[sender] = append(of[sender], o.target)
	}
	for sender, targets := range of {
		if err := s.ledger.SetRefresh(ctx, sender, targets, a.found.now, refreshedWithin); err != nil {
			return err
		}
	}
	return nil
}
