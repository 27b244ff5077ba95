package remote

import (
	"context"
	"errors"
	"math"
	"time"

	"rollcall/internal/backlog"
	"rollcall/internal/hold"
	"rollcall/internal/overview"
	"rollcall/internal/pace"
	"rollcall/internal/registry"
)

// laneView is a lane as the API shows it in full.
type laneView struct {
	registry.Lane

	Urgent queueView `json:"urgent"`
	Bulk   queueView `json:"bulk"`
	Pace   paceView  `json:"pace"`
}

type queueView struct {
	Pending   int64   `json:"pending"`
	Active    int64   `json:"active"`
	Scheduled int64   `json:"scheduled"`
	Due       int64   `json:"due"`
	Retry     int64   `json:"retry"`
	Archived  int64   `json:"archived"`
	Paused    bool    `json:"paused"`
	Oldest    float64 `json:"oldest_seconds"`
}

type paceView struct {
	Limits []struct {
		Calls int     `json:"calls"`
		Per   float64 `json:"per_seconds"`
	} `json:"limits"`
	Metered  bool      `json:"metered"`
	Quota    int       `json:"quota"`
	Reserve  int       `json:"reserve"`
	Warn     int       `json:"warn"`
	Allowed  float64   `json:"allowed"`
	InUse    float64   `json:"in_use"`
	Share    float64   `json:"share"`
	Spread   float64   `json:"spread_seconds"`
	Bad      float64   `json:"refused_spread_seconds"`
	Refused  int64     `json:"refused"`
	Booked   int64     `json:"booked"`
	Paused   float64   `json:"pause_seconds"`
	Day      int64     `json:"day"`
	Month    string    `json:"month"`
	Ends     time.Time `json:"month_ends"`
	Spent    int64     `json:"month_spent"`
	Messages int64     `json:"month_messages"`
	Said     bool      `json:"month_exhausted"`
	Known    *struct {
		Calls   int `json:"calls"`
		Reserve int `json:"reserve"`
		Warn    int `json:"warn"`
	} `json:"month_quota"`
}

func duration(seconds float64) time.Duration { return time.Duration(math.Round(seconds * 1e9)) }

func (v queueView) queue(name string) overview.Queue {
	return overview.Queue{Queue: backlog.Queue{
		Name: name, Due: v.Due,
		Pending: v.Pending, Active: v.Active, Scheduled: v.Scheduled, Retry: v.Retry, Archived: v.Archived, Paused: v.Paused, Oldest: duration(v.Oldest),
	}}
}

func (v paceView) status(l registry.Lane) pace.Status {
	s := pace.Status{
		Ref: pace.Ref{Organisation: l.Organisation, Lane: registry.Queue(l.Tenant, l.Kind, false)}, Metered: v.Metered,
		Quota: pace.Quota{Calls: v.Quota, Reserve: v.Reserve, Warn: v.Warn}, Allowed: v.Allowed, InUse: v.InUse, Share: v.Share,
		Spread: duration(v.Spread), Bad: duration(v.Bad), Refused: v.Refused, Booked: v.Booked, Paused: duration(v.Paused), Day: v.Day,
		Month: pace.Month{Name: v.Month, Spent: v.Spent, Messages: v.Messages, Said: v.Said, Ends: v.Ends},
	}
	if v.Known != nil {
		s.Month.Quota, s.Month.QuotaKnown = pace.Quota(*v.Known), true
	}
	for _, limit := range v.Limits {
		s.Limits = append(s.Limits, pace.Limit{Calls: limit.Calls, Per: duration(limit.Per)})
	}
	return s
}

// errDamaged stands for the names of damaged keys, which the API keeps to itself.
var errDamaged = errors.New("keys of some lanes are damaged")

// Survey returns the state of the lanes of the tenants of the token.
func (c *Client) Survey(ctx context.Context, now time.Time) (*overview.Lanes, error) {
	var out struct {
		Lanes []laneView  `json:"lanes"`
		Holds []hold.Hold `json:"holds"` // their names are those of the stored form

		Damaged bool `json:"damaged"`
	}
	if _, err := c.do(ctx, get(nil, "survey"), &out); err != nil {
		return nil, err
	}
	var lanes []overview.Lane
	for _, v := range out.Lanes {
		lanes = append(lanes, overview.Lane{
			Lane: v.Lane, Pace: v.Pace.status(v.Lane),
			Urgent: v.Urgent.queue(registry.Queue(v.Tenant, v.Kind, true)), Bulk: v.Bulk.queue(registry.Queue(v.Tenant, v.Kind, false)),
		})
	}
	var damage error
	if out.Damaged {
		damage = errDamaged
	}
	return overview.New(now, lanes, out.Holds, damage), nil
}
