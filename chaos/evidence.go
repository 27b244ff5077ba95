package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/deadletter"
	"rollcall/internal/ledger"
	"rollcall/internal/sandbox"
	"rollcall/tasks"
)

// evidence is what is found when all is over, from every side that has a say.
type evidence struct {
	tasks   map[string]found         // in asynq, by task id
	letters map[string]ledger.Letter // by task id
	// closed are the dead letters that closed themselves, by task id.
	closed  map[string]ledger.ClosedLetter
	records map[ledger.Target]map[string]string
	// open are notes of the ledger about tasks that have not ended: what a task
	// that has ended leaves there is lost to somebody.
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

// collect reads everything about the wishes.
func collect(ctx context.Context, rdb redis.UniversalClient, d desk, p *platforms, wishes []*wish) (*evidence, error) {
	ev := &evidence{
		tasks: map[string]found{}, letters: map[string]ledger.Letter{}, closed: map[string]ledger.ClosedLetter{}, records: map[ledger.Target]map[string]string{},
		effects: p.Effects(), calls: p.Calls(),
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
	letters := deadletter.New(rdb, nil)
	closed, err := letters.Closed(ctx, deadletter.Filter{}, math.MaxInt)
	if err != nil {
		return nil, err
	}
	for _, letter := range closed {
		ev.closed[letter.ID] = letter
	}
	err = letters.Each(ctx, deadletter.Filter{}, func(letters []ledger.Letter) error {
		for _, letter := range letters {
			ev.letters[letter.ID] = letter
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ev, ev.readLedger(ctx, rdb, wishes)
}

// readLedger reads the keys that docs/architecture.md lists.
func (ev *evidence) readLedger(ctx context.Context, rdb redis.UniversalClient, wishes []*wish) error {
	const page = 500
	var targets []ledger.Target
	for _, w := range wishes {
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
	for _, kind := range tasks.Kinds() {
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

// settled tells that all has been followed up: what is archived has its letter,
// and the ledger waits for nothing.
func (ev *evidence) settled() bool {
	for id, task := range ev.tasks {
		if _, buried := ev.letters[id]; task.state != asynq.TaskStateCompleted && !buried {
			return false
		}
	}
	return len(ev.open) == 0
}

// inDoubt tells whether the ledger says that it does not know what a field holds.
func (ev *evidence) inDoubt(t ledger.Target, field string) bool {
	return ev.records[t]["d:"+field] != ""
}

// fate is what became of a wish.
type fate struct {
	what what
	word string // the outcome, the class of the letter, or the state in asynq
}

type what uint8

const (
	never what = iota // it was not stored, or nobody knows, and it is not there
	done
	dead
	open
	gone // it was acknowledged, and nothing is left of it
)

// fateOf tells what became of a wish.
func (ev *evidence) fateOf(w *wish) fate {
	// A task that vanished, or whose ID was taken, may have been stored again, under an
	// id that follows.
	for n := range 5 {
		id := w.id
		if n > 0 {
			id = fmt.Sprintf("%s~%d", w.id, n)
		}
		task, there := ev.tasks[id]
		letter, buried := ev.letters[id]
		switch {
		case there && task.state == asynq.TaskStateCompleted:
			return fate{what: done, word: task.outcome}
		case there && !ended(task.state):
			return fate{what: open, word: task.state.String()}
		case buried:
			return fate{what: dead, word: letter.Class}
		case there:
			return fate{what: open, word: task.state.String() + " without a letter"}
		}
	}
	_, closed := ev.closed[w.id]
	switch {
	case !w.acknowledged():
		return fate{what: never}
	case closed:
		return fate{what: done, word: "its dead letter closed: a newer change was applied"}
	case w.options.Key == "" && ev.passed(w):
		// Without a key a task that is done is kept for ten minutes.
		return fate{what: done, word: "no longer kept"}
	}
	return fate{what: gone}
}

// passed tells whether the ledger knows a wish that is at least as new for every
// field of a wish.
func (ev *evidence) passed(w *wish) bool {
	for _, f := range w.fields {
		var newest int64
		for _, name := range []string{"r:", "n:"} {
			var rev int64
			_, _ = fmt.Sscan(ev.records[w.target][name+f.Name], &rev) // absent: 0
			if name == "n:" {
				rev-- // known, and not this one
			}
			newest = max(newest, rev)
		}
		if w.rev == 0 || newest < w.rev {
			return false
		}
	}
	return true
}
