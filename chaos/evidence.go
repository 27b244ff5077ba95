package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/deadletter"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/sandbox"
)

// evidence is the final state, from every part that records one.
type evidence struct {
	tasks map[string]found             // in asynq, by task id
	dead  map[string]ledger.DeadLetter // dead letters, by task id
	// closed are the automatically closed dead letters, by task id.
	closed  map[string]ledger.ClosedDeadLetter
	records map[ledger.Target]map[string]string
	history map[ledger.Target]history // of the runs' targets, and with late of all
	sent    *sent                     // what the runs report; nil: there are none
	// open are the ledger's records of tasks that have not ended. A record that an
	// ended task leaves there is an error.
	open    []string
	state   sandbox.OrganisationState
	effects []sandbox.Effect
	calls   []sandbox.Call
}

// found is a task as asynq has it.
type found struct {
	state   asynq.TaskState
	payload []byte
	outcome string // of one that is done, as its handler reported it
}

// collect reads everything about the changes.
func collect(ctx context.Context, rdb redis.UniversalClient, d operator, p *platforms, changes []*change) (*evidence, error) {
	ev := &evidence{
		tasks: map[string]found{}, dead: map[string]ledger.DeadLetter{}, closed: map[string]ledger.ClosedDeadLetter{}, records: map[ledger.Target]map[string]string{},
		// Those of the organisation alone; a call with an unknown token names none.
		effects: slices.DeleteFunc(p.Effects(), func(e sandbox.Effect) bool { return e.Organisation != organisation }),
		calls: slices.DeleteFunc(p.Calls(), func(c sandbox.Call) bool {
			return c.Organisation != "" && c.Organisation != organisation
		}),
	}
	var known bool
	if ev.state, known = p.State().Organisation(organisation); !known {
		return nil, fmt.Errorf("the platforms do not know the organisation %s", organisation)
	}
	err := d.each([]asynq.TaskState{
		asynq.TaskStatePending, asynq.TaskStateActive, asynq.TaskStateScheduled, asynq.TaskStateRetry,
		asynq.TaskStateArchived, asynq.TaskStateCompleted,
	}, func(t *asynq.TaskInfo) {
		f := found{state: t.State, payload: t.Payload}
		var report struct {
			Outcome string `json:"outcome"`
		}
		if json.Unmarshal(t.Result, &report) == nil {
			f.outcome = report.Outcome
		}
		ev.tasks[t.ID] = f
	})
	if err != nil {
		return nil, err
	}
	deadLetters := deadletter.New(rdb, nil)
	closed, err := deadLetters.Closed(ctx, deadletter.Filter{}, math.MaxInt)
	if err != nil {
		return nil, err
	}
	for _, deadLetter := range closed {
		ev.closed[deadLetter.ID] = deadLetter
	}
	err = deadLetters.Each(ctx, deadletter.Filter{}, func(deadLetters []ledger.DeadLetter) error {
		for _, deadLetter := range deadLetters {
			if deadLetter.Organisation == organisation {
				ev.dead[deadLetter.ID] = deadLetter
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ev, ev.readLedger(ctx, rdb, changes)
}

// readLedger reads the keys that docs/architecture.md lists.
func (ev *evidence) readLedger(ctx context.Context, rdb redis.UniversalClient, changes []*change) error {
	const page = 500
	var targets []ledger.Target
	for _, w := range changes {
		if _, there := ev.records[w.target]; !there {
			ev.records[w.target] = nil
			targets = append(targets, w.target)
		}
	}
	for len(targets) > 0 {
		some := targets[:min(page, len(targets))]
		targets = targets[len(some):]
		records := make([]*redis.MapStringStringCmd, len(some))
		edits := make([]*redis.IntCmd, len(some))
		_, err := rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for i, t := range some {
				records[i] = pipe.HGetAll(ctx, ledgerKey(t.API)+"target:"+t.Key)
				edits[i] = pipe.ZCard(ctx, ledgerKey(t.API)+"edits:"+t.Key)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("read the ledger: %w", err)
		}
		for i, t := range some {
			ev.records[t] = records[i].Val()
			if n := edits[i].Val(); n > 0 {
				ev.open = append(ev.open, fmt.Sprintf("%d membership edits of %s are noted as open", n, t.Key))
			}
		}
	}
	for _, kind := range kinds.Names() {
		ids, err := rdb.HKeys(ctx, ledgerKey(string(kind))+"tasks").Result()
		if err != nil {
			return fmt.Errorf("read the ledger: %w", err)
		}
		for _, id := range ids {
			if t, there := ev.tasks[id]; !there || ended(t.state) {
				ev.open = append(ev.open, fmt.Sprintf("task %s of kind %s is noted as open", id, kind))
			}
		}
	}
	return nil
}

func ledgerKey(api string) string { return "rollcall:{" + organisation + "/" + api + "}:" }

func ended(s asynq.TaskState) bool {
	return s == asynq.TaskStateCompleted || s == asynq.TaskStateArchived
}

// settled reports that nothing is pending: no task runs, each archived one has its dead
// letter, and the ledger waits for nothing. A task that ended while the evidence was read, such as
// an automatic replay of a dead letter, is still active in it, and may have its dead letter.
func (ev *evidence) settled() bool {
	for id, task := range ev.tasks {
		if _, added := ev.dead[id]; !ended(task.state) || task.state == asynq.TaskStateArchived && !added {
			return false
		}
	}
	return len(ev.open) == 0
}

// inDoubt reports whether the ledger records the outcome of a field as unknown.
func (ev *evidence) unknown(t ledger.Target, field string) bool {
	return ev.records[t]["d:"+field] != ""
}

// result is the end of a change.
type result struct {
	what what
	word string // the outcome, the class of the dead letter, or the state in asynq
}

type what uint8

const (
	never what = iota // it was not stored, or that is unknown and it does not exist
	done
	dead
	open
	gone // it was acknowledged, but no trace of it exists
)

// resultOf returns the end of a change.
func (ev *evidence) resultOf(w *change) result {
	if w.row > 0 {
		return ev.resultOfRow(w)
	}
	// A task that vanished, or whose ID was taken, may have been stored again with a
	// derived id.
	for n := range 5 {
		id := derived(w.id, n)
		task, there := ev.tasks[id]
		deadLetter, added := ev.dead[id]
		switch {
		case there && task.state == asynq.TaskStateCompleted:
			return result{what: done, word: task.outcome}
		case there && !ended(task.state):
			return result{what: open, word: task.state.String()}
		case added:
			return result{what: dead, word: deadLetter.Class}
		case there:
			return result{what: open, word: task.state.String() + " without a dead letter"}
		}
	}
	_, closed := ev.closed[w.id]
	switch {
	case !w.acknowledged():
		return result{what: never}
	case closed:
		return result{what: done, word: "its dead letter closed: a newer change was applied"}
	case w.options.Key == "" && ev.passed(w):
		// Without a key, a done task is kept for ten minutes.
		return result{what: done, word: "no longer kept"}
	}
	return result{what: gone}
}

// passed reports whether the ledger has the same or a later change for every field of a
// change.
func (ev *evidence) passed(w *change) bool {
	for _, f := range w.fields {
		var latest int64
		for _, name := range []string{"r:", "n:"} {
			var rev int64
			_, _ = fmt.Sscan(ev.records[w.target][name+f.Name], &rev) // absent: 0
			if name == "n:" {
				rev-- // known, and not this one
			}
			latest = max(latest, rev)
		}
		if w.rev == 0 || latest < w.rev {
			return false
		}
	}
	return true
}
