package deadletter

import (
	"cmp"
	"context"
	"slices"
	"time"

	"rollcall/internal/ledger"
)

// LaneCause is the dead letters of one lane with one class and code.
type LaneCause struct {
	Lane, Class, Code string
	DeadLetters       int64
}

func (c LaneCause) filter() ledger.DeadLetterFilter {
	return ledger.DeadLetterFilter{Lane: c.Lane, ByCause: true, Class: c.Class, Code: c.Code}
}

// LaneCauses counts the dead letters by lane and cause, the most frequent first. Cost: two
// round trips, and one more for each 200 lanes; with times or Run set, one or more for each
// cause.
func (d *Service) LaneCauses(ctx context.Context, f Filter) ([]LaneCause, error) {
	selected, err := d.selections(ctx, f)
	if err != nil {
		return nil, err
	}
	all := make([]LaneCause, 0, len(selected))
	for _, s := range selected {
		if s.deadLetters > 0 {
			all = append(all, LaneCause{Lane: s.Lane, Class: s.Class, Code: s.Code, DeadLetters: s.deadLetters})
		}
	}
	slices.SortFunc(all, func(x, y LaneCause) int {
		return cmp.Or(cmp.Compare(y.DeadLetters, x.DeadLetters), cmp.Compare(x.Lane, y.Lane), cmp.Compare(x.Class, y.Class), cmp.Compare(x.Code, y.Code))
	})
	return all, nil
}

// trendHours is how many hours a trend has.
const trendHours = 24

// Trend returns the trend of the dead letters of a lane with one cause; found is false if
// there are none. Its periods are the last 24 hours, the current one last: they end at full
// hours of UTC. One round trip.
func (d *Service) Trend(ctx context.Context, c LaneCause, now time.Time) (t ledger.DeadTrend, found bool, err error) {
	ends := now.UTC().Truncate(time.Hour).Add(time.Hour)
	bounds := make([]time.Time, 0, trendHours+1)
	for h := trendHours; h >= 0; h-- {
		bounds = append(bounds, ends.Add(-time.Duration(h)*time.Hour))
	}
	return d.ledger.DeadTrend(ctx, c.Lane, c.Class, c.Code, bounds...)
}

// Page reads at most n dead letters of a lane with one cause, newest first, from the end of
// the page before; next is empty after the last. One round trip.
func (d *Service) Page(ctx context.Context, c LaneCause, from ledger.Cursor, n int) (dead []ledger.DeadLetter, next ledger.Cursor, err error) {
	return d.ledger.DeadPage(ctx, c.filter(), from, n)
}

// In returns the dead letter of a task in a lane, or a *MissingError. One round trip.
func (d *Service) In(ctx context.Context, lane, id string) (ledger.DeadLetter, error) {
	dead, found, err := d.ledger.DeadLetter(ctx, lane, id)
	if err == nil && !found {
		err = &MissingError{ID: id}
	}
	return dead, err
}

// CountOf counts the dead letters of a lane with one cause that died until a time; zero: all. One
// round trip.
func (d *Service) CountOf(ctx context.Context, c LaneCause, until time.Time) (int64, error) {
	f := c.filter()
	f.Until = until
	return d.ledger.DeadCount(ctx, f)
}
