package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/internal/access"
	"rollcall/internal/hold"
	"rollcall/internal/overview"
	"rollcall/internal/pace"
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

type surveyOutput struct{ Body Survey }

func (a *API) registerSurvey() {
	register(a, huma.Operation{
		OperationID: "get-survey", Method: http.MethodGet, Path: "/v1/survey", Tags: []string{"State"}, Summary: "Read the state of the lanes in full",
		Description: "Queues, paces and holds of one moment, also of lanes without a worker whose queues hold tasks.",
	}, []access.Scope{access.Read}, a.getSurvey)
}

func (a *API) getSurvey(ctx context.Context, c caller, _ *struct{}) (*surveyOutput, error) {
	read, err := overview.ReadLanes(ctx, a.rdb, a.now())
	if err != nil {
		return nil, err
	}
	out := &surveyOutput{Body: Survey{Damaged: read.Damage != nil}}
	known := map[string]bool{} // holds, by their identities
	add := func(all ...hold.Hold) {
		for _, h := range all {
			if !known[h.ID()] {
				known[h.ID()] = true
				out.Body.Holds = append(out.Body.Holds, holdState(h))
			}
		}
	}
	for _, l := range read.Lanes {
		if !c.MayTenant(l.Tenant) {
			continue
		}
		add(l.Holds...)
		out.Body.Lanes = append(out.Body.Lanes, LaneState{
			Organisation: l.Organisation, Tenant: l.Tenant, Kind: l.Kind, Address: l.Address, Seen: l.Seen,
			Urgent: queueState(l.Urgent), Bulk: queueState(l.Bulk), Pace: paceState(l.Pace),
		})
	}
	if len(c.Tenants) == 0 {
		add(read.Strays...)
	}
	return out, nil
}

func holdState(h hold.Hold) HoldState {
	return HoldState{
		Level: h.Level, Name: h.Name, Class: h.Class, Reason: h.Reason, Bulk: h.Bulk, Since: h.Since, Until: h.Until, By: h.By,
		Probe: h.Probe, Next: h.Next, Tries: h.Tries, Probing: h.Probing, Seen: Evidence(h.Seen),
	}
}

func queueState(q overview.Queue) QueueState {
	return QueueState{
		Pending: q.Pending, Active: q.Active, Scheduled: q.Scheduled, Due: q.Due, Retry: q.Retry, Archived: q.Archived, Paused: q.Paused,
		Oldest: q.Oldest.Seconds(),
	}
}

func paceState(s pace.Status) PaceState {
	v := PaceState{
		Metered: s.Metered, Quota: s.Quota.Calls, Reserve: s.Quota.Reserve, Warn: s.Quota.Warn, Allowed: s.Allowed, InUse: s.InUse, Share: s.Share,
		Spread: s.Spread.Seconds(), Bad: s.Bad.Seconds(), Refused: s.Refused, Booked: s.Booked, Paused: s.Paused.Seconds(), Day: s.Day,
		Month: s.Month.Name, Ends: s.Month.Ends.UTC(), Spent: s.Month.Spent, Messages: s.Month.Messages, Said: s.Month.Said,
	}
	if s.Month.QuotaKnown {
		known := MonthQuota(s.Month.Quota)
		v.Known = &known
	}
	for _, limit := range s.Limits {
		v.Limits = append(v.Limits, LaneLimit{Calls: limit.Calls, Per: limit.Per.Seconds()})
	}
	return v
}
