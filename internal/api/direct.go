package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/internal/access"
	"rollcall/internal/run"
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

// Direct are tasks that were enqueued directly under the name of a run.
type Direct struct {
	Run     string         `doc:"Their name"                                                         json:"run"`
	Lane    string         `doc:"Of a part"                                                          json:"lane,omitzero"`
	Lanes   []string       `doc:"Of a list"                                                          json:"lanes,omitempty"     nullable:"false"`
	Began   time.Time      `doc:"When the first was stored"                                          json:"began"`
	Rows    int            `doc:"How many"                                                           json:"rows"`
	Results map[string]int `doc:"By result: open, dead, applied, unchanged, superseded, settled"     json:"results"`
	Open    []int          `doc:"Numbers of open ones; of a part alone"                              json:"open_rows,omitempty" nullable:"false"`
	Dead    []int          `doc:"Numbers of those that have, or had, a dead letter; of a part alone" json:"dead_rows,omitempty" nullable:"false"`
}

// Directs are names under which tasks were enqueued directly, or the parts of one.
type Directs struct {
	Direct []Direct `json:"direct" nullable:"false"`
}

type directOutput struct{ Body Directs }

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
		out.Body.Direct = append(out.Body.Direct, Direct(d))
	}
	return out
}
