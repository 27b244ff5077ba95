package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/internal/access"
	"rollcall/internal/roster"
	"rollcall/internal/table"
	"rollcall/tasks"
)

// Row is a task as a client sends it: the columns of a file as JSON. It documents the
// body; package roster reads it.
type Row struct {
	Kind   tasks.Kind `json:"kind,omitzero" enum:"nickname,course,group,id,student" doc:"Kind of the task; missing: as the other fields say"`
	Tenant string     `json:"tenant" maxLength:"39" example:"lakeside-dt" doc:"Tenant, by its name in the worker's configuration"`
	Key    string     `json:"key,omitzero" maxLength:"200" doc:"Name of the task, of your own: a task with the same key is stored once in 24 hours"`
	Urgent bool       `json:"urgent,omitzero" doc:"Before all tasks that are not urgent"`
	At     string     `json:"at,omitzero" example:"2027-03-01T08:00:00+08:00" doc:"Time before which it is not sent: RFC 3339, or a delay such as +10m"`
	Source string     `json:"source,omitzero" pattern:"^[a-z0-9-]{1,32}$" doc:"System whose number orders its tasks"`
	Number int64      `json:"number,omitzero" minimum:"0" maximum:"9007199254740991" doc:"Number of the task in its source: the highest wins"`

	ChatID   string `json:"chat_id,omitzero" doc:"nickname, group: the chat"`
	UserID   string `json:"user_id,omitzero" doc:"nickname, id: the employee"`
	Nickname string `json:"nickname,omitzero" doc:"nickname: the new nickname"`

	CourseID    string   `json:"course_id,omitzero" doc:"course: the course"`
	StudentUIDs []string `json:"student_uids,omitempty" nullable:"false" doc:"course: UIDs of its students, so that each can be renamed alone"`

	StudentUID  string `json:"student_uid,omitzero" doc:"student: the UID"`
	StudentName string `json:"student_name,omitzero" doc:"student: the new name"`

	DingTalkID   string   `json:"dingtalk_id,omitzero" doc:"id: the new ID, which cannot be changed again for a year"`
	Alternatives []string `json:"alternatives,omitempty" nullable:"false" doc:"id: IDs to try if it is taken"`
	Previous     string   `json:"previous,omitzero" doc:"nickname, id, student: the value now, if you know it"`

	Name       string   `json:"name,omitzero" doc:"group: the new name"`
	Owner      string   `json:"owner,omitzero" doc:"group: the new owner"`
	OwnerType  string   `json:"owner_type,omitzero" enum:"emp,ext" doc:"group: an employee or an external contact"`
	Icon       string   `json:"icon,omitzero" doc:"group: the media id of the picture"`
	AddUserIDs []string `json:"add_user_ids,omitempty" nullable:"false" doc:"group: employees to add"`
	DelUserIDs []string `json:"del_user_ids,omitempty" nullable:"false" doc:"group: employees to remove"`
	AddExtIDs  []string `json:"add_ext_ids,omitempty" nullable:"false" doc:"group: external contacts to add"`
	DelExtIDs  []string `json:"del_ext_ids,omitempty" nullable:"false" doc:"group: external contacts to remove"`

	MentionAll     int `json:"mention_all_authority,omitzero" enum:"0,1" doc:"group: 1: only the owner mentions all"`
	ShowHistory    int `json:"show_history_type,omitzero" enum:"0,1" doc:"group: 1: new members see the history"`
	Validation     int `json:"validation_type,omitzero" enum:"0,1" doc:"group: 1: joining needs an approval"`
	Searchable     int `json:"searchable,omitzero" enum:"0,1" doc:"group: 1: it can be found"`
	ChatBanned     int `json:"chat_banned_type,omitzero" enum:"0,1" doc:"group: 1: only the owner writes"`
	ManagementType int `json:"management_type,omitzero" enum:"0,1" doc:"group: 1: only the owner manages it"`
}

// Stored is the answer to one task.
type Stored struct {
	Outcome  string `json:"outcome" enum:"stored,already_there,outdated" doc:"stored: it is in the queue. already_there: an earlier request with the same key stored it. outdated: the source has sent a higher number, and nothing is left to do."`
	TaskID   string `json:"task_id,omitzero" doc:"Id of the task in asynq"`
	Queue    string `json:"queue,omitzero"`
	Revision int64  `json:"revision,omitzero" doc:"Orders the changes of a target: the highest wins. Missing if an earlier request stored the task."`
	Warning  string `json:"warning,omitzero" doc:"What was lost, which costs at most one call"`
}

type taskInput struct {
	Once
	Sent
}

type taskOutput struct {
	Status   int
	Replayed string `header:"Idempotency-Replayed" enum:"true" doc:"The answer is that of an earlier request with the same Idempotency-Key"`
	Body     Stored
}

func (a *API) registerTasks() {
	op := huma.Operation{
		OperationID: "enqueue-task", Method: http.MethodPost, Path: "/v1/tasks", Tags: []string{"Tasks"}, DefaultStatus: http.StatusCreated,
		Summary:     "Enqueue one change",
		Description: "For one change at a time. Use a run for a file, or for anything that a person should see before it is sent. With an Idempotency-Key and no key of its own, the task has a key that is derived from it: it is stored once, even if a worker dies.",
	}
	register(a, op, []access.Scope{scopeEnqueue}, a.enqueueTask)
	doc := a.huma.OpenAPI()
	describeBody(doc.Paths["/v1/tasks"].Post, true, map[string]*huma.Schema{typeJSON: schemaOf[Row](doc)})
	addResponse(doc.Paths["/v1/tasks"].Post, http.StatusOK, "An earlier request stored the task, or a later change of its source", schemaOf[Stored](doc))
}

func (a *API) enqueueTask(ctx context.Context, c caller, in *taskInput) (*taskOutput, error) {
	text, err := in.small(a.limits)
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
		p := newProblem(problemTenant, "the token may not use the tenant; nothing was stored")
		p.add(Detail{Column: "tenant", Detail: "the token may not use tenant " + tenant})
		return nil, p
	}
	if refusal := row.Refusal(tasks.Limits{}); refusal != nil {
		return nil, refusal
	}
	options := row.Request.Options
	if options.Key == "" && key != "" {
		options.Key = "api:" + digest("key", c.Token, key)
	}
	result, err := a.producer.Enqueue(ctx, row.Request.Task, options)
	if err != nil {
		return nil, c.discreet(err)
	}
	out := &taskOutput{Status: http.StatusOK, Body: Stored{
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
		return roster.Row{}, newProblem(problemInvalidFile, err.Error()+"; nothing was stored")
	}
	p := newProblem(problemInvalidRows, "the task has unknown fields; nothing was stored")
	for _, name := range record.Names {
		if _, ok := roster.Column(name); !ok {
			p.add(Detail{Column: name, Detail: "is not a field of a task: remove it"})
		}
	}
	if len(p.Errors) > 0 {
		return roster.Row{}, p
	}
	row, err := roster.One(record, roster.Options{Now: now})
	if err != nil {
		return roster.Row{}, newProblem(problemInvalidRows, flags.Replace(err.Error())+"; nothing was stored")
	}
	return row, nil
}
