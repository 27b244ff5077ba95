// Package explain reads everything that is known about one target, and concludes whether a
// person must do something about it.
//
// It must not know how that is shown: commands and pages have their own words.
package explain

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/deadletter"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/privacy"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

// Target is everything known about a target.
type Target struct {
	Personal bool // names and ids of people are shown as they were read
	Now      time.Time
	Lane     registry.Lane
	Record   ledger.Record
	Tasks    map[string]Task     // of the record, by id: those that were read
	Dead     []ledger.DeadLetter // of the target
	ResendAt time.Time           // when the applied values are sent once more, at the earliest; zero: never
	More     bool                // the lane has more dead letters than were read

	words []string // names and ids of people in the record
}

// Task is the state of a task.
type Task struct {
	ID    string
	Queue string
	State string // in asynq; "" if it does not know the task
	Next  time.Time
	Error string // of its last attempt
	Open  bool   // not ended, according to the ledger
	Dead  *ledger.DeadLetter
	// Values are those that it sets, by field, not masked; nil: they are not known.
	Values map[string]string
}

// Bounds are how much a Reader reads.
type Bounds struct {
	// DeadLetters bounds the dead letters of the lane that are read to find those of the
	// target. The dead letters of tasks in the record are always found.
	DeadLetters int
	// Tasks bounds the tasks of the record that are looked up, at about six commands each:
	// those of changes that wait come first.
	Tasks int
	// Edits bounds the open membership edits among them.
	Edits int
}

// Reader reads everything known about a target. Its methods are safe for concurrent use.
type Reader struct {
	ledger    *ledger.Ledger
	dead      *deadletter.Service
	inspector *asynq.Inspector
}

// NewReader returns a Reader of a Redis.
func NewReader(rdb redis.UniversalClient) *Reader {
	return &Reader{ledger: ledger.New(rdb), dead: deadletter.New(rdb, nil), inspector: asynq.NewInspectorFromRedisClient(rdb)}
}

// Read reads a target of a lane. With personal, names and ids of people are shown.
func (r *Reader) Read(ctx context.Context, lane registry.Lane, key string, b Bounds, personal bool, now time.Time) (*Target, error) {
	target := ledger.Target{Organisation: lane.Organisation, API: string(lane.Kind), Key: key}
	x := &Target{Personal: personal, Now: now, Lane: lane, Tasks: map[string]Task{}}
	var err error
	if x.Record, err = r.ledger.Look(ctx, target); err != nil {
		return nil, err
	}
	x.words = wordsOf(lane.Kind, x.Record)
	if x.ResendAt, err = r.ledger.ResendAt(ctx, target, lane.Tenant); err != nil {
		return nil, err
	}
	if err := r.readDeadLetters(ctx, x, b.DeadLetters); err != nil {
		return nil, err
	}
	ids := named(x.Record, b.Edits)
	for _, id := range ids[:min(len(ids), b.Tasks)] {
		if x.Tasks[id], err = r.task(ctx, x, id); err != nil {
			return nil, err
		}
	}
	return x, nil
}

// named are the tasks that a record names, but those that have ended well: first those of
// changes that wait, then those of a first number of edits.
func named(r ledger.Record, edits int) []string {
	var waiting, applied []string
	for _, name := range r.Names() {
		f := r.Fields[name]
		if f.Intent != nil {
			waiting = append(waiting, f.Intent.TaskID)
		}
		switch {
		case f.TaskID == "":
		case f.Latest > f.Applied:
			waiting = append(waiting, f.TaskID)
		default:
			applied = append(applied, f.TaskID)
		}
	}
	for _, e := range r.Edits[:min(len(r.Edits), edits)] {
		waiting = append(waiting, e.TaskID)
	}
	var ids []string
	for _, id := range append(waiting, applied...) {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// wordsOf returns the names and ids of people in a record.
func wordsOf(kind tasks.Kind, record ledger.Record) []string {
	words := privacy.WordsOfTarget(kind, record.Target.Key)
	for name, f := range record.Fields {
		for _, value := range []string{f.Value, f.Wanted} {
			words = append(words, privacy.WordsOfValue(kind, name, value)...)
		}
		if f.Intent != nil {
			words = append(words, privacy.WordsOfValue(kind, name, f.Intent.Value)...)
		}
	}
	for _, e := range record.Effects {
		for name, value := range e.Set {
			words = append(words, privacy.WordsOfValue(kind, name, value)...)
		}
	}
	return words
}

// deadLetterPage is how many dead letters are read at once.
const deadLetterPage = 100

func (r *Reader) readDeadLetters(ctx context.Context, x *Target, most int) error {
	var from ledger.Cursor
	for n := 0; n < most; n += deadLetterPage {
		dead, next, err := r.ledger.DeadPage(ctx, ledger.DeadLetterFilter{Lane: x.LaneName()}, from, deadLetterPage)
		if err != nil {
			return err
		}
		for _, l := range dead {
			if l.Target == x.Record.Target.Key {
				x.Dead = append(x.Dead, l)
			}
		}
		if next == "" {
			return nil
		}
		from = next
	}
	x.More = true
	return nil
}

// task returns the state of a task, from the queue in its record, or else from both
// queues of the lane.
func (r *Reader) task(ctx context.Context, x *Target, id string) (Task, error) {
	t := Task{ID: id}
	open, found, err := r.ledger.OpenTask(ctx, x.Lane.Organisation, string(x.Lane.Kind), id)
	if err != nil {
		return t, err
	}
	t.Open = found
	t.learn(open.Type, open.Payload)
	lane := x.LaneName()
	queues := []string{registry.Queue(x.Lane.Tenant, x.Lane.Kind, true), lane}
	if tenant, kind, _, ok := registry.ParseQueue(open.Queue); ok {
		t.Queue, queues, lane = open.Queue, []string{open.Queue}, registry.Queue(tenant, kind, false)
	}
	for _, queue := range queues {
		info, err := r.info(queue, id)
		if err != nil {
			return t, err
		}
		if info != nil {
			words := append(privacy.WordsOf(info.Type, info.Payload), info.Headers[kinds.KeyHeader])
			t.learn(info.Type, info.Payload)
			t.Queue, t.State, t.Error, t.Next = queue, info.State.String(), x.Masked(info.LastErr, words...), info.NextProcessAt
			break
		}
	}
	deadLetter, dead, err := r.ledger.DeadLetter(ctx, lane, id)
	if err != nil || !dead {
		return t, err
	}
	t.Dead = &deadLetter
	t.learn(deadLetter.Type, deadLetter.Payload)
	if !slices.ContainsFunc(x.Dead, func(l ledger.DeadLetter) bool { return l.ID == id }) {
		x.Dead = append(x.Dead, deadLetter)
	}
	return t, nil
}

// learn notes the values of a payload, unless they are known.
func (t *Task) learn(typename string, payload []byte) {
	task, _, err := kinds.Decode(typename, payload)
	if err != nil || t.Values != nil {
		return
	}
	t.Values = map[string]string{}
	_, fields := kinds.Change(task, "")
	for _, f := range fields {
		t.Values[f.Name] = f.Value
	}
}

// info returns asynq's record of a task; nil: none, or one that it cannot decode.
func (r *Reader) info(queue, id string) (*asynq.TaskInfo, error) {
	info, err := r.inspector.GetTaskInfo(queue, id)
	switch {
	case err == nil:
		return info, nil
	case errors.Is(err, asynq.ErrTaskNotFound), errors.Is(err, asynq.ErrQueueNotFound), strings.Contains(err.Error(), "could not decode"):
		return nil, nil //nolint:nilnil // it is not there
	}
	return nil, err
}

// LaneName is the name of the target's lane.
func (x *Target) LaneName() string { return registry.Queue(x.Lane.Tenant, x.Lane.Kind, false) }

// Key is the key of the target, masked unless personal data is shown.
func (x *Target) Key() string {
	if x.Personal {
		return x.Record.Target.Key
	}
	return privacy.Target(x.Lane.Kind, x.Record.Target.Key)
}

// Value is the value of a field, masked unless personal data is shown.
func (x *Target) Value(field, value string) string {
	if x.Personal {
		return value
	}
	return privacy.Value(x.Lane.Kind, field, value)
}

// Masked is a text of a platform without the names and ids of the record, and without
// more words, unless personal data is shown.
func (x *Target) Masked(text string, more ...string) string {
	if x.Personal {
		return text
	}
	return privacy.Redact(text, slices.Concat(x.words, more))
}
