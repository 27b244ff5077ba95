package overview

import (
	"cmp"
	"context"
	"slices"
	"time"

	"rollcall/internal/pace"
)

// daysEvery is how often the history of the months is read.
const daysEvery = time.Minute

// Month is what an organisation has spent of its month.
type Month struct {
	Organisation string
	Status       pace.Status // of one of its metered lanes
	Lanes        []Lane      // its metered lanes
	// Days are those of the month with a known count, in order, at most a minute old.
	Days []pace.MonthDay
}

// readDays gives months their history. Cost: two round trips a minute.
func (r *Reader) readDays(ctx context.Context, months []Month, now time.Time) error {
	if now.Sub(r.daysAt) >= daysEvery {
		names := make([]string, len(months))
		for i, m := range months {
			names[i] = m.Organisation
		}
		read, err := pace.ReadDays(ctx, r.rdb, names...)
		if err != nil {
			return err
		}
		r.days, r.daysAt = make(map[string][]pace.MonthDay, len(names)), now
		for i, name := range names {
			r.days[name] = read[i]
		}
	}
	for i, m := range months {
		months[i].Days = r.days[m.Organisation]
	}
	return nil
}

// Months returns the organisations with metered lanes, by name. They have no Days.
func (s *Lanes) Months() []Month {
	at := map[string]int{}
	var all []Month
	for _, l := range s.Lanes {
		if !l.Pace.Metered {
			continue
		}
		i, known := at[l.Organisation]
		if !known {
			i = len(all)
			at[l.Organisation] = i
			all = append(all, Month{Organisation: l.Organisation, Status: l.Pace})
		}
		all[i].Lanes = append(all[i].Lanes, l)
	}
	slices.SortFunc(all, func(x, y Month) int { return cmp.Compare(x.Organisation, y.Organisation) })
	return all
}
