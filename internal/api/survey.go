package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/internal/access"
	"rollcall/internal/hold"
	"rollcall/internal/overview"
	"rollcall/internal/wire"
)

type surveyOutput struct{ Body wire.Survey }

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
	out := &surveyOutput{Body: wire.Survey{Damaged: read.Damage != nil}}
	known := map[string]bool{} // holds, by their identities
	add := func(all ...hold.Hold) {
		for _, h := range all {
			if !known[h.ID()] {
				known[h.ID()] = true
				out.Body.Holds = append(out.Body.Holds, wire.HoldStateOf(h))
			}
		}
	}
	for _, l := range read.Lanes {
		if !c.MayTenant(l.Tenant) {
			continue
		}
		add(l.Holds...)
		out.Body.Lanes = append(out.Body.Lanes, wire.LaneStateOf(l))
	}
	if len(c.Tenants) == 0 {
		add(read.Strays...)
	}
	return out, nil
}
