package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/internal/access"
	"rollcall/internal/problem"
	"rollcall/internal/run"
	"rollcall/internal/runview"
	"rollcall/internal/wire"
)

type planInput struct {
	RunPath
	Page

	Decision []string `doc:"Only rows with these decisions, separated by commas" enum:"change,new,unchanged,conflict,impossible,excluded" nullable:"false" query:"decision"`
	Wait     int      `default:"30"                                              doc:"Seconds to wait for a plan that is being made"      maximum:"50"     minimum:"0"      query:"wait"`
}

type planOutput struct {
	Status     int
	RetryAfter string `doc:"The plan is being made: read it again after this many seconds" header:"Retry-After"`
	Body       wire.PlanPage
}

type replanInput struct {
	RunPath

	Wait int `default:"30" doc:"Seconds to wait for the plan" maximum:"50" minimum:"0" query:"wait"`
}

type applyInput struct {
	RunPath

	Body wire.Digest
}

type reasonInput struct {
	RunPath

	Body *wire.Why `required:"false"`
}

func (in *reasonInput) reason() string {
	if in.Body == nil {
		return ""
	}
	return in.Body.Reason
}

type undoInput struct {
	RunPath
	Once
	DraftQuery
}

type excludeInput struct {
	RunPath

	Body wire.Exclusion
}

type allowInput struct {
	RunPath

	Body wire.Allowance
}

func (a *API) registerSteering() {
	op := func(id, method, path, summary, description string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: "/v1/runs/{id}/" + path, Summary: summary, Description: description, Tags: []string{"Runs"}}
	}
	own := []access.Scope{access.Operate, access.Enqueue}
	register(a, op("get-plan", http.MethodGet, "plan", "Read the plan",
		"The plan compares each row with the last known value. 202: it is being made, read it again."), []access.Scope{access.Read, access.Enqueue}, a.getPlan)
	doc := a.huma.OpenAPI()
	addResponse(doc.Paths["/v1/runs/{id}/plan"].Get, http.StatusAccepted, "The plan is being made", schemaOf[wire.PlanPage](doc))
	register(a, op("plan-again", http.MethodPost, "plan", "Plan again", "For a plan that is older than its targets. The digest may change. 202: it is being made, read it."), own, a.planAgain)
	addResponse(doc.Paths["/v1/runs/{id}/plan"].Post, http.StatusAccepted, "The plan is being made", schemaOf[wire.PlanPage](doc))
	register(a, op("exclude-rows", http.MethodPost, "exclude", "Leave rows out of the plan", "The plan gets another digest."), own, a.exclude)
	register(a, op("allow-guards", http.MethodPost, "allow", "Accept what guards found", "The digest stays. It may be repeated."), []access.Scope{access.Approve}, a.allow)
	register(a, op("apply-run", http.MethodPost, "apply", "Apply the plan",
		"If a guard objects, the run is held instead: its state is held, and its reason says why. It may be repeated."), own, a.apply)
	register(a, op("approve-run", http.MethodPost, "approve", "Apply a held run", "It may be repeated."), []access.Scope{access.Approve}, a.approve)
	register(a, op("reject-run", http.MethodPost, "reject", "Reject a plan", ""), []access.Scope{access.Approve}, a.reject)
	register(a, op("pause-run", http.MethodPost, "pause", "Pause a run", "No call leaves later than one second after the answer."), own, a.pause)
	register(a, op("resume-run", http.MethodPost, "resume", "Continue a paused run", ""), own, a.resume)
	register(a, op("cancel-run", http.MethodPost, "cancel", "Cancel a run", "No call leaves later than one second after the answer. Rows that were applied stay applied."), own, a.cancel)
	undo := op("undo-run", http.MethodPost, "undo", "Make a run that takes another one back",
		"Of the rows whose old value is known and that were not changed since. Read its plan and apply it like any other.")
	undo.DefaultStatus = http.StatusCreated
	register(a, undo, own, a.undo)
	register(a, op("preview-undo", http.MethodGet, "undo", "Read what an undo would take back", "It reads all rows of the run."), []access.Scope{access.Read, access.Enqueue}, a.previewUndo)
	register(a, op("compare-undo", http.MethodGet, "restored", "Compare an undo with the run that it takes back", "It reads all rows of both."), []access.Scope{access.Read, access.Enqueue}, a.compareUndo)
}

func (a *API) getPlan(ctx context.Context, c caller, in *planInput) (*planOutput, error) {
	r, err := a.visible(ctx, c, in.ID, access.Read)
	if err != nil {
		return nil, err
	}
	wait, ended := time.Duration(in.Wait)*time.Second, true
	switch {
	case r.Plan == nil && r.State == run.StateUploading && r.Sealed:
		_, err = a.planner.Await(ctx, r.ID, wait)
	case in.After == 0:
		ended, err = a.planner.Follow(ctx, r.ID, wait)
	}
	if err != nil {
		return nil, err
	}
	if in.After == 0 {
		if r, err = a.runs.Get(ctx, r.ID); err != nil {
			return nil, err
		}
	}
	if !ended || r.Plan == nil && r.State == run.StateUploading && r.Sealed {
		return &planOutput{Status: http.StatusAccepted, RetryAfter: "1", Body: wire.PlanPage{Run: wire.RunOf(r)}}, nil
	}
	out := &planOutput{Status: http.StatusOK, Body: wire.PlanPage{Run: wire.RunOf(r)}}
	m := c.masker()
	next, err := runview.Read(ctx, in.rows(), a.runs.RowsAfter(ctx, in.ID, in.After), func(p run.Planned) int { return p.Number }, func(row run.Planned) bool {
		if !c.mayRow(row.Row) || len(in.Decision) > 0 && !slices.Contains(in.Decision, string(row.Decision)) {
			return false
		}
		shown := m.planned(row)
		if in.Columns {
			shown.Columns = m.columns(row.Row)
		}
		out.Body.Rows = append(out.Body.Rows, shown)
		return true
	})
	out.Body.Next = next
	return out, err
}

func (a *API) planAgain(ctx context.Context, c caller, in *replanInput) (*planOutput, error) {
	r, err := a.visible(ctx, c, in.ID, access.Operate)
	if err != nil {
		return nil, err
	}
	ended, err := a.planner.Await(ctx, r.ID, time.Duration(in.Wait)*time.Second)
	if err != nil {
		return nil, err
	}
	if !ended { // the answer has the previous plan
		return &planOutput{Status: http.StatusAccepted, RetryAfter: "1", Body: wire.PlanPage{Run: wire.RunOf(r)}}, nil
	}
	if r, err = a.runs.Get(ctx, r.ID); err != nil {
		return nil, err
	}
	return &planOutput{Status: http.StatusOK, Body: wire.PlanPage{Run: wire.RunOf(r)}}, nil
}

// steer does something to a run that the caller made, or may operate.
func (a *API) steer(ctx context.Context, c caller, id string, scope access.Scope, do func() (run.Run, error)) (*runOutput, error) {
	if _, err := a.visible(ctx, c, id, scope); err != nil {
		return nil, err
	}
	r, err := do()
	if err != nil {
		return nil, err
	}
	return &runOutput{Status: http.StatusOK, Location: Path + "runs/" + id, Body: wire.RunOf(r)}, nil
}

func (a *API) exclude(ctx context.Context, c caller, in *excludeInput) (*runOutput, error) {
	r, err := a.visible(ctx, c, in.ID, access.Operate)
	if err != nil {
		return nil, err
	}
	if last := slices.Max(in.Body.Rows); last > r.Rows || slices.Min(in.Body.Rows) < 1 {
		return nil, problem.New(problem.Invalid, fmt.Sprintf("the run has rows 1 to %d", r.Rows)).
			Add(problem.Detail{Location: "body.rows", Detail: "use the numbers of rows of the plan"})
	}
	return a.steer(ctx, c, in.ID, access.Operate, func() (run.Run, error) {
		return a.runs.Exclude(ctx, in.ID, in.Body.Digest, in.Body.Rows)
	})
}

func (a *API) allow(ctx context.Context, c caller, in *allowInput) (*runOutput, error) {
	return a.steer(ctx, c, in.ID, access.Approve, func() (run.Run, error) {
		return a.runs.Allow(ctx, in.ID, in.Body.Allow...)
	})
}

func (a *API) apply(ctx context.Context, c caller, in *applyInput) (*runOutput, error) {
	return a.steer(ctx, c, in.ID, access.Operate, func() (run.Run, error) {
		return a.runs.Apply(ctx, in.ID, in.Body.Digest, c.by())
	})
}

func (a *API) approve(ctx context.Context, c caller, in *applyInput) (*runOutput, error) {
	return a.steer(ctx, c, in.ID, access.Approve, func() (run.Run, error) {
		return a.runs.Approve(ctx, in.ID, in.Body.Digest, c.by())
	})
}

func (a *API) reject(ctx context.Context, c caller, in *reasonInput) (*runOutput, error) {
	return a.steer(ctx, c, in.ID, access.Approve, func() (run.Run, error) {
		return a.runs.Reject(ctx, in.ID, c.by(), in.reason())
	})
}

func (a *API) pause(ctx context.Context, c caller, in *reasonInput) (*runOutput, error) {
	return a.steer(ctx, c, in.ID, access.Operate, func() (run.Run, error) {
		return a.runs.Pause(ctx, in.ID, c.by(), in.reason())
	})
}

func (a *API) resume(ctx context.Context, c caller, in *RunPath) (*runOutput, error) {
	return a.steer(ctx, c, in.ID, access.Operate, func() (run.Run, error) {
		return a.runs.Resume(ctx, in.ID, c.by())
	})
}

func (a *API) cancel(ctx context.Context, c caller, in *reasonInput) (*runOutput, error) {
	return a.steer(ctx, c, in.ID, access.Operate, func() (run.Run, error) {
		return a.runs.Cancel(ctx, in.ID, c.by(), in.reason())
	})
}

func (a *API) undo(ctx context.Context, c caller, in *undoInput) (*runOutput, error) {
	if len(in.Allow) > 0 && !c.May(access.Approve) {
		return nil, forbidden([]access.Scope{access.Approve})
	}
	of, err := a.visible(ctx, c, in.ID, access.Operate)
	if err != nil {
		return nil, err
	}
	sum := digest("undo-run", in.ID, in.DraftQuery)
	out, replayed, err := carryOut(ctx, a.once, c, in.Key, sum, func() (*runOutput, error) {
		id, err := a.once.runID(ctx, c, in.Key, sum)
		if err != nil {
			return nil, err
		}
		draft := in.draft(c)
		draft.ID = id
		made, err := a.runs.Undo(ctx, of.ID, draft)
		if err != nil {
			return nil, err
		}
		return a.made(made), nil
	})
	if err == nil && replayed {
		out.Replayed = "true"
	}
	return out, err
}
