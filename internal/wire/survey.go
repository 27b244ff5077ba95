package wire

import (
	"math"
	"time"

	"rollcall/internal/backlog"
	"rollcall/internal/hold"
	"rollcall/internal/overview"
	"rollcall/internal/pace"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

// Survey is the state of the lanes that the token may see, in full.
type Survey struct {
	Lanes []LaneState `json:"lanes" nullable:"false"`
	Holds []HoldState `json:"holds" nullable:"false"`
	// Damaged is a fact about all lanes.
	Damaged bool `doc:"A key cannot be read: what it would hold is 0" json:"damaged,omitzero"`
}

// LaneState is everything that is known of a lane.
type LaneState struct {
	Organisation string     `json:"organisation"`
	Tenant       string     `json:"tenant"`
	Kind         tasks.Kind `json:"kind"`
	Address      string     `doc:"Address whose limit it shares with others" json:"address,omitzero"`
	Seen         time.Time  `doc:"When a worker last published the lane"     json:"seen"`
	Urgent       QueueState `json:"urgent"`
	Bulk         QueueState `doc:"Of tasks that are not urgent"              json:"bulk"`
	Pace         PaceState  `json:"pace"`
}

// QueueState is the state of a queue.
type QueueState struct {
	Pending   int64   `json:"pending"`
	Active    int64   `json:"active"`
	Scheduled int64   `json:"scheduled"`
	Due       int64   `doc:"Of the scheduled, those whose time has come" json:"due"`
	Retry     int64   `json:"retry"`
	Archived  int64   `doc:"In asynq's archive"                          json:"archived"`
	Paused    bool    `doc:"Paused in asynq"                             json:"paused"`
	Oldest    float64 `doc:"Age of the oldest pending task"              json:"oldest_seconds"`
}

// LaneLimit is a limit of a lane.
type LaneLimit struct {
	Calls int     `json:"calls"`
	Per   float64 `json:"per_seconds"`
}

// MonthQuota is the quota of an organisation.
type MonthQuota struct {
	Calls   int `doc:"0: not bounded"                               json:"calls"`
	Reserve int `doc:"Of the calls, for urgent tasks"               json:"reserve"`
	Warn    int `doc:"Calls from which a warning is given; 0: none" json:"warn"`
}

// PaceState is the pace of a lane, and what it has learned.
type PaceState struct {
	Limits   []LaneLimit `doc:"As a worker published them last; none: no worker has"             json:"limits"                 nullable:"false"`
	Metered  bool        `doc:"Its calls count against the month"                                json:"metered"`
	Quota    int         `doc:"Calls of the month; 0: not bounded"                               json:"quota"`
	Reserve  int         `doc:"Of the quota, for urgent tasks"                                   json:"reserve"`
	Warn     int         `doc:"Calls from which a warning is given; 0: none"                     json:"warn"`
	Allowed  float64     `doc:"Calls a second that the pace allows now"                          json:"allowed"`
	InUse    float64     `doc:"Calls a second, over about ten seconds"                           json:"in_use"`
	Share    float64     `doc:"Of the limit, 0 to 1"                                             json:"share"`
	Spread   float64     `doc:"Assumed spread of the delay"                                      json:"spread_seconds"`
	Bad      float64     `doc:"The spread at which a call was refused; 0: none yet"              json:"refused_spread_seconds"`
	Refused  int64       `doc:"Calls refused for their rate so far"                              json:"refused"`
	Booked   int64       `doc:"Calls so far"                                                     json:"booked"`
	Paused   float64     `doc:"Rest of a pause"                                                  json:"pause_seconds"`
	Day      int64       `doc:"Calls of today, in Asia/Shanghai"                                 json:"day"`
	Month    string      `doc:"In Asia/Shanghai"                                                 example:"2026-11"             json:"month"`
	Ends     time.Time   `json:"month_ends"`
	Spent    int64       `doc:"Metered calls of the organisation in the month"                   json:"month_spent"`
	Messages int64       `doc:"Messages of robots in the month, which have a quota of their own" json:"month_messages"`
	Said     bool        `doc:"The platform has reported the quota as used up"                   json:"month_exhausted"`
	// Known is the quota that all workers use.
	Known *MonthQuota `doc:"Quota of the organisation in the month; missing: no worker has published it" json:"month_quota,omitzero"`
}

// HoldState is everything that is known of a hold.
type HoldState struct {
	Level   hold.Level `enum:"lane,tenant,organisation,address"      json:"level"`
	Name    string     `json:"name"`
	Class   hold.Class `json:"class"`
	Reason  string     `json:"reason"`
	Bulk    bool       `doc:"Urgent tasks are still taken"           json:"bulk,omitzero"`
	Since   time.Time  `json:"since"`
	Until   time.Time  `doc:"Missing: until it is released"          json:"until,omitzero"`
	By      string     `json:"by"`
	Probe   hold.Probe `doc:"How it is probed; missing: it is not"   json:"probe,omitzero"`
	Next    time.Time  `doc:"When it may be probed"                  json:"next,omitzero"`
	Tries   int        `doc:"Probes so far"                          json:"tries,omitzero"`
	Probing string     `doc:"The worker that is probing, until next" json:"probing,omitzero"`
	Seen    Evidence   `json:"seen,omitzero"`
}

// Evidence are the answers of a platform that led to a hold.
type Evidence struct {
	Host   string    `json:"host,omitzero"`
	Status int       `doc:"HTTP status; missing: no answer" json:"status,omitzero"`
	Code   string    `json:"code,omitzero"`
	First  time.Time `json:"first,omitzero"`
	Last   time.Time `json:"last,omitzero"`
	Count  int       `json:"count,omitzero"`
}

// LaneStateOf returns a lane as clients see it.
func LaneStateOf(l overview.Lane) LaneState {
	return LaneState{
		Organisation: l.Organisation, Tenant: l.Tenant, Kind: l.Kind, Address: l.Address, Seen: l.Seen,
		Urgent: queueStateOf(l.Urgent), Bulk: queueStateOf(l.Bulk), Pace: paceStateOf(l.Pace),
	}
}

// Lane returns the lane without its holds.
func (v LaneState) Lane() overview.Lane {
	l := overview.Lane{Lane: registry.Lane{Organisation: v.Organisation, Tenant: v.Tenant, Kind: v.Kind, Address: v.Address, Seen: v.Seen}}
	l.Urgent, l.Bulk, l.Pace = v.Urgent.queue(registry.Queue(v.Tenant, v.Kind, true)), v.Bulk.queue(l.Name()), v.Pace.status(l.Ref())
	return l
}

func queueStateOf(q overview.Queue) QueueState {
	return QueueState{
		Pending: q.Pending, Active: q.Active, Scheduled: q.Scheduled, Due: q.Due, Retry: q.Retry, Archived: q.Archived, Paused: q.Paused,
		Oldest: q.Oldest.Seconds(),
	}
}

func (v QueueState) queue(name string) overview.Queue {
	return overview.Queue{Queue: backlog.Queue{
		Name: name, Pending: v.Pending, Active: v.Active, Scheduled: v.Scheduled, Due: v.Due, Retry: v.Retry, Archived: v.Archived, Paused: v.Paused,
		Oldest: duration(v.Oldest),
	}}
}

func paceStateOf(s pace.Status) PaceState {
	v := PaceState{
		Metered: s.Metered, Quota: s.Quota.Calls, Reserve: s.Quota.Reserve, Warn: s.Quota.Warn, Allowed: s.Allowed, InUse: s.InUse, Share: s.Share,
		Spread: s.Spread.Seconds(), Bad: s.Bad.Seconds(), Refused: s.Refused, Booked: s.Booked, Paused: s.Paused.Seconds(), Day: s.Day,
		Month: s.Month.Name, Ends: s.Month.Ends.UTC(), Spent: s.Month.Spent, Messages: s.Month.Messages, Said: s.Month.Said,
		Limits: each(s.Limits, func(l pace.Limit) LaneLimit { return LaneLimit{Calls: l.Calls, Per: l.Per.Seconds()} }),
	}
	if s.Month.QuotaKnown {
		v.Known = new(MonthQuota(s.Month.Quota))
	}
	return v
}

func (v PaceState) status(of pace.Ref) pace.Status {
	s := pace.Status{
		Ref: of, Metered: v.Metered, Quota: pace.Quota{Calls: v.Quota, Reserve: v.Reserve, Warn: v.Warn}, Allowed: v.Allowed, InUse: v.InUse, Share: v.Share,
		Spread: duration(v.Spread), Bad: duration(v.Bad), Refused: v.Refused, Booked: v.Booked, Paused: duration(v.Paused), Day: v.Day,
		Month:  pace.Month{Name: v.Month, Ends: v.Ends, Spent: v.Spent, Messages: v.Messages, Said: v.Said},
		Limits: each(v.Limits, func(l LaneLimit) pace.Limit { return pace.Limit{Calls: l.Calls, Per: duration(l.Per)} }),
	}
	if v.Known != nil {
		s.Month.Quota, s.Month.QuotaKnown = pace.Quota(*v.Known), true
	}
	return s
}

func duration(seconds float64) time.Duration { return time.Duration(math.Round(seconds * 1e9)) }

// HoldStateOf returns a hold as clients see it.
func HoldStateOf(h hold.Hold) HoldState {
	return HoldState{
		Level: h.Level, Name: h.Name, Class: h.Class, Reason: h.Reason, Bulk: h.Bulk, Since: h.Since, Until: h.Until, By: h.By,
		Probe: h.Probe, Next: h.Next, Tries: h.Tries, Probing: h.Probing, Seen: Evidence(h.Seen),
	}
}

// Hold returns the hold.
func (v HoldState) Hold() hold.Hold {
	return hold.Hold{
		Scope: hold.Scope{Level: v.Level, Name: v.Name}, Class: v.Class, Reason: v.Reason, Bulk: v.Bulk, Since: v.Since, Until: v.Until, By: v.By,
		Probe: v.Probe, Next: v.Next, Tries: v.Tries, Probing: v.Probing, Seen: hold.Seen(v.Seen),
	}
}
