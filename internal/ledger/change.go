package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/redis/go-redis/v9"
)

// Change is the change that a task is about to ask for.
type Change struct {
	Target Target
	Fields []Field
	TaskID string // of the task that will carry it
	// Later says that the task begins at a later time. It takes a revision, but no
	// position among the edits until it begins, and is not the latest change.
	Later bool
	// Source and Number order the changes of one source for a field, by a change time
	// or a counter. "": in the order of their revisions alone.
	Source string
	Number int64 // at least 0
}

// Revised is the revision of a change, or why it has none.
type Revised struct {
	Revision int64
	// Older says that the source has a higher number for every field already: the
	// change is obsolete.
	Older bool
	// Mixed says that the source has a higher number for some fields and not for
	// others.
	Mixed bool
	Err   error // of Redis; no revision was handed out
}

// block is how many tasks one script takes: some milliseconds of Redis' time.
const block = 64

// Revise takes revisions for new changes, in their order: Redis' clock in
// microseconds, at least one more than the last revision of the target and than the last
// [Ledger.RunRevision]. A revision
// that is not used costs nothing, except that edits wait two minutes for one that is
// neither stored nor withdrawn. One round trip for each 64 changes of an
// organisation's API.
//
// A damaged target costs its own changes alone: they have a *DamagedError, and the others
// of its block are revised one by one.
func (l *Ledger) Revise(ctx context.Context, changes ...Change) []Revised {
	revised := make([]Revised, len(changes))
	for _, rows := range byTag(len(changes), func(i int) Target { return changes[i].Target }) {
		first := changes[rows[0]].Target
		keys := []string{floorKey(first.Organisation, first.API)}
		args := []any{keep.Milliseconds()}
		for _, i := range rows {
			w := changes[i]
			keys = append(keys, w.Target.redisKey(), w.Target.edits())
			args = append(args, w.TaskID, w.TakesPosition(), w.Source, w.Number, len(w.Fields))
			for _, f := range w.Fields {
				args = append(args, f.Name)
			}
		}
		answer, err := revise.Run(ctx, l.rdb, keys, args...).StringSlice()
		if len(rows) > 1 && damaging(err) {
			for _, i := range rows {
				revised[i] = l.Revise(ctx, changes[i])[0]
			}
			continue
		}
		for n, i := range rows {
			fault := err
			if err == nil && answer[n] == "damaged" {
				fault = errDamaged
			}
			switch {
			case fault != nil:
				revised[i].Err = fmt.Errorf("ledger: take a revision: %w", l.explain(ctx, changes[i].Target, fault))
			case answer[n] == "older":
				revised[i].Older = true
			case answer[n] == "mixed":
				revised[i].Mixed = true
			default:
				revised[i].Revision, revised[i].Err = strconv.ParseInt(answer[n], 10, 64)
			}
		}
	}
	return revised
}

// byTag groups rows by organisation and API, in blocks and in their order.
func byTag(n int, target func(int) Target) [][]int {
	return inBlocks(n, block, func(i int) (key [3]string, ok bool) {
		t := target(i)
		return [3]string{t.Organisation, t.API}, true
	})
}

// inBlocks groups the numbers below n by their key, in blocks of size and in their order. A
// number without a key is left out.
func inBlocks(n, size int, keyOf func(int) (key [3]string, ok bool)) [][]int {
	var blocks [][]int
	open := map[[3]string]int{}
	for i := range n {
		key, ok := keyOf(i)
		if !ok {
			continue
		}
		at, ok := open[key]
		if !ok || len(blocks[at]) == size {
			at = len(blocks)
			open[key], blocks = at, append(blocks, make([]int, 0, min(size, n-i)))
		}
		blocks[at] = append(blocks[at], i)
	}
	return blocks
}

func edits(fields []Field) bool {
	return slices.ContainsFunc(fields, func(f Field) bool { return f.Mode == Edit })
}

// TakesPosition reports whether the change takes a position among the edits with its
// revision.
func (w Change) TakesPosition() bool { return edits(w.Fields) && !w.Later }

// Withdraw removes the position of an edit whose task was certainly not stored, or has
// ended. Without it later edits wait for two minutes. An open task keeps its position.
// One round trip, none for changes without edits.
func (l *Ledger) Withdraw(ctx context.Context, change Change) error {
	if !change.TakesPosition() {
		return nil
	}
	if err := withdraw.Run(ctx, l.rdb, []string{change.Target.edits(), change.Target.tasks()}, change.TaskID).Err(); err != nil {
		return fmt.Errorf("ledger: withdraw an edit: %w", err)
	}
	return nil
}

// TakePosition gives an edit its old position again, before it is stored under another
// id, so that later edits wait for it. One round trip, none for changes without edits.
func (l *Ledger) TakePosition(ctx context.Context, change Change, revision int64) error {
	if !edits(change.Fields) {
		return nil
	}
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.ZAddNX(ctx, change.Target.edits(), redis.Z{Score: float64(revision), Member: change.TaskID})
		p.PExpire(ctx, change.Target.edits(), keep)
		return nil
	})
	if err != nil {
		return fmt.Errorf("ledger: take the position of an edit again: %w", err)
	}
	return nil
}

// Row is the row of a task in a run: tasks that were enqueued together, as a file, a
// request or a night. The zero value: no run.
type Row struct {
	Tenant string `json:"tenant,omitzero"`
	Run    string `json:"run,omitzero"`
	Row    int    `json:"row,omitzero"` // from 0
}

const (
	// MaxRow bounds a row: the results of a run are one byte each.
	MaxRow = 1_000_001
	// rowsTogether is how many results one key holds. A single row with a high number
	// costs at most as many bytes.
	rowsTogether = 4096
)

func (r Row) none() bool { return r.Run == "" }

func (r Row) name() string { return r.Tenant + "/" + r.Run }

// key holds the result of the row. Without a run it is the key of target's records,
// because a script needs a key of the same tag.
func (r Row) key(target Target) string {
	if r.none() {
		return target.tasks()
	}
	return r.block(target, r.bounded()/rowsTogether)
}

// block is the key of a run's results number n. The first key has no number.
func (r Row) block(target Target, n int) string {
	name := "run:" + r.name()
	if n > 0 {
		name += ":" + strconv.Itoa(n)
	}
	return target.shared(name)
}

func (r Row) bounded() int { return min(max(r.Row, 0), MaxRow-1) }

// number is the position of the row's result in its key; "" for no run.
func (r Row) number() string {
	if r.none() {
		return ""
	}
	return strconv.Itoa(r.bounded() % rowsTogether)
}

// Open is a stored task that has not ended, with all that is needed to enqueue it
// again if it vanishes.
type Open struct {
	Change   Change `json:"-"`
	Revision int64  `json:"revision"`
	Row      Row    `json:"row,omitzero"`
	Queue    string `json:"queue"`
	Key      string `json:"key,omitzero"` // of its producer
	Type     string `json:"type"`
	Payload  []byte `json:"-"` // JSON
	// Again says that the task may have been noted before, and its row may have ended
	// since: then nothing is noted. It needs a Row.
	Again bool `json:"-"`
	// Damaged says that the record is no JSON: only the id is known, and no version wrote
	// it.
	Damaged bool `json:"-"`
}

// record is an Open as it is stored.
type record struct {
	Target string `json:"target"`
	// Single is set if the task is about a single value: it needs no record any more if
	// there is a later change of that value. stored.lua reads it.
	Single  bool           `json:"single,omitzero"`
	Task    Open           `json:",embed"`
	Payload jsontext.Value `json:"payload"`
}

// text returns the record of a task.
func (o Open) text() (string, error) {
	text, err := json.Marshal(record{Target: o.Change.Target.Key, Single: o.single(), Task: o, Payload: o.Payload})
	if err != nil {
		return "", fmt.Errorf("ledger: record of task %s: %w", o.Change.TaskID, err)
	}
	return string(text), nil
}

// single reports whether a task is about a single value.
func (o Open) single() bool { return len(o.Change.Fields) == 1 && o.Change.Fields[0].Mode != Edit }

// record is what Begin opens for a task with an edit; "" for other tasks.
func (d Delivery) record() (string, error) {
	if !edits(d.Fields) {
		return "", nil
	}
	return Open{
		Change: Change{Target: d.Target, TaskID: d.TaskID}, Revision: d.Revision, Row: d.Row,
		Queue: d.Queue, Key: d.Key, Type: d.Type, Payload: d.Payload,
	}.text()
}

// Stored notes that tasks were stored: they are the latest changes of their fields
// where no later one is known, and a record of each is kept until it ends. Call it
// after a task was stored: a stored task without this note costs at most one call, but
// a note without a stored task would lose the older change. One round trip for each 64
// tasks of an organisation's API.
// A damaged target costs its own tasks alone, as for [Ledger.Revise].
func (l *Ledger) Stored(ctx context.Context, tasks ...Open) error {
	var damaged error
	for _, rows := range byTag(len(tasks), func(i int) Target { return tasks[i].Change.Target }) {
		first := tasks[rows[0]].Change.Target
		keys := []string{first.tasks(), first.shared("runs"), first.index()}
		args := []any{keep.Milliseconds(), l.runKept.Milliseconds()}
		for _, i := range rows {
			o := tasks[i]
			w := o.Change
			text, err := o.text()
			if err != nil {
				return err
			}
			run := ""
			if !o.Row.none() {
				run = o.Row.name()
			}
			keys = append(keys, w.Target.redisKey(), o.Row.key(w.Target), w.Target.ended(w.TaskID))
			args = append(args, w.Target.Key, w.TaskID, o.Revision, text, !w.Later, o.single(), run, o.Row.number(), o.Again && run != "")
			names := changed(w.Fields)
			args = append(append(args, len(names)), names...)
		}
		err := stored.Run(ctx, l.rdb, keys, args...).Err()
		switch {
		case err == nil:
		case len(rows) > 1 && damaging(err): // the note may be repeated
			for _, i := range rows {
				damaged = errors.Join(damaged, l.Stored(ctx, tasks[i]))
			}
		default:
			return fmt.Errorf("ledger: note the latest change: %w", l.explain(ctx, first, err, tasks[rows[0]].Row.keyType(first)...))
		}
	}
	return damaged
}

// changed returns the names of the fields that have a latest change: edits have none.
func changed(fields []Field) []any {
	var names []any
	for _, f := range fields {
		if f.Mode != Edit {
			names = append(names, f.Name)
		}
	}
	return names
}
