package ledger

import (
	"context"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// OpenTasks reads some of the records of stored tasks that have not ended, from
// cursor, which is 0 at first; next is 0 after the last. A record may be returned
// twice. One round trip.
func (l *Ledger) OpenTasks(ctx context.Context, organisation, api string, cursor uint64, about int64) (tasks []Open, next uint64, err error) {
	entries, next, err := l.rdb.HScan(ctx, tagged(organisation, api, "tasks"), cursor, "", about).Result()
	if err != nil {
		return nil, 0, fmt.Errorf("ledger: read the open tasks: %w", err)
	}
	for i := 0; i+1 < len(entries); i += 2 {
		task := readOpen(organisation, api, entries[i], entries[i+1])
		if task.Damaged {
			l.report(damagedRecord(task.Change.Target, entries[i], entries[i+1]))
		}
		tasks = append(tasks, task)
	}
	return tasks, next, nil
}

// OpenTask reads the record of one task. One round trip.
func (l *Ledger) OpenTask(ctx context.Context, organisation, api, id string) (task Open, found bool, err error) {
	values, err := l.rdb.HMGet(ctx, tagged(organisation, api, "tasks"), id).Result()
	if err != nil {
		return Open{}, false, fmt.Errorf("ledger: read open task %s: %w", id, err)
	}
	text, found := values[0].(string)
	if !found {
		return Open{}, false, nil
	}
	return readOpen(organisation, api, id, text), true, nil
}

// readOpen reads a record. If it cannot be read, e.g. because a newer version wrote
// it, only the id is known, and Queue is empty.
func readOpen(organisation, api, id, text string) Open {
	var r record
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		r = record{}
		r.Task.Damaged = !jsontext.Value(text).IsValid()
	}
	r.Task.Change.TaskID, r.Task.Payload = id, r.Payload
	r.Task.Change.Target = Target{Organisation: organisation, API: api, Key: r.Target}
	return r.Task
}

// The results of a row of a run, a byte each.
const (
	RowStored     = 'w'
	RowApplied    = 'a'
	RowUnchanged  = 'u'
	RowSuperseded = 's'
	RowSettled    = 't'
	RowDead       = 'd'
	RowCancelled  = 'c'
)

// Close ends a task that will not be settled, as it is a dead letter: removes its
// record, and its position among the edits. One round trip.
func (l *Ledger) Close(ctx context.Context, target Target, taskID string, row Row) error {
	_, err := l.close(ctx, target, taskID, row, string(RowDead), "", "", nil)
	return err
}

// CloseEnded ends a task if all its fields are settled at its revision or superseded,
// and reports whether it did: the note of its end was lost, or an older worker carried
// it out. One round trip.
func (l *Ledger) CloseEnded(ctx context.Context, task Open) (ended bool, err error) {
	return l.close(ctx, task.Change.Target, task.Change.TaskID, task.Row, "", "", strconv.FormatInt(task.Revision, 10), task.Change.Fields)
}

func (l *Ledger) close(ctx context.Context, t Target, taskID string, row Row, how, detail, revision string, fields []Field) (bool, error) {
	args := []any{taskID, row.number(), how, revision, l.runKept.Milliseconds(), detail}
	for _, f := range fields {
		args = append(args, f.Name, f.Mode.String())
	}
	keys := []string{t.redisKey(), t.edits(), t.tasks(), row.key(t), t.ended(taskID), row.details(t)}
	n, err := closing.Run(ctx, l.rdb, keys, args...).Int()
	if err != nil {
		return false, fmt.Errorf("ledger: end task %s: %w", taskID, l.explain(ctx, t, err, row.keyType(t)...))
	}
	return n == 1, nil
}
