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
	"rollcall/internal/backlog"
	"rollcall/internal/hold"
	"rollcall/internal/pace"
	"rollcall/internal/registry"
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

// served returns the lanes that the caller may see, with their pace.
func (a *API) served(ctx context.Context, c caller) ([]registry.Lane, []pace.Status, error) {
	lanes, err := registry.Read(ctx, a.rdb, a.now())
	if err != nil {
		return nil, nil, err
	}
	lanes = slices.DeleteFunc(lanes, func(l registry.Lane) bool { return !c.MayTenant(l.Tenant) })
	slices.SortFunc(lanes, func(x, y registry.Lane) int {
		return cmp.Or(cmp.Compare(x.Tenant, y.Tenant), cmp.Compare(x.Kind, y.Kind))
	})
	refs := make([]pace.Ref, len(lanes))
	for i, l := range lanes {
		refs[i] = pace.Ref{Organisation: l.Organisation, Lane: registry.Queue(l.Tenant, l.Kind, false)}
	}
	states, err := pace.Read(ctx, a.rdb, refs)
	return lanes, states, err
}

func (a *API) listLanes(ctx context.Context, c caller, _ *struct{}) (*lanesOutput, error) {
	lanes, states, err := a.served(ctx, c)
	if err != nil {
		return nil, err
	}
	var queues []string
	for _, l := range lanes {
		queues = append(queues, registry.Queue(l.Tenant, l.Kind, false), registry.Queue(l.Tenant, l.Kind, true))
	}
	counts, err := backlog.Read(ctx, a.rdb, queues)
	if err != nil {
		return nil, err
	}
	if err := a.holds.Refresh(ctx); err != nil {
		return nil, err
	}
	out := &lanesOutput{}
	for i, l := range lanes {
		bulk, urgent := counts[2*i], counts[2*i+1]
		v := Lane{
			Lane: registry.Queue(l.Tenant, l.Kind, false), Organisation: l.Organisation, Tenant: l.Tenant, Kind: l.Kind,
			Urgent: urgent.Pending, Pending: bulk.Pending, Active: bulk.Active + urgent.Active, Scheduled: bulk.Scheduled + urgent.Scheduled,
			Retry: bulk.Retry + urgent.Retry, RateUsed: states[i].InUse, RateAllowed: states[i].Allowed, Paused: bulk.Paused, Seen: l.Seen,
		}
		for _, h := range a.holds.Of(scopesOf(l, states[i])...) {
			v.Holds = append(v.Holds, Hold{
				Scope: h.String(), Class: h.Class, Reason: h.Reason, Bulk: h.Bulk, Since: h.Since, Until: h.Until, By: h.By, End: h.HowToEnd(),
			})
		}
		out.Body.Lanes = append(out.Body.Lanes, v)
	}
	return out, nil
}

// scopesOf are the scopes whose holds concern a lane.
func scopesOf(l registry.Lane, s pace.Status) []hold.Scope {
	all := []hold.Scope{{Level: hold.Lane, Name: registry.Queue(l.Tenant, l.Kind, false)}, {Level: hold.Tenant, Name: l.Tenant}}
	if s.Metered {
		all = append(all, hold.Scope{Level: hold.Organisation, Name: l.Organisation})
	}
	if l.Address != "" {
		all = append(all, hold.Scope{Level: hold.Address, Name: l.Address})
	}
	return all
}

func (a *API) getQuota(ctx context.Context, c caller, _ *struct{}) (*quotaOutput, error) {
	lanes, states, err := a.served(ctx, c)
	if err != nil {
		return nil, err
	}
	months := map[string]Month{}
	for i, l := range lanes {
		s := states[i]
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
