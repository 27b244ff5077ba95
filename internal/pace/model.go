package pace

import (
	"slices"
	"time"
)

// Model is the pace of a lane and the arithmetic that moves it on, with the
// time passed in and without Redis. The scripts do the same on Redis' clock; a
// test holds the two together, and the simulations run on this one. Times and
// lengths are microseconds.
type Model struct {
	Limits []Limit
	Quota  Quota
	// Metered tells that calls count against the month.
	Metered bool

	Seq int64 // slots booked so far
	// Next is when the next call is due, for each spaced limit by its length.
	Next      map[int64]int64
	Pause     int64 // no slot before it
	Epoch     int64 // rises when slots that were booked are void
	Start     int64 // the Spread that the lane began with, by its window
	Spread    int64 // in use
	Bad       int64 // the spread at which a call was refused; 0: none
	BadAt     int64
	Share     int64 // of the rate, in thousandths, at ShareAt; it grows from there
	ShareAt   int64
	CutAt     int64 // when it was cut last
	Run       int64 // since when calls follow on each other at the whole rate
	Learned   int64 // when Spread or Share changed last
	Before    int64 // the Spread before that
	RefusedAt int64 // when a call was refused last
	Refused   int64 // how many were
	Day       string
	DayCalls  int64
	Month     string
	Spent     int64   // metered calls of Month, of the whole organisation
	Said      string  // a month that the platform says is spent
	Free      []int64 // slots that were given back
}

// What the pace does, in microseconds.
const (
	lone        = 100_000       // pause after a lone refusal for calls per second
	remembered  = 3_600_000_000 // how long a spread that was refused is not tried again
	clearOf     = 2_000         // how far the spread stays away from it
	fullWindows = 5             // without a refusal, after which the spread shrinks
	steps       = 100           // of its start, in which it shrinks
	shareKept   = 850           // thousandths of the share after a cut
	// the same after a cut on the heels of another: the quota has become smaller
	shareKeptAgain = 750
	shareLeast     = 50         // thousandths
	shareGrowth    = 30         // thousandths a second
	freeMost       = 64         // slots given back that are kept
	longest        = 60_000_000 // window that is waited for after a loss of memory
)

// Ask is a request for slots.
type Ask struct {
	Urgent, Bulk int
	NotBefore    []int64 // of each slot in turn; missing ones: at once
	// Known is the highest Seq that was seen; more than there is means that
	// Redis has lost its memory.
	Known      int64
	KnownMonth string
	KnownSpent int64
}

// Why slots were not given.
const (
	WhyHorizon = "horizon" // enough is booked ahead; ask again
	WhyPaused  = "paused"
	WhyMonth   = "month"   // the month's calls are spent
	WhyReserve = "reserve" // what is left of them is for urgent calls
	WhyDay     = "day"     // the day's calls are spent
)

// Reply is an answer to an Ask: as many slots as could be booked, the urgent
// ones first. Why says what kept the others back, and Again when to ask again.
type Reply struct {
	Slots []int64
	Why   string // empty: all were booked
	Again int64
	Epoch int64 // of the slots; a higher one means that they are void
	At    int64 // when they were booked
}

// Book books slots.
func (m *Model) Book(now int64, a Ask) Reply {
	limits := spaced(m.Limits)
	m.begin(limits, now, a)
	share := m.share(now)
	var r Reply
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
			// Asking again when a single slot has come free would be a call a slot.
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

// begin brings the state up to date before anything is booked.
func (m *Model) begin(limits []Limit, now int64, a Ask) {
	if m.Next == nil {
		m.Next = map[int64]int64{}
	}
	start, _ := limits[0].Window.spread()
	if m.Start != start.Microseconds() { // new, or told of another window
		m.Start, m.Spread, m.Bad = start.Microseconds(), start.Microseconds(), 0
	}
	if m.Share == 0 {
		m.Share = whole
	}
	if day := shanghai(now).Format("2006-01-02"); m.Day != day {
		m.Day, m.DayCalls = day, 0
	}
	if month := shanghai(now).Format("2006-01"); m.Month != month {
		m.Month, m.Spent = month, 0
	}
	if a.Known <= m.Seq {
		return
	}
	m.Seq = a.Known
	m.Pause = max(m.Pause, now+min(limits[len(limits)-1].Per.Microseconds(), longest)+Horizon.Microseconds())
	m.Epoch++
	if a.KnownMonth == m.Month {
		m.Spent = max(m.Spent, a.KnownSpent)
	}
}

func (m *Model) share(now int64) int64 {
	return min(whole, m.Share+max(now-m.ShareAt, 0)*shareGrowth/1_000_000)
}

// spent says which counted limit allows no further call.
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

// due is the earliest time that all spaced limits allow. free tells that it was
// given back and is in their books already.
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

// learn lets the spread shrink after a time without a refusal at the whole rate.
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

// Refusal is what a platform said of a call that was too fast.
type Refusal struct {
	Slot   int64 // of the call that was refused
	Period int64 // the window's length, as far as it is known; 0: not
	After  int64 // how long the platform wants to be left alone; 0: it did not say
}

// Refuse takes a refusal into account: it pauses the lane, and learns.
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
			// A refusal below the limit: somebody else is on it. What the one just
			// before was taken for is taken back.
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
	m.stop(limits, now, now+pause, share)
}

// PauseFor lets no slot be booked for d.
func (m *Model) PauseFor(now, d int64) {
	limits := spaced(m.Limits)
	m.begin(limits, now, Ask{})
	m.stop(limits, now, now+d, m.share(now))
}

// stop voids what is booked and lets no slot be booked before until.
func (m *Model) stop(limits []Limit, now, until, share int64) {
	// The last slot has come already if the next is due within one interval; and
	// what a burst let through at once is in the books ahead.
	first := limits[0].interval(m.Spread, share)
	void := max(0, m.Next[limits[0].length()]-limits[0].tolerance(first)-now-1) / first
	for _, l := range limits {
		m.Next[l.length()] -= void * l.interval(m.Spread, share)
	}
	m.Free = nil
	m.Epoch++
	m.Pause = max(m.Pause, until)
}

// Return is a slot that is given back, or a call that the platform did not count.
type Return struct {
	Slot    int64 // 0: the call left, and the platform did not count it
	Epoch   int64
	Counted int64 // when it was booked: the day and the month that it was counted in
}

// GiveBack takes back what was booked and is not used.
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

// shanghai is the platforms' clock. It has known no summer time since 1991.
func shanghai(us int64) time.Time {
	return time.UnixMicro(us).In(time.FixedZone("Asia/Shanghai", 8*60*60))
}
