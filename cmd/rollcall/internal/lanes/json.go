package lanes

import (
	"math"
	"time"

	"rollcall/internal/hold"
	"rollcall/internal/overview"
)

// Record is a lane as --json prints it. Its names are stable: names are added,
// never changed.
type Record struct {
	Lane         string `json:"lane"`
	Organisation string `json:"organisation"`
	Tenant       string `json:"tenant"`
	Kind         string `json:"kind"`

	PendingUrgent int64 `json:"pending_urgent"` // tasks of the urgent queue
	Pending       int64 `json:"pending"`        // tasks of the other queue
	Active        int64 `json:"active"`         // of both queues, as the next four
	Scheduled     int64 `json:"scheduled"`      // wait for their time
	ScheduledDue  int64 `json:"scheduled_due"`  // those of `scheduled` whose time has come
	Retry         int64 `json:"retry"`          // wait for another attempt
	Archived      int64 `json:"archived"`       // in asynq's archive

	// Oldest is the time for which the oldest pending task has been waiting.
	Oldest float64 `json:"oldest_seconds"` // age of the oldest pending task
	// Backlog counts the tasks that ETASeconds covers; ETASeconds is null if it
	// cannot be estimated.
	Backlog    int64    `json:"backlog"`     // waiting tasks
	ETASeconds *float64 `json:"eta_seconds"` // their time at the allowed rate; null if unknown

	RateUsed     float64 `json:"rate_used"`                  // calls a second
	RateAllowed  float64 `json:"rate_allowed"`               // calls a second; 0: no worker has published the limits
	Share        float64 `json:"share"`                      // of the limit, 0 to 1; below 1 another program uses it, or it became smaller
	SpreadMS     float64 `json:"spread_ms"`                  // assumed spread of the delay to the platform
	BadSpreadMS  float64 `json:"refused_spread_ms,omitzero"` // the spread at which a call was refused
	Refused      int64   `json:"refused"`                    // calls refused for their rate so far
	PauseSeconds float64 `json:"pause_seconds"`              // rest of a pause

	Month *monthRecord `json:"month,omitempty"` // of the organisation, if the lane is metered
	Day   *dayRecord   `json:"day,omitempty"`   // if the lane has a limit per 24 hours

	Holds        []holdRecord `json:"holds,omitempty"`
	PausedUrgent bool         `json:"paused_urgent,omitzero"` // asynq's pause of the urgent queue
	Paused       bool         `json:"paused,omitzero"`        // asynq's pause of the other queue
	Seen         time.Time    `json:"seen"`                   // when a worker last published the lane; year 1: never
	NoWorker     bool         `json:"no_worker,omitzero"`     // none has published it for 3 minutes
}

// monthRecord counts the calls of the organisation, over all its lanes.
type monthRecord struct {
	Name    string    `json:"name"`             // such as 2026-03
	Ends    time.Time `json:"ends"`             // in Asia/Shanghai
	Spent   int64     `json:"spent"`            // calls
	Quota   int       `json:"quota,omitzero"`   // calls; 0: no limit
	Reserve int       `json:"reserve,omitzero"` // of the quota, for urgent tasks
	Left    *int64    `json:"left"`             // null: no limit
	// SaidSpent reports whether the platform has reported an exhausted quota.
	SaidSpent bool `json:"said_spent,omitzero"` // the platform reports that no calls are left
	// Messages have a quota of their own.
	Messages int64 `json:"messages,omitzero"` // of robots
}

type dayRecord struct {
	Spent int64 `json:"spent"` // calls
	Limit int   `json:"limit"` // calls
	Left  int64 `json:"left"`  // calls
}

type holdRecord struct {
	Level    hold.Level `json:"level"`
	Name     string     `json:"name"`
	Class    hold.Class `json:"class"`
	Reason   string     `json:"reason"`
	BulkOnly bool       `json:"bulk_only,omitzero"` // the urgent queue continues
	Since    time.Time  `json:"since"`
	Until    time.Time  `json:"until,omitzero"`
	By       string     `json:"by"`
	Probe    hold.Probe `json:"probe,omitzero"`      // how the hold ends: by a `token` request, a `task` or an `address` check; none: by its time or a person
	Next     time.Time  `json:"next_probe,omitzero"` // when
	Tries    int        `json:"probes,omitzero"`     // so far
	Probing  string     `json:"probing,omitzero"`    // the worker that is probing, until next_probe
	Seen     hold.Seen  `json:"seen,omitzero"`
	Lift     string     `json:"lift"` // how it ends, in words
}

func (s *Survey) record(h hold.Hold) holdRecord {
	return holdRecord{
		Level: h.Level, Name: h.Name, Class: h.Class, Reason: h.Reason, BulkOnly: h.Bulk, Since: h.Since, Until: h.Until,
		By: h.By, Probe: h.Probe, Next: h.Next, Tries: h.Tries, Probing: h.Probing, Seen: h.Seen, Lift: s.howToEnd(h),
	}
}

// Record returns a lane of the survey for --json.
func (s *Survey) Record(l overview.Lane) Record {
	r := Record{
		Lane: l.Name(), Organisation: l.Organisation, Tenant: l.Tenant, Kind: string(l.Kind),
		PendingUrgent: l.Urgent.Pending, Pending: l.Bulk.Pending, Active: l.Urgent.Active + l.Bulk.Active,
		Scheduled: l.Urgent.Scheduled + l.Bulk.Scheduled, ScheduledDue: l.Urgent.Due + l.Bulk.Due,
		Retry: l.Urgent.Retry + l.Bulk.Retry, Archived: l.Urgent.Archived + l.Bulk.Archived,
		Oldest: seconds(max(l.Urgent.Oldest, l.Bulk.Oldest)), Backlog: l.Waits(),
		RateUsed: round(l.Pace.InUse), RateAllowed: round(l.Pace.Allowed), Share: l.Pace.Share,
		SpreadMS: seconds(1000 * l.Pace.Spread), BadSpreadMS: seconds(1000 * l.Pace.Bad), Refused: l.Pace.Refused,
		PauseSeconds: seconds(l.Pace.Paused),
		PausedUrgent: l.Urgent.Paused, Paused: l.Bulk.Paused, Seen: l.Seen, NoWorker: l.Unseen,
	}
	if eta, known := l.ETA(); known {
		r.ETASeconds = new(seconds(eta))
	}
	if l.Pace.Metered {
		m := l.Pace.Month
		r.Month = &monthRecord{
			Name: m.Name, Ends: m.Ends.UTC(), Spent: m.Spent, Quota: l.Pace.Quota.Calls, Reserve: l.Pace.Quota.Reserve, SaidSpent: m.Said, Messages: m.Messages,
		}
		if left, bounded := l.Pace.MonthLeft(); bounded {
			r.Month.Left = &left
		}
	}
	if limit := dayLimit(l); limit > 0 {
		r.Day = &dayRecord{Spent: l.Pace.Day, Limit: limit, Left: max(0, int64(limit)-l.Pace.Day)}
	}
	for _, h := range l.Holds {
		r.Holds = append(r.Holds, s.record(h))
	}
	return r
}

func seconds(d time.Duration) float64 { return round(d.Seconds()) }

func round(f float64) float64 { return math.Round(f*1000) / 1000 }
