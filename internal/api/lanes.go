package api

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/internal/access"
	"rollcall/internal/hold"
	"rollcall/internal/overview"
	"rollcall/tasks"
)

// Lane is one tenant at one API.
type Lane struct {
	Lane         string     `example:"lakeside-dt.nickname"                                               json:"lane"`
	Organisation string     `json:"organisation"`
	Tenant       string     `json:"tenant"`
	Kind         tasks.Kind `json:"kind"`
	Urgent       int64      `json:"pending_urgent"`
	Pending      int64      `doc:"Tasks that wait, without urgent ones"                                   json:"pending"`
	Active       int64      `json:"active"`
	Scheduled    int64      `json:"scheduled"`
	Retry        int64      `json:"retry"`
	RateUsed     float64    `doc:"Calls a second, over about ten seconds"                                 json:"rate_used"`
	RateAllowed  float64    `doc:"Calls a second that the pace allows now; 0: no worker has published it" json:"rate_allowed"`
	Paused       bool       `doc:"Paused in asynq"                                                        json:"paused"`
	Holds        []Hold     `json:"holds"                                                                 nullable:"false"`
	Seen         time.Time  `doc:"When a worker last published the lane"                                  json:"seen"`
}

// Hold is why a lane takes no tasks.
type Hold struct {
	Scope  string     `example:"lane lakeside-dt.nickname" json:"scope"`
	Class  hold.Class `json:"class"`
	Reason string     `json:"reason"`
	Bulk   bool       `doc:"Urgent tasks are still taken"  json:"bulk_only"`
	Since  time.Time  `json:"since"`
	Until  time.Time  `doc:"Missing: until it is released" json:"until,omitzero"`
	By     string     `json:"by"`
	End    string     `doc:"How it ends"                   json:"end"`
}

// Lanes are all lanes that the token may see.
type Lanes struct {
	Lanes []Lane `json:"lanes" nullable:"false"`
}

// Month is what an organisation has spent of its month.
type Month struct {
	Organisation string    `json:"organisation"`
	Month        string    `doc:"In Asia/Shanghai"                                  example:"2026-11"       json:"month"`
	Ends         time.Time `json:"ends"`
	Spent        int64     `doc:"Metered calls"                                     json:"spent"`
	Quota        int       `doc:"Missing: the month is not bounded"                 json:"quota,omitzero"`
	Reserve      int       `doc:"Calls of the quota that are kept for urgent tasks" json:"reserve,omitzero"`
	Left         *int64    `doc:"Missing: the month is not bounded"                 json:"left,omitzero"`
	Exhausted    bool      `doc:"The platform has reported the quota as used up"    json:"exhausted"`
}

// Quota are the months of the organisations that the token may see.
type Quota struct {
	Months []Month `json:"months" nullable:"false"`
}

type (
	lanesOutput struct{ Body Lanes }
	quotaOutput struct{ Body Quota }
)

func (a *API) registerLanes() {
	tags := []string{"State"}
	register(a, huma.Operation{
		OperationID: "list-lanes", Method: http.MethodGet, Path: "/v1/lanes", Tags: tags, Summary: "Read the state of the lanes",
	}, []access.Scope{access.Read}, a.listLanes)
	register(a, huma.Operation{
		OperationID: "get-quota", Method: http.MethodGet, Path: "/v1/quota", Tags: tags, Summary: "Read what the organisations have spent of their month",
	}, []access.Scope{access.Read}, a.getQuota)
}

// served returns the lanes that the caller may see.
func (a *API) served(ctx context.Context, c caller) ([]overview.Lane, error) {
	all, err := overview.ReadLanes(ctx, a.rdb, a.now())
	if err != nil {
		return nil, err
	}
	if all.Damage != nil { // a service must not take what is not known for zero
		return nil, all.Damage
	}
	lanes := slices.DeleteFunc(all.Lanes, func(l overview.Lane) bool { return !c.MayTenant(l.Tenant) })
	slices.SortFunc(lanes, func(x, y overview.Lane) int {
		return cmp.Or(cmp.Compare(x.Tenant, y.Tenant), cmp.Compare(x.Kind, y.Kind))
	})
	return lanes, nil
}

func (a *API) listLanes(ctx context.Context, c caller, _ *struct{}) (*lanesOutput, error) {
	lanes, err := a.served(ctx, c)
	if err != nil {
		return nil, err
	}
	out := &lanesOutput{}
	for _, l := range lanes {
		v := Lane{
			Lane: l.Name(), Organisation: l.Organisation, Tenant: l.Tenant, Kind: l.Kind,
			Urgent: l.Urgent.Pending, Pending: l.Bulk.Pending, Active: l.Bulk.Active + l.Urgent.Active,
			Scheduled: l.Bulk.Scheduled + l.Urgent.Scheduled, Retry: l.Bulk.Retry + l.Urgent.Retry,
			RateUsed: l.Pace.InUse, RateAllowed: l.Pace.Allowed, Paused: l.Bulk.Paused, Seen: l.Seen,
		}
		for _, h := range l.Holds {
			v.Holds = append(v.Holds, Hold{
				Scope: h.String(), Class: h.Class, Reason: h.Reason, Bulk: h.Bulk, Since: h.Since, Until: h.Until, By: h.By, End: h.HowToEnd(),
			})
		}
		out.Body.Lanes = append(out.Body.Lanes, v)
	}
	return out, nil
}

func (a *API) getQuota(ctx context.Context, c caller, _ *struct{}) (*quotaOutput, error) {
	lanes, err := a.served(ctx, c)
	if err != nil {
		return nil, err
	}
	months := map[string]Month{}
	for _, l := range lanes {
		s := l.Pace
		if !s.Metered {
			continue
		}
		m := Month{
			Organisation: l.Organisation, Month: s.Month.Name, Ends: s.Month.Ends.UTC(), Spent: s.Month.Spent, Quota: s.Quota.Calls,
			Reserve: s.Quota.Reserve, Exhausted: s.Month.Said,
		}
		if left, bounded := s.MonthLeft(); bounded {
			m.Left = &left
		}
		months[l.Organisation] = m
	}
	out := &quotaOutput{}
	for _, name := range slices.Sorted(maps.Keys(months)) {
		out.Body.Months = append(out.Body.Months, months[name])
	}
	return out, nil
}
