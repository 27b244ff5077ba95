package explain

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/cmd/rollcall/internal/lanes"
	"rollcall/internal/exitcode"
	known "rollcall/internal/explain"
	"rollcall/internal/overview"
	"rollcall/internal/registry"
	"rollcall/internal/remote"
)

// source is where it is read what is known of a target.
type source interface {
	survey(ctx context.Context, now time.Time) (*lanes.Survey, error)
	// task returns the lane and the target of a task.
	task(ctx context.Context, s *lanes.Survey, id string) (lane, target string, err error)
	// read returns what is known of a target. task is the one that it was found by, if any.
	read(ctx context.Context, lane overview.Lane, target, task string, now time.Time) (*known.Target, error)
}

// inRedis reads from Redis.
type inRedis struct {
	rdb      redis.UniversalClient
	reader   *known.Reader
	personal bool
}

func (r inRedis) survey(ctx context.Context, now time.Time) (*lanes.Survey, error) {
	return lanes.Read(ctx, r.rdb, now)
}

func (r inRedis) task(ctx context.Context, s *lanes.Survey, id string) (lane, target string, err error) {
	all := make([]registry.Lane, len(s.Lanes))
	for i, l := range s.Lanes {
		all[i] = l.Lane
	}
	lane, target, err = r.reader.Find(ctx, all, id)
	if _, unknown := errors.AsType[*known.TaskError](err); unknown {
		err = exitcode.AsUsage(err)
	}
	return lane, target, err
}

func (r inRedis) read(ctx context.Context, lane overview.Lane, target, _ string, now time.Time) (*known.Target, error) {
	return r.reader.Read(ctx, lane.Lane, target, known.Full(), r.personal, now)
}

// atAPI reads at the API, which masks people unless personal.
type atAPI struct {
	client   *remote.Client
	personal bool
}

func (r atAPI) survey(ctx context.Context, now time.Time) (*lanes.Survey, error) {
	read, err := r.client.Survey(ctx, now)
	return (*lanes.Survey)(read), err
}

// task returns a target that may be masked: read finds it by the task.
func (r atAPI) task(ctx context.Context, _ *lanes.Survey, id string) (lane, target string, err error) {
	lane, found, err := r.client.Explain(ctx, remote.Sought{Task: id, Personal: r.personal})
	if err != nil {
		return "", "", err
	}
	return lane, found.Record.Target.Key, nil
}

func (r atAPI) read(ctx context.Context, lane overview.Lane, target, task string, now time.Time) (*known.Target, error) {
	sought := remote.Sought{Lane: lane.Name(), Target: target, Personal: r.personal}
	if task != "" {
		sought = remote.Sought{Task: task, Personal: r.personal}
	}
	_, found, err := r.client.Explain(ctx, sought)
	if err != nil {
		return nil, err
	}
	found.Lane, found.Now = lane.Lane, now
	return found, nil
}
