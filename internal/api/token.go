package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/internal/access"
	"rollcall/internal/registry"
	"rollcall/internal/wire"
)

type (
	tokenOutput  struct{ Body wire.Token }
	servedOutput struct{ Body wire.Served }
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
	return &tokenOutput{Body: wire.Token{API: documentVersion, Name: c.Token, Scopes: words(c.Scopes), Tenants: c.Tenants}}, nil
}

// words returns the scopes as texts.
func words(scopes []access.Scope) []string {
	all := make([]string, len(scopes))
	for i, s := range scopes {
		all[i] = string(s)
	}
	return all
}

func (a *API) listServed(ctx context.Context, c caller, _ *struct{}) (*servedOutput, error) {
	lanes, err := registry.Read(ctx, a.rdb, a.now())
	if err != nil {
		return nil, err
	}
	out := &servedOutput{}
	for _, l := range lanes {
		if c.MayTenant(l.Tenant) {
			out.Body.Served = append(out.Body.Served, wire.ServedLane{Tenant: l.Tenant, Kind: l.Kind, NicknameMax: l.NicknameMax})
		}
	}
	return out, nil
}
