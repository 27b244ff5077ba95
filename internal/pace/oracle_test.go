package pace //nolint:testpackage // it reads the limits as the scripts do

import (
	"slices"
	"strconv"
	"strings"
)

// Model is the pace of a lane and its arithmetic, with the time passed in and without
// Redis. The scripts compute the same on Redis' clock. A test compares the two, and the
// simulations use the Model. Times and lengths are in microseconds.
type Model struct {
	Limits []Limit
	Quota  Quota
	// Metered means that calls count against the month.
	Metered bool

	Seq int64 // slots booked so far
	// Next is when the next call is due, for each spaced limit, by its length.
	Next      map[int64]int64
	Pause     int64 // no slot before this time
	Epoch     int64 // incremented when booked slots become void
	Start     int64 // initial Spread, by the lane's window
	Spread    int64 // spread in use
	Bad       int64 // the spread at which a call was refused; 0: none
	BadAt     int64
	Share     int64 // share of the rate, in thousandths, at ShareAt; it grows from then on
	ShareAt   int64
	CutAt     int64 // time of the last cut of the share
	Run       int64 // since when calls have been sent at the full rate
	Learned   int64 // time of the last change of Spread or Share
	Before    int64 // Spread before that change
	RefusedAt int64 // time of the last refusal
	Refused   int64 // number of refusals
	Day       string
	DayCalls  int64
	Month     string
	Spent     int64   // metered calls of Month, of the organisation
	Said      string  // a month that the platform reports as spent
	Free      []int64 // returned slots
	Clock     int64   // time of the last call
	months    map[string]int64
}

// The constants of the pace, in microseconds unless noted.
const (
	lone        = 100_000       // pause after a single refusal for calls per second
	remembered  = 3_600_000_000 // how long a refused spread is not tried again
	clearOf     = 2_000         // distance that the spread keeps from it
	fullWindows = 5             // windows without a refusal after which the spread shrinks
	steps       = 100           // number of steps from the start in which it shrinks
	shareKept   = 850           // thousandths of the share that remain after a cut
	// The same, after a cut soon after another: the quota has become smaller.
	shareKeptAgain = 750
	shareLeast     = 50         // thousandths
	freeMost       = 64         // bound of the returned slots that are kept
	longest        = 60_000_000 // longest window that is waited for after a loss of data
	setBack        = 1_000_000  // by how much a clock must be set back to count as such

	day       = 86_400_000_000
	mostCount = 1_000_000_000_000 // of slots, epochs or refusals
)

// Ask is a request for slots.
type Ask struct {
	Urgent, Bulk int
	NotBefore    []int64 // earliest time of each slot, in order; missing: at once
	// Known is the highest Seq that the caller has seen. If it is above the current
	// one, Redis has lost its data.
	Known      int64
	KnownMonth string
	KnownSpent int64
	// KnownEpoch is the highest epoch that the caller has seen: it uses no slot of a
	// lower one. If it is above the current one, Redis has lost data as well.
	KnownEpoch int64
}

// Book books slots.
func (m *Model) Book(now int64, a Ask) Reply {
	limits := spaced(m.Limits)
	var r Reply
	r.Dropped = m.begin(limits, now, a)
	share := m.share(now)
	for i := range a.Urgent + a.Bulk {
		urgent := i < a.Urgent
		if why := m.spent(urgent); why != "" {
			r.Why, r.Again = why, now+Horizon.Microseconds()
			break
		}
		early := max(now, m.Pause)
		if i < len(a.NotBefore) {
			early = max(early, a.NotBefore[i])
		}
		at, free := m.due(limits, early, share)
		horizon := now + bulkHorizon.Microseconds()
		if urgent {
			horizon = now + Horizon.Microseconds()
		}
		if at > horizon {
			// Asking again as soon as one slot is free would cost one round trip per
			// slot.
			r.Why, r.Again = WhyHorizon, now+at-horizon+bulkHorizon.Microseconds()/4
			if m.Pause > horizon {
				r.Why, r.Again = WhyPaused, m.Pause
			}
			break
		}
		m.take(limits, at, free, share)
		r.Slots = append(r.Slots, at)
	}
	r.Epoch, r.At = m.Epoch, now
	return r
}

// past returns the times that are in the past, or are those of slots.
func (m *Model) past() []*int64 {
	return []*int64{&m.BadAt, &m.ShareAt, &m.CutAt, &m.Run, &m.Learned, &m.RefusedAt}
}

// pastNames are the names of past.
var pastNames = []string{"bad_at", "share_at", "cut_at", "run", "learned", "refused_at"}

// bound drops what is more than it can have been, and returns the names.
func (m *Model) bound() (dropped []string) {
	for _, f := range []struct {
		name  string
		value *int64
		most  int64
	}{
		{"seq", &m.Seq, mostCount},
		{"epoch", &m.Epoch, mostCount},
		{"start", &m.Start, day},
		{"spread", &m.Spread, day},
		{"bad", &m.Bad, day},
		{"share", &m.Share, whole},
		{"before", &m.Before, day},
		{"refused", &m.Refused, mostCount},
		{"day_calls", &m.DayCalls, mostCount},
	} {
		if *f.value < 0 || *f.value > f.most {
			*f.value, dropped = 0, append(dropped, f.name)
		}
	}
	return dropped
}

// follow takes all times along with a clock that was set back. Booked slots become void.
// It returns the name of the clock if that was set by days.
func (m *Model) follow(limits []Limit, now int64) (set []string) {
	if back := m.Clock - now; back > setBack {
		m.Pause = max(0, m.Pause-back)
		for _, t := range m.past() {
			*t = max(0, *t-back)
		}
		for _, l := range limits {
			m.Next[l.length()] = max(0, m.Next[l.length()]-back)
		}
		m.Free = nil
		m.Epoch++
		if back > day {
			set = []string{"clock"}
		}
	}
	m.Clock = now
	return set
}

// drop drops what is further ahead than it can have been written, and returns the names
// of all that was dropped.
func (m *Model) drop(limits []Limit, now int64) string {
	horizon := Horizon.Microseconds()
	dropped := m.bound()
	waits := len(dropped) > 0
	dropped = append(dropped, m.follow(limits, now)...)
	for i, t := range m.past() {
		if *t > now+horizon+setBack {
			*t, dropped = now, append(dropped, pastNames[i])
		}
	}
	if m.Pause > now+LongestPause.Microseconds()+horizon {
		m.Pause, dropped, waits = 0, append(dropped, "pause"), true
	}
	for _, l := range limits {
		slowest := l.interval(mostSpread(limits[0]).Microseconds(), shareLeast)
		if m.Next[l.length()] > now+horizon+l.length()+int64(l.Burst+1)*slowest {
			m.Next[l.length()] = now
			dropped, waits = append(dropped, "next:"+strconv.FormatInt(l.length(), 10)), true
		}
	}
	if free := slices.DeleteFunc(slices.Clone(m.Free), func(t int64) bool { return t > now+horizon+setBack }); len(free) < len(m.Free) {
		m.Free, dropped, waits = free, append(dropped, "free"), true
	}
	if waits {
		m.Pause = max(m.Pause, now+min(limits[len(limits)-1].Per.Microseconds(), longest)+horizon)
		m.Epoch++
		m.Free = nil
	}
	return strings.Join(dropped, " ")
}

// begin updates the state before a booking, and returns what was dropped.
func (m *Model) begin(limits []Limit, now int64, a Ask) (dropped string) {
	if m.Next == nil {
		m.Next, m.months = map[int64]int64{}, map[string]int64{}
	}
	dropped = m.drop(limits, now)
	start, _ := limits[0].Window.spread()
	if m.Start != start.Microseconds() { // new lane, or another window
		m.Start, m.Spread, m.Bad = start.Microseconds(), start.Microseconds(), 0
	}
	if m.Share == 0 {
		m.Share = whole
	}
	if m.Spread == 0 {
		m.Spread = m.Start
	}
	m.Spread = min(m.Spread, mostSpread(limits[0]).Microseconds())
	if day := shanghai(now).Format("2006-01-02"); m.Day != day {
		m.Day, m.DayCalls = day, 0
	}
	if month := shanghai(now).Format("2006-01"); m.Month != month {
		m.months[m.Month] = m.Spent
		m.Month, m.Spent = month, m.months[month]
	}
	if a.Known <= m.Seq && a.KnownEpoch <= m.Epoch {
		return dropped
	}
	m.Seq = max(m.Seq, a.Known)
	m.Pause = max(m.Pause, now+min(limits[len(limits)-1].Per.Microseconds(), longest)+Horizon.Microseconds())
	m.Epoch = max(m.Epoch, a.KnownEpoch) + 1
	if a.KnownMonth == m.Month {
		m.Spent = max(m.Spent, a.KnownSpent)
	}
	return dropped
}

func (m *Model) share(now int64) int64 {
	return min(whole, m.Share+max(now-m.ShareAt, 0)*shareGrowth/1_000_000)
}

// spent returns which counted limit allows no further call.
func (m *Model) spent(urgent bool) string {
	if most := daily(m.Limits); most > 0 && m.DayCalls >= most {
		return WhyDay
	}
	if m.Metered && m.Said == m.Month {
		return WhyMonth
	}
	if !m.Metered || m.Quota.Calls == 0 {
		return ""
	}
	switch left := int64(m.Quota.Calls) - m.Spent; {
	case left <= 0:
		return WhyMonth
	case !urgent && left <= int64(m.Quota.Reserve):
		return WhyReserve
	}
	return ""
}

// due returns the earliest time that all spaced limits allow. free reports that the
// slot was returned, and is already counted.
func (m *Model) due(limits []Limit, early, share int64) (at int64, free bool) {
	m.Free = slices.DeleteFunc(m.Free, func(t int64) bool { return t < early })
	if len(m.Free) > 0 {
		return slices.Min(m.Free), true
	}
	for _, l := range limits {
		early = max(early, m.Next[l.length()]-l.tolerance(l.interval(m.Spread, share)))
	}
	return early, false
}

func (m *Model) take(limits []Limit, at int64, free bool, share int64) {
	m.Seq++
	m.DayCalls++
	if m.Metered {
		m.Spent++
	}
	if free {
		i := slices.Index(m.Free, at)
		m.Free = slices.Delete(m.Free, i, i+1)
		return
	}
	if at > m.Next[limits[0].length()] || share < whole {
		m.Run = at
	}
	for _, l := range limits {
		m.Next[l.length()] = max(m.Next[l.length()], at) + l.interval(m.Spread, share)
	}
	m.learn(limits[0], at)
}

// learn shrinks the spread after a time without a refusal at the full rate.
func (m *Model) learn(l Limit, at int64) {
	if at-max(m.Run, m.Learned) < fullWindows*l.Per.Microseconds() {
		return
	}
	start, least := l.Window.spread()
	floor := least.Microseconds()
	if m.Bad > 0 && at-m.BadAt < remembered {
		floor = max(floor, m.Bad+clearOf)
	}
	m.Spread = min(m.Spread, max(floor, m.Spread-start.Microseconds()/steps))
	m.Learned = at
}

// Refusal is a platform's answer that a call was too fast.
type Refusal struct {
	Slot   int64 // slot of the refused call
	Period int64 // length of the exceeded window; 0: unknown
	After  int64 // how long the platform asks to wait; 0: not given
}

// Refuse applies a refusal: it pauses the lane, and learns.
func (m *Model) Refuse(now int64, r Refusal) {
	limits := spaced(m.Limits)
	m.begin(limits, now, Ask{})
	window := limits[0].Per.Microseconds()
	pause := int64(lone)
	switch {
	case r.After > 0:
		pause = r.After
	case r.Period > window:
		pause = r.Period
	case m.RefusedAt > 0 && now-m.RefusedAt < window:
		pause = window
	}
	m.Refused++
	m.RefusedAt = now
	share := m.share(now)
	full := share == whole && m.Run > 0 && r.Slot-m.Run >= window
	if r.Slot > m.Learned && (r.Period == 0 || r.Period <= window) {
		if full {
			m.Before, m.Bad, m.BadAt = m.Spread, m.Spread, now
			m.Spread = min(max(m.Spread+m.Spread*15/100+1, m.Bad+clearOf), mostSpread(limits[0]).Microseconds())
		} else {
			// A refusal below the limit: another client uses the same quota. What was
			// learned from the refusal just before is reverted.
			if m.Before > 0 && now-m.Learned < 2*window {
				m.Spread, m.Bad = m.Before, 0
			}
			kept := int64(shareKept)
			if m.CutAt > 0 && now-m.CutAt < 3*window {
				kept = shareKeptAgain
			}
			m.Share, m.ShareAt, m.CutAt, m.Before = max(shareLeast, share*kept/1000), now, now, 0
			share = m.Share
		}
		m.Learned = now
	}
	m.stop(limits, now, now+min(pause, LongestPause.Microseconds()), share)
}

// PauseFor allows no slot to be booked for d.
func (m *Model) PauseFor(now, d int64) {
	limits := spaced(m.Limits)
	m.begin(limits, now, Ask{})
	m.stop(limits, now, now+min(d, LongestPause.Microseconds()), m.share(now))
}

// stop makes booked slots void and allows no slot before until.
func (m *Model) stop(limits []Limit, now, until, share int64) {
	// If the next slot is due within one interval, the last one has passed. A burst
	// that left at once is counted ahead of time.
	first := limits[0].interval(m.Spread, share)
	void := max(0, m.Next[limits[0].length()]-limits[0].tolerance(first)-now-1) / first
	for _, l := range limits {
		m.Next[l.length()] -= void * l.interval(m.Spread, share)
	}
	m.Free = nil
	m.Epoch++
	m.Pause = max(m.Pause, until)
}

// Return is a returned slot, or a call that the platform did not count.
type Return struct {
	Slot    int64 // 0: the call left but the platform did not count it
	Epoch   int64
	Counted int64 // time of the booking, which gives the day and month it was counted in
}

// GiveBack takes back bookings that are not used.
func (m *Model) GiveBack(now int64, returns ...Return) {
	m.begin(spaced(m.Limits), now, Ask{})
	for _, r := range returns {
		if r.Slot > now && r.Epoch == m.Epoch && len(m.Free) < freeMost {
			m.Free = append(m.Free, r.Slot)
		}
		if shanghai(r.Counted).Format("2006-01-02") == m.Day {
			m.DayCalls = max(0, m.DayCalls-1)
		}
		if m.Metered && shanghai(r.Counted).Format("2006-01") == m.Month {
			m.Spent = max(0, m.Spent-1)
		}
	}
}

// length is the window's length in microseconds, which identifies the limit.
func (l Limit) length() int64 { return l.Per.Microseconds() }

// tolerance is how early a call may leave, because of the burst.
func (l Limit) tolerance(interval int64) int64 { return int64(l.Burst) * interval }
