package lane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/hold"
	"rollcall/internal/logging"
	"rollcall/internal/redisdb"
	"rollcall/internal/registry"
)

// redisState is what the lookout last found of Redis. Safe for concurrent use.
type redisState struct {
	line *logging.Condition

	mu  sync.Mutex
	err error // of the last look
}

func redisLine(log *slog.Logger) *logging.Condition {
	return &logging.Condition{
		Log: log, Level: slog.LevelWarn, Settle: time.Second,
		Began: "redis unavailable: no task is taken", Ended: "redis available again",
	}
}

// report takes in the outcome of a look, and returns whether Redis came back.
func (r *redisState) report(err error) (back bool) {
	r.mu.Lock()
	back = r.err != nil && err == nil
	r.err = err
	r.mu.Unlock()
	if fault, passing := redisdb.FaultOf(err); passing {
		r.line.Found(string(fault), "fault", string(fault), "todo", fault.Advice(), "err", err)
	} else {
		r.line.Gone()
	}
	return back
}

// fault is what the last look found to be wrong; false if nothing was, or nothing
// that passes by itself.
func (r *redisState) fault() (redisdb.Fault, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return redisdb.FaultOf(r.err)
}

// Ready returns nil, or an error that says why no task can be taken: Redis is
// unavailable. It names no address.
func (s *Set) Ready() error {
	if fault, passing := s.redis.fault(); passing {
		return errors.New(fault.String())
	}
	return nil
}

// outcome logs that a step that is repeated failed, or that it succeeds again: one
// line a state, however often it is repeated. failed and again are the messages;
// again is empty for a step whose success nobody reports.
func (s *Set) outcome(failed, again string, err error, attrs ...any) {
	line := s.faults.Of(failed, again)
	if err == nil {
		line.Gone()
		return
	}
	state := fmt.Sprint(attrs...)
	attrs = append(attrs, "err", err)
	fault, passing := redisdb.FaultOf(err)
	if passing {
		state = string(fault) // the same for every lane
		if _, known := s.redis.fault(); known {
			s.log.Debug(failed, attrs...) // one line for Redis says enough
			return
		}
	}
	if line.Found(state, attrs...) && passing {
		s.lookSoon()
	}
}

// asynqLog logs what asynq's servers say, of which there is one a lane: each of
// their loops repeats its line every few seconds while Redis is unavailable.
type asynqLog struct {
	logging.Asynq

	lane *Lane
}

// Warn implements asynq.Logger.
func (a asynqLog) Warn(args ...any) {
	if text := fmt.Sprint(args...); !a.ofRedis(text) {
		a.Log.Info(text)
	}
}

// Error implements asynq.Logger.
func (a asynqLog) Error(args ...any) {
	text := fmt.Sprint(args...)
	if a.ofRedis(text) {
		return
	}
	// What follows names a task or an error.
	kind := text
	if i := strings.IndexAny(text, ":=[;0123456789"); i > 0 {
		kind = text[:i]
	}
	a.lane.set.faults.Of("asynq: "+kind, "").Found("", "lane", a.lane.Name(), "err", text)
}

// ofRedis reports whether Redis is to blame for a line: the lookout, which looks
// at once, has the line for that.
func (a asynqLog) ofRedis(text string) bool {
	_, known := a.lane.set.redis.fault()
	if !known && !redisdb.Mentions(text) {
		return false
	}
	if !known {
		a.lane.set.lookSoon()
	}
	a.Log.Debug(text)
	return true
}

// memoryKeys are the keys of the words by which a loss of data is noticed: one
// beside the holds and one beside the pace of each organisation, and in a Cluster
// one beside each queue.
func (s *Set) memoryKeys() []string {
	keys := map[string]bool{"rollcall:memory:{" + hold.Key + "}": true}
	_, cluster := s.rdb.(*redis.ClusterClient)
	for _, l := range s.lanes {
		keys["rollcall:{"+l.Organisation+"}:memory"] = true
		for _, urgent := range []bool{true, false} {
			if cluster {
				keys["rollcall:memory:{"+registry.Queue(l.Tenant, l.Kind, urgent)+"}"] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(keys))
}

// checkMemory publishes again what this worker knows if Redis has lost its data.
// holds are those that were read before the loss.
func (s *Set) checkMemory(ctx context.Context, holds []hold.Hold) error {
	lost, err := s.memory.Look(ctx)
	if s.unrestored == nil {
		s.unrestored = holds
	}
	if err != nil {
		return err
	}
	if !lost {
		s.unrestored = nil
		return nil
	}
	holds = append(s.unrestored, holds...)
	s.log.Warn("redis lost its data: tasks, results and dead letters that it held are gone; "+
		"lanes, limits, quotas, holds and recent results are written again; restore a backup if there is one", "holds", len(holds))
	err = s.board.Restore(ctx, holds)
	if err == nil {
		_, err = s.ledger.Recall(ctx)
		s.outcome(notRecalled, recalled, err)
	}
	if err != nil {
		s.memory.Forget()
		return err
	}
	s.unrestored = nil
	s.returned(ctx)
	return nil
}
