package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/internal/access"
	"rollcall/internal/explain"
	"rollcall/internal/kinds"
	"rollcall/internal/problem"
	"rollcall/internal/registry"
	"rollcall/internal/wire"
)

type explainInput struct {
	Lane   string `doc:"Of the target"                                                   maxLength:"80"  query:"lane"`
	Target string `doc:"As in GET /v1/targets"                                           maxLength:"600" query:"target"`
	Task   string `doc:"Instead of lane and target: the target of the task with this id" maxLength:"200" query:"task"`
	Masked bool   `doc:"Mask names and ids of people even if the token may see them"     query:"masked"`
}

type explainOutput struct{ Body wire.Explanation }

func (a *API) registerExplanation() {
	register(a, huma.Operation{
		OperationID: "explain-target-in-full", Method: http.MethodGet, Path: "/v1/explanation", Tags: []string{"State"},
		Summary: "Read everything that is known of a target", Description: "By lane and target, or by a task.",
	}, []access.Scope{access.Read}, a.explainInFull)
}

func (a *API) explainInFull(ctx context.Context, c caller, in *explainInput) (*explainOutput, error) {
	lanes, err := registry.Read(ctx, a.rdb, time.Time{}) // also those without a worker
	if err != nil {
		return nil, err
	}
	lanes = slices.DeleteFunc(lanes, func(l registry.Lane) bool { return !c.MayTenant(l.Tenant) })
	name, target := in.Lane, in.Target
	if in.Task != "" {
		name, target, err = a.known.Find(ctx, lanes, in.Task)
		if unknown, ok := errors.AsType[*explain.TaskError](err); ok {
			return nil, problem.New(problem.NotFound, unknown.Error())
		}
		if err != nil {
			return nil, err
		}
	}
	i := slices.IndexFunc(lanes, func(l registry.Lane) bool { return registry.Queue(l.Tenant, l.Kind, false) == name })
	if i < 0 {
		return nil, problem.New(problem.NotFound, "no worker serves the lane, or the token may not use its tenant")
	}
	if why := kinds.WrongKey(lanes[i].Kind, target); why != "" {
		return nil, problem.New(problem.Invalid, "the target is missing, or is not one of the lane").
			Add(problem.Detail{Location: "query.target", Detail: why})
	}
	found, err := a.known.Read(ctx, lanes[i], target, explain.Full(), c.maskerUnless(in.Masked).Shown, a.now())
	if err != nil {
		return nil, err
	}
	return &explainOutput{Body: wire.ExplanationOf(found)}, nil
}
