package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/internal/access"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/privacy"
	"rollcall/internal/problem"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

type targetInput struct {
	Tenant string   `maxLength:"39"     path:"tenant"`
	Kind   KindName `path:"kind"`
	Target string   `example:"chat1/u1" maxLength:"600" minLength:"1" query:"target" required:"true"`
}

// Target is what is known of a target.
type Target struct {
	Tenant   string        `json:"tenant"`
	Kind     tasks.Kind    `json:"kind"`
	Target   string        `json:"target"`
	Known    bool          `doc:"Anything is known of it"                                            json:"known"`
	InFlight bool          `doc:"A task works on it"                                                 json:"in_flight"`
	Settled  time.Time     `doc:"When a value was last applied"                                      json:"settled,omitzero"`
	Fields   []TargetField `json:"fields"                                                            nullable:"false"`
	Effects  []Effect      `doc:"The last ten, latest first"                                         json:"effects"           nullable:"false"`
	Damaged  []string      `doc:"What cannot be read of it: it is left alone until this is repaired" json:"damaged,omitempty" nullable:"false"`
}

// TargetField is one field of a target.
type TargetField struct {
	Field   string    `json:"field"`
	State   string    `doc:"applied: the latest change was applied or found unchanged. waiting: its task has not ended, or is a dead letter. unknown: a change was sent, and its outcome is not known." enum:"applied,waiting,unknown" json:"state"`
	Value   string    `doc:"That was applied last"                                                                                                                                                      json:"value,omitzero"`
	Applied time.Time `doc:"When the change with this value was enqueued"                                                                                                                               json:"applied,omitzero"`
	Latest  time.Time `doc:"When the latest change was enqueued"                                                                                                                                        json:"latest,omitzero"`
	TaskID  string    `doc:"Task of the latest change"                                                                                                                                                  json:"task_id,omitzero"`
	Open    bool      `doc:"That task has not ended"                                                                                                                                                    json:"open"`
}

// Effect is a change that was applied to a target, or the answer of a person.
type Effect struct {
	At        time.Time         `json:"at"`
	TaskID    string            `json:"task_id,omitzero"`
	RequestID string            `json:"request_id,omitzero"`
	Set       map[string]string `doc:"Values by field"                      json:"set,omitempty"`
	By        string            `doc:"The person who confirmed or rejected" json:"by,omitzero"`
	Did       string            `doc:"confirm, reject or resend"            json:"did,omitzero"`
}

type targetOutput struct{ Body Target }

func (a *API) registerTargets() {
	register(a, huma.Operation{
		OperationID: "explain-target", Method: http.MethodGet, Path: "/v1/targets/{tenant}/{kind}", Tags: []string{"State"},
		Summary: "Explain the state of one target", Description: "The latest change, the applied value and the last effects with the platform's request ids.",
	}, []access.Scope{access.Read}, a.explainTarget)
	for _, p := range a.huma.OpenAPI().Paths["/v1/targets/{tenant}/{kind}"].Get.Parameters {
		if p.Name == "target" {
			p.Description = kinds.Targets() + ". A slash in an id is %2F, a percent sign %25."
		}
	}
}

func (a *API) explainTarget(ctx context.Context, c caller, in *targetInput) (*targetOutput, error) {
	kind := tasks.Kind(in.Kind)
	lanes, err := registry.Read(ctx, a.rdb, a.now())
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(lanes, func(l registry.Lane) bool {
		return l.Tenant == in.Tenant && l.Kind == kind && c.MayTenant(l.Tenant)
	})
	if i < 0 {
		return nil, problem.New(problem.NotFound, "no worker serves this tenant and kind, or the token may not use the tenant")
	}
	if why := kinds.WrongKey(kind, in.Target); why != "" {
		return nil, problem.New(problem.Invalid, "the target is missing, or is not one of the kind").
			Add(problem.Detail{Location: "query.target", Detail: why})
	}
	record, err := a.ledger.Look(ctx, ledger.Target{Organisation: lanes[i].Organisation, API: string(kind), Key: in.Target})
	if err != nil {
		return nil, err
	}
	out := &targetOutput{Body: c.masker().record(in, record)}
	for i, f := range out.Body.Fields {
		if f.TaskID == "" {
			continue
		}
		_, open, err := a.ledger.OpenTask(ctx, record.Target.Organisation, record.Target.API, f.TaskID)
		if err != nil {
			return nil, err
		}
		out.Body.Fields[i].Open = open
	}
	return out, nil
}

// record returns the view of a record.
func (m masker) record(in *targetInput, r ledger.Record) Target {
	kind := tasks.Kind(in.Kind)
	v := Target{Tenant: in.Tenant, Kind: kind, Target: in.Target, Known: r.Revision != 0, InFlight: r.InFlight, Settled: r.Settled}
	words := privacy.WordsOfTarget(kind, in.Target)
	value := func(field, text string) string {
		words = append(words, privacy.WordsOfValue(kind, field, text)...)
		if m.Shown {
			return text
		}
		return privacy.Value(kind, field, text)
	}
	if !m.Shown {
		v.Target = privacy.Target(kind, in.Target)
	}
	for _, name := range r.Names() {
		f := r.Fields[name]
		field := TargetField{Field: name, State: "waiting", Value: value(name, f.Value), TaskID: f.TaskID, Applied: enqueued(f.Applied), Latest: enqueued(f.Latest)}
		switch {
		case f.Unknown != 0:
			field.State = "unknown"
		case f.Latest <= f.Applied:
			field.State = "applied"
		}
		v.Fields = append(v.Fields, field)
	}
	for _, e := range r.Effects {
		effect := Effect{At: e.At.UTC(), TaskID: e.TaskID, RequestID: e.RequestID, By: e.By, Did: e.Did, Set: map[string]string{}}
		for name, text := range e.Set {
			effect.Set[name] = value(name, text)
		}
		v.Effects = append(v.Effects, effect)
	}
	for i := range v.Effects {
		if !m.Shown {
			v.Effects[i].RequestID = privacy.Redact(v.Effects[i].RequestID, words)
		}
	}
	for _, d := range r.Damaged {
		v.Damaged = append(v.Damaged, privacy.Redact(d.What, words))
	}
	return v
}

// enqueued is the time of a revision; zero: there is none.
func enqueued(revision int64) time.Time {
	if revision == 0 {
		return time.Time{}
	}
	return time.UnixMicro(revision).UTC()
}
