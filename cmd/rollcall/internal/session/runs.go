package session

import (
	"context"
	"iter"

	"rollcall/internal/run"
	"rollcall/internal/upload"
)

// Runs are where the runs of a command are: the service in Redis, or a client of the API.
type Runs interface {
	upload.Runs
	reading
	planning
	steering
	undoing
	direct
}

type reading interface {
	Find(ctx context.Context, word string) (string, error)
	Get(ctx context.Context, id string) (run.Run, error)
	List(ctx context.Context, f run.Filter) ([]run.Run, error)
	Rows(ctx context.Context, id string) iter.Seq2[run.Planned, error]
	Results(ctx context.Context, id string) iter.Seq2[run.Result, error]
}

type planning interface {
	Plan(ctx context.Context, id string, progress func(done, of int)) (run.Run, error)
	Allow(ctx context.Context, id string, flags ...string) (run.Run, error)
	Exclude(ctx context.Context, id, digest string, numbers []int) (run.Run, error)
}

// steering changes the state of a run. With the API, by is the name of the token.
type steering interface {
	Apply(ctx context.Context, id, digest, by string) (run.Run, error)
	Approve(ctx context.Context, id, digest, by string) (run.Run, error)
	Reject(ctx context.Context, id, by, reason string) (run.Run, error)
	Pause(ctx context.Context, id, by, reason string) (run.Run, error)
	Resume(ctx context.Context, id, by string) (run.Run, error)
	Cancel(ctx context.Context, id, by, reason string) (run.Run, error)
}

type undoing interface {
	Undo(ctx context.Context, id string, draft run.Draft) (run.Run, error)
	Undoing(ctx context.Context, id string) (run.Undoing, error)
	Restored(ctx context.Context, undo string) (run.Restored, error)
}

type direct interface {
	ListDirect(ctx context.Context, f run.Filter) ([]run.Direct, error)
	DirectParts(ctx context.Context, name, tenant string) ([]run.Direct, error)
}

// InRedis are the runs in Redis, of all tenants.
type InRedis struct{ *run.Service }

// ListDirect implements Runs.
func (r InRedis) ListDirect(ctx context.Context, f run.Filter) ([]run.Direct, error) {
	return r.Service.ListDirect(ctx, f, nil)
}
