package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/internal/access"
	"rollcall/internal/explain"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/problem"
	"rollcall/internal/registry"
)

type explainInput struct {
	Lane   string `doc:"Of the target"                                                   maxLength:"80"  query:"lane"`
	Target string `doc:"As in GET /v1/targets"                                           maxLength:"600" query:"target"`
	Task   string `doc:"Instead of lane and target: the target of the task with this id" maxLength:"200" query:"task"`
	Masked bool   `doc:"Mask names and ids of people even if the token may see them"     query:"masked"`
}

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

type explainOutput struct{ Body Explanation }

func (a *API) registerExplanation() {
	register(a, huma.Operation{
		OperationID: "explain-target-in-full", Method: http.MethodGet, Path: "/v1/explanation", Tags: []string{"State"},
		Summary: "Read everything that is known of a target", Description: "By lane and target, or by a task.",
	}, []access.Scope{access.Read}, a.explainInFull)
}

func (a *API) explainInFull(ctx context.Context, c caller, in *explainInput) (*explainOutput, error) {
	lanes, err := registry.Read(ctx, a.rdb, time.Time{}) // also those without a worker
	if err != nil {
		return nil, err
	}
	lanes = slices.DeleteFunc(lanes, func(l registry.Lane) bool { return !c.MayTenant(l.Tenant) })
	name, target := in.Lane, in.Target
	if in.Task != "" {
		name, target, err = a.known.Find(ctx, lanes, in.Task)
		if unknown, ok := errors.AsType[*explain.TaskError](err); ok {
			return nil, problem.New(problem.NotFound, unknown.Error())
		}
		if err != nil {
			return nil, err
		}
	}
	i := slices.IndexFunc(lanes, func(l registry.Lane) bool { return registry.Queue(l.Tenant, l.Kind, false) == name })
	switch {
	case i < 0:
		return nil, problem.New(problem.NotFound, "no worker serves the lane, or the token may not use its tenant")
	case !kinds.IsKey(lanes[i].Kind, target):
		return nil, problem.New(problem.Invalid, "the target is missing, or is not one of the lane").
			Add(problem.Detail{Location: "query.target", Detail: "for a nickname, use chat/user with one slash; a slash in an id is %2F"})
	}
	m := c.maskerUnless(in.Masked)
	found, err := a.known.Read(ctx, lanes[i], target, explain.Full(), m.Shown, a.now())
	if err != nil {
		return nil, err
	}
	return &explainOutput{Body: m.explanation(found)}, nil
}

// explanation returns the view of what is known of a target.
func (m masker) explanation(x *explain.Target) Explanation {
	r := x.Record
	v := Explanation{
		Lane: x.LaneName(), Target: x.Key(), Revision: r.Revision, InFlight: r.InFlight, Settled: r.Settled,
		Sources: r.Sources, More: x.More, ResendAt: x.ResendAt,
	}
	if r.InFlight {
		v.Until = r.Until
	}
	for _, name := range r.Names() {
		v.Fields = append(v.Fields, explainedField(name, r.Fields[name], x.Value))
	}
	for _, e := range r.Edits {
		v.Edits = append(v.Edits, ExplainedEdit(e))
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
	for _, d := range r.Damaged {
		v.Damaged = append(v.Damaged, ExplainedDamage{Key: d.Name(), What: x.Masked(d.What)})
	}
	for _, task := range x.Tasks {
		shown := ExplainedTask{ID: task.ID, Queue: task.Queue, State: task.State, Next: task.Next, Error: task.Error, Open: task.Open}
		if task.Dead != nil {
			shown.Dead = new(m.dead(*task.Dead))
		}
		v.Tasks = append(v.Tasks, shown)
	}
	slices.SortFunc(v.Tasks, func(a, b ExplainedTask) int { return strings.Compare(a.ID, b.ID) })
	for _, d := range x.Dead {
		v.DeadLetters = append(v.DeadLetters, m.dead(d))
	}
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
