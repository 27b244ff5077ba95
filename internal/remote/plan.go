package remote

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"rollcall/internal/run"
	"rollcall/internal/wire"
)

// Plan returns a run once it is planned. A run that was planned is planned again. progress
// is not called: the API does not report how far a plan is.
func (c *Client) Plan(ctx context.Context, id string, _ func(done, of int)) (run.Run, error) {
	begin := request{method: http.MethodPost, path: []string{"runs", id, "plan"}, query: url.Values{"wait": {waitSeconds}}}
	read := get(url.Values{"wait": {waitSeconds}, "limit": {"1"}}, "runs", id, "plan")
	ask, before := begin, time.Time{}
	c.mu.Lock()
	if c.sealed[id] { // the worker has begun
		ask = read
		delete(c.sealed, id)
	}
	c.mu.Unlock()
	for {
		var page wire.PlanPage
		a, err := c.do(ctx, ask, &page)
		if err != nil {
			return run.Run{}, ofRun(id, err)
		}
		r, pending := page.Run.Run(), a.status == http.StatusAccepted
		switch {
		case pending && ask.method == http.MethodPost: // a second one would begin another plan
			ask, before = read, planned(r)
		case pending:
		case r.Plan == nil:
			return r, &run.StateError{ID: id, State: r.State, Reason: "it has no plan", Event: "plan"}
		case ask.method == http.MethodPost || !planned(r).Equal(before):
			return r, nil
		default: // the worker stopped, or could not plan: the answer says why
			ask = begin
			continue
		}
		if err := pause(ctx); err != nil {
			return run.Run{}, err
		}
	}
}

// pause waits before a plan that is being made is read again.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(time.Second):
		return nil
	}
}

// planned is when a run was planned; zero if it was not.
func planned(r run.Run) time.Time {
	if r.Plan == nil {
		return time.Time{}
	}
	return r.Plan.At
}

// rowsOfPage is how many rows are read at once.
const rowsOfPage = "1000"

// pages reads all pages of something of a run, and yields what rows returns of each.
func pages[P, R any](ctx context.Context, c *Client, id, what string, rows func(P) ([]R, int)) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		query := url.Values{"limit": {rowsOfPage}, "columns": {"true"}}
		for {
			var page P
			a, err := c.do(ctx, get(query, "runs", id, what), &page)
			if err == nil && a.status == http.StatusAccepted { // somebody plans the run again
				err = pause(ctx)
			}
			if err != nil {
				var none R
				yield(none, ofRun(id, err))
				return
			}
			if a.status == http.StatusAccepted {
				continue
			}
			all, next := rows(page)
			if len(all) > 0 {
				c.noteMasked(ctx)
			}
			for _, row := range all {
				if !yield(row, nil) {
					return
				}
			}
			if next == 0 {
				return
			}
			query.Set("after", strconv.Itoa(next))
		}
	}
}

// Rows returns the rows of the plan, in order.
func (c *Client) Rows(ctx context.Context, id string) iter.Seq2[run.Planned, error] {
	reader := newRowReader()
	return pages(ctx, c, id, "plan", func(page wire.PlanPage) (all []run.Planned, next int) {
		for _, row := range page.Rows {
			all = append(all, reader.planned(row))
		}
		return all, page.Next
	})
}

// Results returns all rows with their outcomes, in order.
func (c *Client) Results(ctx context.Context, id string) iter.Seq2[run.Result, error] {
	reader := newRowReader()
	return pages(ctx, c, id, "results", func(page wire.ResultPage) (all []run.Result, next int) {
		for _, row := range page.Rows {
			all = append(all, reader.result(row))
		}
		return all, page.Next
	})
}
