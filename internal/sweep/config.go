package sweep

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
	"rollcall/internal/damage"
	"rollcall/internal/lane"
	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
	"rollcall/internal/registry"
)

// lookTimeout bounds one look at all queues.
const lookTimeout = 5 * time.Second

// Observer receives what the sweeps did, for metrics. Each event but Unserved is
// reported by one worker only. Its methods must not block.
type Observer interface {
	// Recovered is called when a task of a dead worker was made pending again.
	Recovered(lane string)
	// DiedOutsideAttempt is called when a task died without an attempt's verdict: too
	// many workers died while they ran it, asynq archived it, or asynq lost it.
	DiedOutsideAttempt(lane string, class outcome.Class)
	// Closed is called when a dead letter was closed automatically.
	Closed(lane string, class outcome.Class)
	// Unserved is called every 30 s, in every worker, with the number of queues that no
	// worker serves and of the tasks that wait there. It is not called if they cannot
	// be counted.
	Unserved(queues int, tasks int64)
}

type unobserved struct{}

func (unobserved) Recovered(string)                         {}
func (unobserved) DiedOutsideAttempt(string, outcome.Class) {}
func (unobserved) Closed(string, outcome.Class)             {}
func (unobserved) Unserved(int, int64)                      {}

// Config says what is searched.
type Config struct {
	Redis    redis.UniversalClient
	Ledger   *ledger.Ledger
	Lanes    *lane.Set // all its lanes were added
	Observer Observer  // nil: none
	Log      *slog.Logger
	Rescue   []string // queues without a lane, in which only tasks of dead workers are found
	// Restore makes a task of such a queue again, of which only the id can be read. It is
	// removed afterwards; an error: the next sweep tries again. nil: its owner makes it again
	// by itself.
	Restore func(ctx context.Context, queue, id string) error
}

// queue is a queue of a lane.
type queue struct {
	lane   *lane.Lane
	name   string
	urgent bool
	log    *slog.Logger // names the lane
}

// common is what all passes have.
type common struct {
	Config

	repairer *backlog.Repairer
	queues   []queue  // of the lanes
	names    []string // of the queues
}

func newCommon(cfg Config) common {
	if cfg.Observer == nil {
		cfg.Observer = unobserved{}
	}
	c := common{Config: cfg, repairer: backlog.NewRepairer(cfg.Redis)}
	for _, l := range cfg.Lanes.Lanes() {
		for _, urgent := range []bool{true, false} {
			c.add(queue{lane: l, name: registry.Queue(l.Tenant, l.Kind, urgent), urgent: urgent, log: c.logOf(l)})
		}
	}
	return c
}

func (c *common) add(q queue) {
	c.queues, c.names = append(c.queues, q), append(c.names, q.name)
}

func (c common) logOf(l *lane.Lane) *slog.Logger { return c.Log.With("lane", l.Name()) }

// addFound writes the dead letter of a task that was found dead, unless it has one.
func (c common) addFound(ctx context.Context, l *lane.Lane, dead ledger.DeadLetter) (fresh bool, err error) {
	fresh, err = c.Ledger.AddDeadLetterOnce(ctx, dead)
	if err == nil && fresh {
		c.Observer.DiedOutsideAttempt(l.Name(), outcome.Class(dead.Class))
	}
	return fresh, err
}

// addArchived writes the dead letter of a task that asynq archived.
func (c common) addArchived(ctx context.Context, q queue, id string, at time.Time) (fresh bool, err error) {
	task, found, err := c.repairer.Archived(ctx, q.name, id)
	if c.damagedTask(err) {
		return false, nil
	}
	if err != nil || !found {
		return false, err // not found: deleted or run again after it was listed
	}
	m := lane.Message{ID: id, Type: lane.TypeUndecodable, Urgent: q.urgent}
	if task.Info != nil {
		m.Type, m.Payload, m.Headers = task.Info.Type, task.Info.Payload, task.Info.Headers
	}
	dead, err := q.lane.DeadLetter(ctx, m, at)
	if err != nil {
		return false, err
	}
	if task.Info == nil {
		dead.Cut(task.Raw)
	}
	dead.Class = string(outcome.Archived)
	dead.Todo = "find out why; replay the task if it still matters"
	dead.Cause = dead.Class + ": asynq's recoverer archived the task, or a person did in the web UI: " +
		cmp.Or(task.LastErr(), "no error was recorded") + " · to do: " + dead.Todo
	if fresh, err = c.addFound(ctx, q.lane, dead); err != nil {
		return fresh, err
	}
	q.lane.CloseDead(ctx, dead)
	return fresh, nil
}

// damagedTask reports whether an error is about the key of a task, and logs it.
func (c common) damagedTask(err error) bool {
	damaged, ok := errors.AsType[*backlog.DamagedTaskError](err)
	if ok {
		c.Lanes.Damaged(ledger.Damage{Key: damaged.Key, What: "is not a hash: the task does not run"})
	}
	return ok
}

// unlessDamaged returns an error unless a key of another type caused it: the check of the
// keys names that one.
func unlessDamaged(err error) error {
	if damage.WrongType(err) {
		return nil
	}
	return err
}
