package remote

import (
	"context"

	"rollcall/internal/problem"
	"rollcall/internal/run"
	"rollcall/internal/wire"
)

// ofRun gives a problem of a run the type that the service in Redis returns.
func ofRun(id string, err error) error {
	if named(err, problem.NotFound) {
		return &run.NotFoundError{ID: id}
	}
	return err
}

// asRun sends a request about a run, whose answer is the run.
func (c *Client) asRun(ctx context.Context, id string, r request) (run.Run, error) {
	var v wire.Run
	if _, err := c.do(ctx, r, &v); err != nil {
		return run.Run{}, ofRun(id, err)
	}
	return v.Run(), nil
}

// Get returns a run, with its rows counted by outcome.
func (c *Client) Get(ctx context.Context, id string) (run.Run, error) {
	return c.asRun(ctx, id, get(nil, "runs", id))
}
