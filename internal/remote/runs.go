package remote

import (
	"context"
	"time"

	"rollcall/internal/problem"
	"rollcall/internal/run"
)

// runView is a run as the API shows it. Most of its names are those of run.Run.
type runView struct {
	run.Run

	Plan *planView `json:"plan"`
}

type planView struct {
	run.Plan

	Guards []guardView `json:"guards"`
}

type guardView struct {
	run.Guard

	Flag string `json:"allow"`
}

// run returns the run as the service in Redis returns it.
func (v runView) run() run.Run {
	r := v.Run
	for _, at := range []*time.Time{&r.Created, &r.Changed, &r.Applied, &r.Ended} {
		*at = at.Local()
	}
	if v.Plan == nil {
		return r
	}
	plan := v.Plan.Plan
	for _, g := range v.Plan.Guards {
		g.Guard.Flag = g.Flag
		plan.Guards = append(plan.Guards, g.Guard)
	}
	r.Plan = &plan
	return r
}

// ofRun gives a problem of a run the type that the service in Redis returns.
func ofRun(id string, err error) error {
	if named(err, problem.NotFound) {
		return &run.NotFoundError{ID: id}
	}
	return err
}

// asRun sends a request about a run, whose answer is the run.
func (c *Client) asRun(ctx context.Context, id string, r request) (run.Run, error) {
	var v runView
	if _, err := c.do(ctx, r, &v); err != nil {
		return run.Run{}, ofRun(id, err)
	}
	return v.run(), nil
}

// Get returns a run, with its rows counted by outcome.
func (c *Client) Get(ctx context.Context, id string) (run.Run, error) {
	return c.asRun(ctx, id, get(nil, "runs", id))
}
