package ui

import (
	"cmp"
	"slices"
	"time"

	"rollcall/internal/hold"
	"rollcall/internal/outcome"
	"rollcall/internal/overview"
	"rollcall/internal/redisdb"
	"rollcall/internal/run"
	"rollcall/internal/schedule"
)

// alarm is a sentence about something that is wrong, and what to do.
type alarm struct {
	What string
	Todo string
	Link string // page with more; empty: none

	rank int // the lowest is shown first
}

// The order of alarms: those that stop everything first, those that can wait last.
const (
	// Bad:
	rankRedis = iota
	rankNoWorker
	rankHeld
	rankUnseen
	rankDisk
	rankPoison
	// A warning:
	rankOperatorHold
	rankDeadWorker
	rankBulkHold
	rankRun
	rankSchedule
	rankPaused
	rankForecast
	rankMemory
	// A note, which must not hide what needs a person:
	rankReplaced
	rankDeadLetters
)

// alarm returns the alarm of a message, with what to do if there is a message of that.
func (r *request) alarm(rank int, key string, args ...any) alarm {
	return alarm{What: r.t(key, args...), Todo: r.hint(key + ".todo"), rank: rank}
}

// at returns the alarm with a link to a page.
func (a alarm) at(page string) alarm { a.Link = page; return a }

// Class is bad, warn or quiet.
func (a alarm) Class() string {
	switch {
	case a.rank < rankOperatorHold:
		return "bad"
	case a.rank < rankReplaced:
		return "warn"
	}
	return "quiet"
}

// alarms returns what is wrong, the worst first.
func (r *request) alarms(s *overview.State) []alarm {
	var all []alarm
	if s.Err != nil {
		all = append(all, r.redisAlarm(s))
	}
	if s.Read.IsZero() {
		return all
	}
	all = slices.Concat(all, r.workerAlarms(s), r.holdAlarms(s), r.laneAlarms(s), r.serverAlarms(s), r.deadAlarms(s),
		r.runAlarms(s), r.scheduleAlarms(s), r.monthAlarms(s))
	slices.SortStableFunc(all, func(x, y alarm) int { return cmp.Compare(x.rank, y.rank) })
	return all
}

func (r *request) redisAlarm(s *overview.State) alarm {
	fault, passing := redisdb.FaultOf(s.Err)
	if !passing {
		return r.alarm(rankRedis, "alarm.redis.refuses", r.clock(s.Since))
	}
	a := r.alarm(rankRedis, "alarm.since", r.clock(s.Since), r.t("redis."+string(fault)))
	a.Todo = r.t("redis." + string(fault) + ".todo")
	return a
}

// workerAlarms are about workers that have died. The one that shows this page lives, but it may
// not have started its lanes.
func (r *request) workerAlarms(s *overview.State) []alarm {
	if len(s.Lanes.Lanes) == 0 {
		return []alarm{{What: r.t("alarm.nolanes"), Todo: r.t("alarm.noworker.todo"), rank: rankNoWorker}}
	}
	living, last, waits := 0, time.Time{}, int64(0)
	for _, w := range s.Workers {
		if !w.Dead {
			living++
		}
		if w.Seen.After(last) {
			last = w.Seen
		}
	}
	for _, l := range s.Lanes.Lanes {
		waits += l.Waits()
	}
	if living == 0 {
		a := r.alarm(rankNoWorker, "alarm.noworker", num(waits))
		if !last.IsZero() {
			a.What = r.t("alarm.noworker.since", r.clock(last), num(waits))
		}
		return []alarm{a}
	}
	var all []alarm
	for _, w := range s.Workers {
		switch {
		case w.Dead && w.Replaced:
			all = append(all, r.alarm(rankReplaced, "alarm.worker.replaced", w.Name(), r.clock(w.Seen)))
		case w.Dead:
			all = append(all, r.alarm(rankDeadWorker, "alarm.worker.dead", w.Name(), r.clock(w.Seen), living))
		}
	}
	return all
}

func (r *request) holdAlarms(s *overview.State) []alarm {
	var all []alarm
	for _, h := range s.Holds {
		a := alarm{rank: rankHeld, Todo: r.holdTodo(h.Hold)}
		key := "alarm.held"
		switch {
		case h.Bulk:
			a.rank, key = rankBulkHold, "alarm.held.bulk"
		case h.Class == hold.Operator:
			a.rank = rankOperatorHold
		}
		a.What = r.t(key, r.scope(h.Scope), r.clock(h.Since), r.why(h.Hold))
		if next := r.holdNext(h.Hold); next != "" {
			a.What += " " + next
		}
		all = append(all, a)
	}
	return all
}

func (r *request) laneAlarms(s *overview.State) []alarm {
	var all []alarm
	var unseen, paused []overview.Lane
	for _, l := range s.Lanes.Lanes {
		switch {
		case l.Unseen:
			unseen = append(unseen, l)
		case l.Paused():
			paused = append(paused, l)
		}
	}
	if n := len(unseen); n > 0 && slices.ContainsFunc(s.Workers, func(w overview.Worker) bool { return !w.Dead }) {
		first := unseen[0]
		a := r.alarm(rankUnseen, "alarm.unseen", first.Name(), r.clock(first.Seen), num(first.Waits()))
		if first.Seen.IsZero() {
			a.What = r.t("alarm.unserved", first.Name(), num(first.Waits()))
		}
		all = append(all, r.andMore(a, n-1))
	}
	if n := len(paused); n > 0 {
		all = append(all, r.andMore(r.alarm(rankPaused, "alarm.paused", paused[0].Name()).at("/monitor/"), n-1))
	}
	return all
}

// andMore adds to the alarm of a lane how many other lanes have the same.
func (r *request) andMore(a alarm, others int) alarm {
	if others > 0 {
		a.What += " " + r.t("alarm.more", others)
	}
	return a
}

// nearlyFull is the share of Redis' memory from which a person should act.
const nearlyFull = 0.9

func (r *request) serverAlarms(s *overview.State) []alarm {
	var all []alarm
	if s.Damage != nil {
		all = append(all, r.alarm(rankDisk, "alarm.damaged"))
	}
	for _, server := range s.Servers {
		switch {
		case server.WriteFailed:
			all = append(all, alarm{What: r.t("alarm.disk", server.Port), Todo: r.t("redis.cannot_persist.todo"), rank: rankDisk})
		case server.Policy != "" && server.Policy != "noeviction":
			all = append(all, r.alarm(rankDisk, "alarm.policy", server.Port, server.Policy))
		case server.Full() >= nearlyFull && s.Err == nil:
			full := int(server.Full() * 100)
			all = append(all, alarm{What: r.t("alarm.memory", server.Port, full), Todo: r.t("redis.out_of_memory.todo"), rank: rankMemory})
		}
	}
	return all
}

func (r *request) deadAlarms(s *overview.State) []alarm {
	var all []alarm
	sum := int64(0)
	for _, d := range s.Dead {
		sum += d.Count
		if d.Class == outcome.Poison && d.Count > 0 {
			all = append(all, r.alarm(rankPoison, "alarm.poison", d.Lane, num(d.Count)).at("/dead-letters"))
		}
	}
	if sum > 0 {
		all = append(all, r.alarm(rankDeadLetters, "alarm.dead", num(sum)).at("/dead-letters"))
	}
	return all
}

func (r *request) runAlarms(s *overview.State) []alarm {
	var all []alarm
	for _, some := range s.Runs {
		key := "alarm.run.held"
		if some.State == run.StatePaused {
			key = "alarm.run.paused"
		}
		reason := cmp.Or(r.translated(some.Reason), "–")
		all = append(all, r.alarm(rankRun, key, r.label(some), r.clock(some.Changed), reason).at(runAddress(some.ID)))
	}
	return all
}

func (r *request) scheduleAlarms(s *overview.State) []alarm {
	var all []alarm
	if len(s.Schedules.Entries) > 0 && !s.Schedules.Leader {
		all = append(all, r.alarm(rankSchedule, "alarm.leader", len(s.Schedules.Entries)).at("/schedules"))
	}
	for _, e := range s.Schedules.Entries {
		if e.Last == nil || e.Pause != nil {
			continue
		}
		var a alarm
		switch e.Last.State {
		case schedule.Missed:
			a = r.alarm(rankSchedule, "alarm.missed", e.Name, r.clock(e.Last.At), r.duration(e.MisfireWindow))
			a.Todo = r.t("alarm.missed.todo", r.clock(e.Next))
		case schedule.Failed:
			a = r.alarm(rankSchedule, "alarm.failed", e.Name, r.clock(e.Last.At))
		default:
			continue
		}
		all = append(all, a.at("/schedules/"+e.Name))
	}
	return all
}

// monthAlarms are about months that run out. One that is spent is a hold.
func (r *request) monthAlarms(s *overview.State) []alarm {
	var all []alarm
	for _, m := range s.Months {
		spent := slices.ContainsFunc(s.Holds, func(h overview.Held) bool {
			return h.Class == hold.Quota && h.Level == hold.Organisation && h.Name == m.Organisation
		})
		f := forecastOf(m, s.Now)
		if spent || f.Out.IsZero() {
			continue
		}
		all = append(all, r.alarm(rankForecast, "alarm.forecast", m.Organisation, r.clock(f.Out), r.clock(m.Status.Month.Ends)))
	}
	return all
}
