package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/internal/access"
	"rollcall/internal/problem"
	"rollcall/internal/roster"
	"rollcall/internal/table"
	"rollcall/internal/wire"
	"rollcall/tasks"
)

// Row is a task as a client sends it: the columns of a file as JSON. It documents the body,
// together with the columns of the kinds; package roster reads it.
type Row struct {
	Kind   KindName `doc:"Kind of the task; missing: as the other fields say"                                 json:"kind,omitzero"`
	Tenant string   `doc:"Tenant, by its name in the worker's configuration"                                  example:"lakeside-dt"               json:"tenant"               maxLength:"39"`
	Key    string   `doc:"Name of the task, of your own: a task with the same key is stored once in 24 hours" json:"key,omitzero"                 maxLength:"200"`
	Urgent bool     `doc:"Before all tasks that are not urgent"                                               json:"urgent,omitzero"`
	At     string   `doc:"Time before which it is not sent: RFC 3339, or a delay such as +10m"                example:"2027-03-01T08:00:00+08:00" json:"at,omitzero"`
	Source string   `doc:"System whose number orders its tasks"                                               json:"source,omitzero"              pattern:"^[a-z0-9-]{1,32}$"`
	Number int64    `doc:"Number of the task in its source: the highest wins"                                 json:"number,omitzero"              maximum:"9007199254740991"  minimum:"0"`
}

type taskInput struct {
	Once
	Sent
}

type taskOutput struct {
	Status   int
	Replayed string `doc:"The answer is that of an earlier request with the same Idempotency-Key" enum:"true" header:"Idempotency-Replayed"`
	Body     wire.Stored
}

func (a *API) registerTasks() {
	op := huma.Operation{
		OperationID: "enqueue-task", Method: http.MethodPost, Path: "/v1/tasks", Tags: []string{"Tasks"}, DefaultStatus: http.StatusCreated,
		Summary:     "Enqueue one change",
		Description: "For one change at a time. Use a run for a file, or for anything that a person should see before it is sent. With an Idempotency-Key and no key of its own, the task has a key that is derived from it: it is stored once, even if a worker dies.",
	}
	register(a, op, []access.Scope{access.Enqueue}, a.enqueueTask)
	doc := a.huma.OpenAPI()
	describeBody(doc.Paths["/v1/tasks"].Post, true, map[string]*huma.Schema{typeJSON: schemaOf[Row](doc)})
	addResponse(doc.Paths["/v1/tasks"].Post, http.StatusOK, "An earlier request stored the task, or a later change of its source", schemaOf[wire.Stored](doc))
}

func (a *API) enqueueTask(ctx context.Context, c caller, in *taskInput) (*taskOutput, error) {
	text, err := in.small()
	if err != nil {
		return nil, err
	}
	out, replayed, err := carryOut(ctx, a.once, c, in.Key, digest("enqueue-task", text), func() (*taskOutput, error) {
		return a.enqueue(ctx, c, in.Key, text)
	})
	if err == nil && replayed {
		out.Replayed = "true"
	}
	return out, err
}

// enqueue stores a task. key is the Idempotency-Key.
func (a *API) enqueue(ctx context.Context, c caller, key string, text []byte) (*taskOutput, error) {
	row, err := readTask(text, a.now())
	if err != nil {
		return nil, err
	}
	if tenant, foreign := foreignTenant(c, row); foreign {
		return nil, problem.New(problem.Tenant, "the token may not use the tenant; nothing was stored").
			Add(problem.Detail{Column: "tenant", Detail: "the token may not use tenant " + tenant})
	}
	if refusal := row.Refusal(tasks.Limits{}); refusal != nil {
		return nil, refusal
	}
	options := row.Request.Options
	if options.Key == "" && key != "" {
		options.Key = "api:" + digest("key", c.Token, []byte(key))
	}
	result, err := a.shared.Enqueue(ctx, row.Request.Task, options)
	if err != nil {
		return nil, c.discreet(err)
	}
	out := &taskOutput{Status: http.StatusOK, Body: wire.Stored{
		Outcome: result.Outcome.String(), TaskID: result.TaskID, Queue: result.Queue, Revision: result.Revision, Warning: result.Warning,
	}}
	if result.Outcome == tasks.Stored {
		out.Status = http.StatusCreated
	}
	return out, nil
}

// readTask reads the body of one task.
func readTask(text []byte, now time.Time) (roster.Row, error) {
	record, err := table.Object(text)
	if err != nil {
		return roster.Row{}, problem.New(problem.InvalidFile, err.Error()+"; nothing was stored")
	}
	p := problem.New(problem.InvalidRows, "the task has unknown fields; nothing was stored")
	for _, name := range record.Names {
		if _, ok := roster.Column(name); !ok {
			p = p.Add(problem.Detail{Column: name, Detail: "is not a field of a task: remove it"})
		}
	}
	if len(p.Errors) > 0 {
		return roster.Row{}, p
	}
	row, err := roster.One(record, roster.Options{Now: now})
	if err != nil {
		return roster.Row{}, problem.New(problem.InvalidRows, flags.Replace(err.Error())+"; nothing was stored")
	}
	return row, nil
}
