package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/internal/access"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

// Token is what the token of a request may do.
type Token struct {
	API     string         `doc:"Version of the API"                  example:"1.1.0"          json:"api"`
	Name    string         `json:"name"`
	Scopes  []access.Scope `enum:"enqueue,read,operate,approve,names" json:"scopes"            nullable:"false"`
	Tenants []string       `doc:"Missing: all"                        json:"tenants,omitempty" nullable:"false"`
}

// Served are the tasks that can be enqueued now.
type Served struct {
	Served []ServedLane `json:"served" nullable:"false"`
}

// ServedLane is a tenant and a kind that a worker serves.
type ServedLane struct {
	Tenant      string     `json:"tenant"`
	Kind        tasks.Kind `json:"kind"`
	NicknameMax int        `doc:"Longest nickname, in characters; missing: 30" json:"nickname_max,omitzero"`
}

type (
	tokenOutput  struct{ Body Token }
	servedOutput struct{ Body Served }
)

func (a *API) registerToken() {
	tags := []string{"State"}
	register(a, huma.Operation{
		OperationID: "get-token", Method: http.MethodGet, Path: "/v1/token", Tags: tags, Summary: "Read what the token may do",
	}, access.Scopes(), a.getToken)
	register(a, huma.Operation{
		OperationID: "list-served", Method: http.MethodGet, Path: "/v1/served", Tags: tags, Summary: "Read which tasks can be enqueued",
		Description: "The tenants and kinds that workers have served in the last seven days, with what their rows are checked by.",
	}, []access.Scope{access.Enqueue, access.Read}, a.listServed)
}

func (a *API) getToken(_ context.Context, c caller, _ *struct{}) (*tokenOutput, error) {
	return &tokenOutput{Body: Token{API: documentVersion, Name: c.Token, Scopes: c.Scopes, Tenants: c.Tenants}}, nil
}

func (a *API) listServed(ctx context.Context, c caller, _ *struct{}) (*servedOutput, error) {
	lanes, err := registry.Read(ctx, a.rdb, a.now())
	if err != nil {
		return nil, err
	}
	out := &servedOutput{}
	for _, l := range lanes {
		if c.MayTenant(l.Tenant) {
			out.Body.Served = append(out.Body.Served, ServedLane{Tenant: l.Tenant, Kind: l.Kind, NicknameMax: l.NicknameMax})
		}
	}
	return out, nil
}
