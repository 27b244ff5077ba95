package wire

import (
	"slices"
	"strings"
	"time"

	"rollcall/internal/deadletter"
	"rollcall/internal/explain"
	"rollcall/internal/ledger"
)

// Explanation is everything that is known of a target. Revisions are microseconds of Redis'
// clock.
type Explanation struct {
	Lane        string            `json:"lane"`
	Target      string            `json:"target"`
	Revision    int64             `doc:"The last that was handed out; 0: nothing is known"           json:"revision"`
	InFlight    bool              `doc:"A task works on it"                                          json:"in_flight"`
	Until       time.Time         `doc:"When its lease ends, unless it is renewed"                   json:"until,omitzero"`
	Settled     time.Time         `doc:"When a task was last applied"                                json:"settled,omitzero"`
	Fields      []ExplainedField  `json:"fields"                                                     nullable:"false"`
	Sources     map[string]int64  `doc:"The highest number of each source"                           json:"sources,omitempty"`
	Edits       []ExplainedEdit   `doc:"Membership edits that wait"                                  json:"edits"              nullable:"false"`
	Effects     []ExplainedEffect `doc:"The last ten, latest first"                                  json:"effects"            nullable:"false"`
	Damaged     []ExplainedDamage `json:"damaged"                                                    nullable:"false"`
	Tasks       []ExplainedTask   `doc:"That the fields and edits name"                              json:"tasks"              nullable:"false"`
	DeadLetters []DeadLetter      `json:"dead_letters"                                               nullable:"false"`
	More        bool              `doc:"Only the latest 1,000 dead letters of the lane were read"    json:"more"`
	ResendAt    time.Time         `doc:"When the applied values are sent once more, at the earliest" json:"resend_at,omitzero"`
}

// ExplainedField is a field of a target.
type ExplainedField struct {
	Name     string           `json:"name"`
	Latest   int64            `doc:"Revision of the latest change"                   json:"latest,omitzero"`
	TaskID   string           `doc:"Of the latest change"                            json:"task_id,omitzero"`
	Applied  int64            `doc:"Revision that was applied last"                  json:"applied,omitzero"`
	Value    string           `doc:"That was applied"                                json:"value,omitzero"`
	Wanted   string           `doc:"Value of the change, if another was applied"     json:"wanted,omitzero"`
	Unknown  int64            `doc:"Revision with an unknown outcome"                json:"unknown,omitzero"`
	Answered bool             `doc:"Its request was answered, not clearly"           json:"answered,omitzero"`
	Late     time.Time        `doc:"Since when a request may have taken effect late" json:"late,omitzero"`
	Refused  int              `doc:"Candidates that were refused"                    json:"refused,omitzero"`
	Intent   *ExplainedIntent `doc:"Of an ID with an unknown outcome"                json:"intent,omitempty"`
	Lock     string           `doc:"applied, said or unverified"                     json:"lock,omitzero"`
	LockEnds time.Time        `json:"lock_until,omitzero"`
}

// ExplainedIntent is a value that was sent, with an unknown outcome.
type ExplainedIntent struct {
	Value    string    `json:"value"`
	Sends    int       `json:"sends"`
	At       time.Time `json:"at"`
	Revision int64     `json:"revision"`
	TaskID   string    `json:"task_id"`
}

// ExplainedEdit is a membership edit that waits.
type ExplainedEdit struct {
	Revision int64  `json:"revision"`
	TaskID   string `json:"task_id"`
}

// ExplainedEffect is a change that was applied, or the answer of a person.
type ExplainedEffect struct {
	At        time.Time         `json:"at"`
	Revision  int64             `json:"revision,omitzero"`
	TaskID    string            `json:"task_id,omitzero"`
	RequestID string            `json:"request_id,omitzero"`
	Set       map[string]string `doc:"Values by field"                      json:"set,omitempty"`
	By        string            `doc:"The person who confirmed or rejected" json:"by,omitzero"`
	Did       string            `doc:"confirm, reject or resend"            json:"did,omitzero"`
}

// ExplainedDamage is a key that cannot be read.
type ExplainedDamage struct {
	Key  string `doc:"In Redis, without the target" json:"key"`
	What string `json:"what"`
}

// ExplainedTask is the state of a task.
type ExplainedTask struct {
	ID    string      `json:"id"`
	Queue string      `json:"queue,omitzero"`
	State string      `doc:"In asynq; missing: it does not know the task" json:"state,omitzero"`
	Next  time.Time   `doc:"Next attempt"                                 json:"next,omitzero"`
	Error string      `doc:"Of its last attempt"                          json:"error,omitzero"`
	Open  bool        `doc:"It has not ended"                             json:"open"`
	Dead  *DeadLetter `json:"dead_letter,omitempty"`
}

// ExplanationOf returns what is known of a target as clients see it, masked as the target is.
func ExplanationOf(x *explain.Target) Explanation {
	r := x.Record
	dead := func(d ledger.DeadLetter) DeadLetter { return DeadLetterOf(deadletter.Shown(d, x.Personal)) }
	v := Explanation{
		Lane: x.LaneName(), Target: x.Key(), Revision: r.Revision, InFlight: r.InFlight, Settled: r.Settled, Sources: r.Sources, More: x.More,
		ResendAt: x.ResendAt, DeadLetters: each(x.Dead, dead), Edits: each(r.Edits, func(e ledger.Position) ExplainedEdit { return ExplainedEdit(e) }),
		Fields: each(r.Names(), func(name string) ExplainedField { return explainedField(name, r.Fields[name], x.Value) }),
		Damaged: each(r.Damaged, func(d ledger.Damage) ExplainedDamage {
			return ExplainedDamage{Key: d.Name(), What: x.Masked(d.What)}
		}),
	}
	if r.InFlight {
		v.Until = r.Until
	}
	for _, e := range r.Effects {
		set := map[string]string{}
		for field, of := range e.Set {
			set[field] = x.Value(field, of)
		}
		v.Effects = append(v.Effects, ExplainedEffect{
			At: e.At, Revision: e.Revision, TaskID: e.TaskID, RequestID: x.Masked(e.RequestID), Set: set, By: e.By, Did: e.Did,
		})
	}
	for _, t := range x.Tasks {
		shown := ExplainedTask{ID: t.ID, Queue: t.Queue, State: t.State, Next: t.Next, Error: t.Error, Open: t.Open}
		if t.Dead != nil {
			shown.Dead = new(dead(*t.Dead))
		}
		v.Tasks = append(v.Tasks, shown)
	}
	slices.SortFunc(v.Tasks, func(a, b ExplainedTask) int { return strings.Compare(a.ID, b.ID) })
	return v
}

func explainedField(name string, f ledger.State, value func(field, text string) string) ExplainedField {
	v := ExplainedField{
		Name: name, Latest: f.Latest, TaskID: f.TaskID, Applied: f.Applied, Value: value(name, f.Value), Wanted: value(name, f.Wanted),
		Unknown: f.Unknown, Answered: f.Answered, Late: f.Late, Refused: f.Attempts,
	}
	if in := f.Intent; in != nil {
		v.Intent = &ExplainedIntent{Value: value(name, in.Value), Sends: in.Sends, At: in.At, Revision: in.Revision, TaskID: in.TaskID}
	}
	if f.Lock != nil {
		v.Lock, v.LockEnds = f.Lock.Why, f.Lock.Until
	}
	return v
}

// Known returns what is known of the target, which shows what the explanation has: people are
// masked already.
func (v Explanation) Known() *explain.Target {
	x := &explain.Target{
		Personal: true, More: v.More, ResendAt: v.ResendAt, Dead: each(v.DeadLetters, DeadLetter.Letter), Tasks: map[string]explain.Task{},
		Record: ledger.Record{
			Target: ledger.Target{Key: v.Target}, Revision: v.Revision, InFlight: v.InFlight, Until: v.Until, Settled: v.Settled, Sources: v.Sources,
			Fields:  map[string]ledger.State{},
			Edits:   each(v.Edits, func(e ExplainedEdit) ledger.Position { return ledger.Position(e) }),
			Damaged: each(v.Damaged, func(d ExplainedDamage) ledger.Damage { return ledger.Damage{Key: d.Key, What: d.What} }),
			Effects: each(v.Effects, func(e ExplainedEffect) ledger.Event {
				return ledger.Event{At: e.At, Revision: e.Revision, TaskID: e.TaskID, RequestID: e.RequestID, Set: e.Set, By: e.By, Did: e.Did}
			}),
		},
	}
	for _, f := range v.Fields {
		x.Record.Fields[f.Name] = f.state()
	}
	for _, t := range v.Tasks {
		task := explain.Task{ID: t.ID, Queue: t.Queue, State: t.State, Next: t.Next, Error: t.Error, Open: t.Open}
		if t.Dead != nil {
			task.Dead = new(t.Dead.Letter())
		}
		x.Tasks[t.ID] = task
	}
	return x
}

func (f ExplainedField) state() ledger.State {
	s := ledger.State{
		Latest: f.Latest, TaskID: f.TaskID, Applied: f.Applied, Value: f.Value, Wanted: f.Wanted, Unknown: f.Unknown, Answered: f.Answered,
		Late: f.Late, Attempts: f.Refused,
	}
	if in := f.Intent; in != nil {
		s.Intent = &ledger.Intent{Value: in.Value, Sends: in.Sends, At: in.At, Revision: in.Revision, TaskID: in.TaskID}
	}
	if f.Lock != "" {
		s.Lock = &ledger.LockedError{Why: f.Lock, Until: f.LockEnds}
	}
	return s
}
