package lane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/damage"
	"rollcall/internal/hold"
	"rollcall/internal/ledger"
	"rollcall/internal/logging"
	"rollcall/internal/privacy"
	"rollcall/internal/redisdb"
	"rollcall/internal/registry"
)

// redisState is the state of Redis at the last poll. Safe for concurrent use.
type redisState struct {
	line *logging.Condition

	mu  sync.Mutex
	err error // result of the last poll
}

func redisLine(log *slog.Logger) *logging.Condition {
	return &logging.Condition{
		Log: log, Level: slog.LevelWarn, Settle: time.Second,
		Began: "redis unavailable: no task is taken", Ended: "redis available again",
	}
}

// report records the result of a poll, and returns whether Redis became available
// again.
func (r *redisState) report(err error) (back bool) {
	r.mu.Lock()
	back = r.err != nil && err == nil
	r.err = err
	r.mu.Unlock()
	if fault, passing := redisdb.FaultOf(err); passing {
		r.line.Begin(string(fault), "fault", string(fault), "todo", fault.Advice(), "err", err)
	} else {
		r.line.End()
	}
	return back
}

// fault returns the fault that the last poll found; false if there was none, or none
// that is temporary.
func (r *redisState) fault() (redisdb.Fault, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return redisdb.FaultOf(r.err)
}

// Ready returns nil, or an error that explains why no task can be taken: Redis is
// unavailable. The error contains no address.
func (s *Set) Ready() error {
	if fault, passing := s.redis.fault(); passing {
		return errors.New(fault.String())
	}
	return nil
}

// Outcome logs that a repeated step failed, or that it succeeds again: one line for
// each state, however often the step is repeated. failed and again are the messages.
// again is empty for a step whose success is not logged.
func (s *Set) Outcome(failed, again string, err error, attrs ...any) {
	line := s.faults.Of(failed, again)
	if err == nil {
		line.End()
		return
	}
	state := fmt.Sprint(attrs...)
	attrs = append(attrs, "err", err)
	fault, passing := redisdb.FaultOf(err)
	if passing {
		state = string(fault) // the same for every lane
		if _, known := s.redis.fault(); known {
			s.log.Debug(failed, attrs...) // the line about Redis is enough
			return
		}
	}
	if line.Begin(state, attrs...) && passing {
		s.pollSoon()
	}
}

// Guard runs one of several independent steps. A panic of it is logged, and returned as
// its error.
func (s *Set) Guard(of string, step func() error) error { return s.faults.Guard(of, step) }

// Damaged logs a key or an entry that was skipped because it is damaged: one line for
// each, however often it is read.
func (s *Set) Damaged(d ledger.Damage) {
	attrs := []any{"key", d.Name(), "damage", d.What}
	if target := d.Target(); target != "" {
		attrs = append(attrs, "target", privacy.Personal(target))
	}
	if d.Entry != "" {
		attrs = append(attrs, "entry", fmt.Sprintf("%.80s", d.Entry))
	}
	s.faults.Of(damagedKey, "").Begin(d.Key+" "+d.Entry+" "+d.What, attrs...)
}

// dropped logs that values of a pace were dropped.
func (s *Set) dropped(key, values string) {
	s.faults.Of("pace values dropped: too far ahead, or no numbers; was a clock wrong, or did another program write them?", "").
		Begin(key+" "+values, "key", key, "values", values)
}

const damagedKey = "damaged key in redis skipped: see rollcall repair"

// asynqLog logs the messages of asynq's servers. There is one server per lane, and each
// of their loops repeats its line every few seconds while Redis is unavailable.
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
	a.Asynq.Error(text)
}

// ofRedis reports whether Redis is the cause of a line: the poller already logs that.
func (a asynqLog) ofRedis(text string) bool {
	_, known := a.lane.set.redis.fault()
	if !known && !redisdb.Mentions(text) {
		return false
	}
	if !known {
		a.lane.set.pollSoon()
	}
	a.Log.Debug(text)
	return true
}

// memoryKeys are the keys of the markers that show a loss of data: one with the holds,
// one with the pace of each organisation, and in a Cluster one with each queue.
func (s *Set) memoryKeys() []string {
	keys := map[string]bool{"rollcall:memory:{" + hold.Key + "}": true}
	_, cluster := s.rdb.(*redis.ClusterClient)
	for _, l := range s.lanes {
		keys[damage.MemoryKey(l.Organisation)] = true
		for _, queue := range registry.Queues(l.Tenant, l.Kind) {
			if cluster {
				keys["rollcall:memory:{"+queue+"}"] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(keys))
}

// reportMemory logs the keys of the markers that have another type.
func (s *Set) reportMemory() {
	for _, key := range s.memory.Damaged() {
		s.Damaged(ledger.Damage{Key: key, What: "is not a string: a loss of data is not detected by it"})
	}
}

// checkMemory publishes again what this worker knows if Redis has lost its data. holds
// are those that were read before the loss.
func (s *Set) checkMemory(ctx context.Context, holds []hold.Hold) error {
	lost, err := s.memory.Look(ctx)
	s.reportMemory()
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
	s.log.Warn("redis lost its data: its tasks, results and dead letters are lost; "+
		"lanes, limits, quotas, holds and recent results are written again; restore a backup if there is one", "holds", len(holds))
	err = s.holds.Restore(ctx, holds)
	if err == nil {
		_, err = s.ledger.Recall(ctx)
		s.Outcome(notRecalled, recalled, err)
	}
	if err != nil {
		s.memory.Forget()
		return err
	}
	s.unrestored = nil
	s.returned(ctx)
	return nil
}
