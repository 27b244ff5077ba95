package remote

import (
	"context"
	"slices"

	"rollcall/internal/run"
	"rollcall/internal/wire"
)

// steer does something to a run.
func (c *Client) steer(ctx context.Context, id, what string, body any) (run.Run, error) {
	return c.asRun(ctx, id, post(body, "runs", id, what))
}

// Allow adds guards to those that do not hold the run.
func (c *Client) Allow(ctx context.Context, id string, flags ...string) (run.Run, error) {
	return c.steer(ctx, id, "allow", wire.Allowance{Allow: flags})
}

// mostExcluded is how many rows one request leaves out.
const mostExcluded = 10_000

// Exclude leaves rows out of the plan with a digest, and returns the run with another.
func (c *Client) Exclude(ctx context.Context, id, of string, numbers []int) (r run.Run, err error) {
	for some := range slices.Chunk(numbers, mostExcluded) {
		if r, err = c.withDigest(ctx, id, "exclude", of, wire.Exclusion{Digest: of, Rows: some}); err != nil {
			return r, err
		}
		of = r.Plan.Digest
	}
	return r, err
}

// Apply applies the plan with a digest. The API names the token, not by.
func (c *Client) Apply(ctx context.Context, id, of, _ string) (run.Run, error) {
	return c.withDigest(ctx, id, "apply", of, wire.Digest{Digest: of})
}

// Approve applies the plan of a run that is held.
func (c *Client) Approve(ctx context.Context, id, of, _ string) (run.Run, error) {
	return c.withDigest(ctx, id, "approve", of, wire.Digest{Digest: of})
}

// shortestDigest is how many characters of a digest the API accepts.
const shortestDigest = 8

func (c *Client) withDigest(ctx context.Context, id, what, of string, body any) (run.Run, error) {
	if len(of) >= shortestDigest {
		return c.steer(ctx, id, what, body)
	}
	r, err := c.Get(ctx, id)
	if err != nil {
		return r, err
	}
	e := &run.DigestError{ID: id, Given: of}
	if r.Plan != nil {
		e.Is = r.Plan.Digest
	}
	return r, e
}

// Reject ends a run that was not applied.
func (c *Client) Reject(ctx context.Context, id, _, reason string) (run.Run, error) {
	return c.steer(ctx, id, "reject", wire.Why{Reason: reason})
}

// Pause pauses a run.
func (c *Client) Pause(ctx context.Context, id, _, reason string) (run.Run, error) {
	return c.steer(ctx, id, "pause", wire.Why{Reason: reason})
}

// Resume continues a paused run.
func (c *Client) Resume(ctx context.Context, id, _ string) (run.Run, error) {
	return c.steer(ctx, id, "resume", nil)
}

// Cancel ends a run.
func (c *Client) Cancel(ctx context.Context, id, _, reason string) (run.Run, error) {
	return c.steer(ctx, id, "cancel", wire.Why{Reason: reason})
}

// Undo makes a run that takes another one back.
func (c *Client) Undo(ctx context.Context, id string, draft run.Draft) (run.Run, error) {
	r := post(nil, "runs", id, "undo")
	r.query, r.once = draftQuery(draft), newKey()
	made, err := c.asRun(ctx, id, r)
	if err == nil {
		c.noteSealed(made.ID)
	}
	return made, err
}

// Undoing counts the rows that an undo would take back.
func (c *Client) Undoing(ctx context.Context, id string) (run.Undoing, error) {
	var out wire.Undoing
	_, err := c.do(ctx, get(nil, "runs", id, "undo"), &out)
	return run.Undoing(out), ofRun(id, err)
}

// Restored compares an undo with the run that it takes back.
func (c *Client) Restored(ctx context.Context, id string) (run.Restored, error) {
	var out wire.Restored
	_, err := c.do(ctx, get(nil, "runs", id, "restored"), &out)
	r := run.Restored{Counts: out.Counts}
	for _, o := range out.Others {
		r.Others = append(r.Others, run.Verified{Number: o.Row, Line: o.Line, Verdict: o.Verdict, Why: o.Why, At: o.At})
	}
	return r, ofRun(id, err)
}
