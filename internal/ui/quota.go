package ui

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"rollcall/internal/night"
	"rollcall/internal/overview"
	"rollcall/internal/pace"
	"rollcall/internal/run"
)

// forecast is how the calls of a month last, at the average rate of the month so far.
type forecast struct {
	AtEnd int64     // calls that will be spent when the month ends
	Out   time.Time // when only the reserve will be left; zero: not within the month
}

// leastElapsed is how much of a month its average needs.
const leastElapsed = 24 * time.Hour

func forecastOf(m overview.Month, now time.Time) forecast {
	month, quota := m.Status.Month, m.Status.Quota
	begins := month.Ends.AddDate(0, -1, 0)
	elapsed := now.Sub(begins)
	if elapsed < leastElapsed || month.Spent == 0 {
		return forecast{AtEnd: month.Spent}
	}
	perSecond := float64(month.Spent) / elapsed.Seconds()
	f := forecast{AtEnd: int64(perSecond * month.Ends.Sub(begins).Seconds())}
	left := int64(quota.Calls) - int64(quota.Reserve) - month.Spent
	if quota.Calls == 0 || left <= 0 {
		return f
	}
	if wait := float64(left) / perSecond; wait < month.Ends.Sub(now).Seconds() { // in seconds: centuries overflow a Duration
		f.Out = now.Add(time.Duration(wait * float64(time.Second)))
	}
	return f
}

// quotaRow is the month of an organisation.
type quotaRow struct {
	overview.Month

	Left     int64
	Class    string // ok, warn or bad
	Forecast forecast
	Burn     burn
	Days     []dayRow  // of this month with calls, the latest first
	Runs     []spender // of this month, those that cost most
	Rest     int64     // what they do not explain
}

// spender is a run that spent calls.
type spender struct {
	Name, Link string
	Calls      int64
	Night      bool // the run is of a schedule
}

// mostSpenders bounds the runs that are named.
const mostSpenders = 5

// spenders returns the calls that runs planned which were applied this month, the most
// expensive first, and their sum.
func spenders(m overview.Month, runs []run.Run) (most []spender, sum int64) {
	begins := m.Status.Month.Ends.AddDate(0, -1, 0)
	for _, some := range runs {
		if some.Plan == nil || some.Applied.Before(begins) {
			continue
		}
		for _, cost := range some.Plan.Costs {
			if cost.Organisation == m.Organisation && cost.Calls > 0 {
				sum += int64(cost.Calls)
				most = append(most, spender{
					Name: cmp.Or(some.Name, some.File.Name, some.ID), Link: runAddress(some.ID), Calls: int64(cost.Calls),
					Night: night.IsNight(some),
				})
			}
		}
	}
	slices.SortStableFunc(most, func(x, y spender) int { return cmp.Compare(y.Calls, x.Calls) })
	return most[:min(len(most), mostSpenders)], sum
}

// dayRow is what a day spent.
type dayRow struct {
	Name          string // 2006-01-02 in Asia/Shanghai
	Calls, Urgent int64
}

// daysOf returns the days with calls, the latest first. A day before which no count is known is
// left out: the calls of several days would be its own.
func daysOf(days []pace.MonthDay) (rows []dayRow) {
	before, known := int64(0), false
	for _, d := range days {
		if calls := d.Spent - before; calls > 0 && (known || d.Date.Day() == 1) {
			rows = append(rows, dayRow{d.Date.In(pace.Shanghai).Format(time.DateOnly), calls, d.Urgent})
		}
		before, known = d.Spent, true
	}
	slices.Reverse(rows)
	return rows
}

// burn is a graph of the calls that are left, over the month.
type burn struct {
	Spent, Forecast string // paths; empty: nothing to draw
	Reserve         float64
}

// quotaRows are the months, or those that run out first.
func quotaRows(s *overview.State, all bool) (rows []quotaRow) {
	months := s.Months
	if len(months) > mostQuotas && !all {
		used := func(m overview.Month) float64 {
			left, bounded := m.Status.MonthLeft()
			if !bounded {
				return 0
			}
			return 1 - float64(left)/float64(max(m.Status.Quota.Calls, 1))
		}
		months = slices.Clone(months)
		slices.SortStableFunc(months, func(x, y overview.Month) int { return cmp.Compare(used(y), used(x)) })
		months = months[:mostQuotas]
	}
	for _, m := range months {
		rows = append(rows, quotaRowOf(m, s))
	}
	return rows
}

const burnWidth, burnHeight = 300, 80

func quotaRowOf(m overview.Month, s *overview.State) quotaRow {
	left, bounded := m.Status.MonthLeft()
	quota, spent := m.Status.Quota, m.Status.Month.Spent
	row := quotaRow{Month: m, Left: left, Class: "ok", Forecast: forecastOf(m, s.Now), Days: daysOf(m.Days)}
	switch {
	case bounded && left <= int64(quota.Reserve):
		row.Class = "bad"
	case bounded && (quota.Warn > 0 && spent >= int64(quota.Warn) || !row.Forecast.Out.IsZero()):
		row.Class = "warn"
	}
	var sum int64
	row.Runs, sum = spenders(m, s.Recent)
	row.Rest = max(0, spent-sum)
	if quota.Calls > 0 {
		row.Burn = burnOf(m, row.Forecast, s.Now)
	}
	return row
}

// burnOf draws the calls that are left: from the whole quota at the month's beginning, by the
// count at the end of each day, to now, and on to the month's end.
func burnOf(m overview.Month, f forecast, now time.Time) burn {
	month, quota := m.Status.Month, m.Status.Quota
	begins := month.Ends.AddDate(0, -1, 0)
	x := func(at time.Time) float64 {
		return burnWidth * min(1, max(0, float64(at.Sub(begins))/float64(month.Ends.Sub(begins))))
	}
	y := func(left int64) float64 {
		return burnHeight * (1 - float64(min(max(left, 0), int64(quota.Calls)))/float64(quota.Calls))
	}
	left := int64(quota.Calls) - month.Spent
	var path strings.Builder
	path.WriteString("M0 0")
	for _, d := range m.Days {
		if ends := d.Date.AddDate(0, 0, 1); ends.Before(now) {
			fmt.Fprintf(&path, "L%.1f %.1f", x(ends), y(int64(quota.Calls)-d.Spent))
		}
	}
	fmt.Fprintf(&path, "L%.1f %.1f", x(now), y(left))
	b := burn{Reserve: y(int64(quota.Reserve)), Spent: path.String()}
	end := int64(quota.Calls) - f.AtEnd
	b.Forecast = fmt.Sprintf("M%.1f %.1fL%d %.1f", x(now), y(left), burnWidth, y(end))
	if end < 0 && f.AtEnd > month.Spent { // it crosses the bottom before the month ends
		share := float64(left) / float64(f.AtEnd-month.Spent)
		b.Forecast = fmt.Sprintf("M%.1f %.1fL%.1f %d", x(now), y(left), x(now)+share*(burnWidth-x(now)), burnHeight)
	}
	return b
}

// memoryRow is a Redis server.
type memoryRow struct {
	overview.Server

	Percent int
	Class   string
}

func memoryOf(s overview.Server) memoryRow {
	row := memoryRow{Server: s, Percent: int(s.Full() * 100), Class: "ok"}
	switch {
	case s.WriteFailed, s.Policy != "" && s.Policy != "noeviction":
		row.Class = "bad"
	case s.Full() >= nearlyFull:
		row.Class = "warn"
	}
	return row
}
