package api

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/internal/access"
	"rollcall/internal/run"
	"rollcall/internal/wire"
)

type directInput struct {
	Name   string `doc:"Only this name"   maxLength:"64"       query:"name"`
	Tenant string `doc:"Only this tenant" maxLength:"39"       query:"tenant"`
	Limit  int    `default:"20"           doc:"Names, at most" maximum:"200"  minimum:"1" query:"limit"`
}

type directPartsInput struct {
	Name   string `maxLength:"64"         path:"name"`
	Tenant string `doc:"Only this tenant" maxLength:"39" query:"tenant"`
}

type directOutput struct{ Body wire.Directs }

func (a *API) registerDirect() {
	tags := []string{"Runs"}
	register(a, huma.Operation{
		OperationID: "list-direct", Method: http.MethodGet, Path: "/v1/direct", Tags: tags,
		Summary: "List names of tasks that were enqueued directly", Description: "The newest names, newest first.",
	}, []access.Scope{access.Read}, a.listDirect)
	register(a, huma.Operation{
		OperationID: "get-direct", Method: http.MethodGet, Path: "/v1/direct/{name}", Tags: tags,
		Summary: "Read the results of tasks that were enqueued directly", Description: "A part for each lane; none: there is no such name, or the token may not see it.",
	}, []access.Scope{access.Read}, a.getDirect)
}

func (a *API) listDirect(ctx context.Context, c caller, in *directInput) (*directOutput, error) {
	all, err := a.runs.ListDirect(ctx, run.Filter{Name: in.Name, Tenant: in.Tenant, N: in.Limit}, c.MayTenant)
	return directView(all), err
}

func (a *API) getDirect(ctx context.Context, c caller, in *directPartsInput) (*directOutput, error) {
	if in.Tenant != "" && !c.MayTenant(in.Tenant) {
		return &directOutput{}, nil
	}
	all, err := a.runs.DirectParts(ctx, in.Name, in.Tenant)
	all = slices.DeleteFunc(all, func(d run.Direct) bool { return !c.mayLane(d.Lane) })
	return directView(all), err
}

func directView(all []run.Direct) *directOutput {
	out := &directOutput{}
	for _, d := range all {
		d.Began = d.Began.UTC()
		out.Body.Direct = append(out.Body.Direct, wire.Direct(d))
	}
	return out
}
