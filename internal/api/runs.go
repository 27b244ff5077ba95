package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/internal/access"
	"rollcall/internal/problem"
	"rollcall/internal/run"
	"rollcall/internal/wire"
)

// DraftQuery describes a new run.
type DraftQuery struct {
	Name          string   `doc:"Label for lists"                                                     pattern:"^[A-Za-z0-9._-]{1,64}$"                                                                                   query:"name"`
	Allow         []string `doc:"Guards that do not hold the run. Needs the scope approve."           enum:"allow-changes,allow-suspicious,allow-lost-chinese,allow-equal-names,allow-over-quota,prune,allow-id-changes" nullable:"false"      query:"allow"`
	Canary        int      `default:"20"                                                              doc:"Rows that must end well before the rest is sent; 0: none"                                                     maximum:"1000000"     minimum:"0"     query:"canary"`
	CanaryChats   bool     `doc:"The first row of each chat is the canary, instead of the first rows" query:"canary_chats"`
	MaxFailed     float64  `default:"0.2"                                                             doc:"Share of failed rows above which the run pauses; 1: never"                                                    maximum:"1"           minimum:"0.001" query:"max_failed"`
	TrustPrevious bool     `doc:"A row is unchanged if its column previous says so"                   query:"trust_previous"`
	OtherApprover bool     `doc:"The approval of a held run needs another token"                      query:"other_approver"`
	File          string   `doc:"Name of the file that the rows are of, without directories"          maxLength:"200"                                                                                                    query:"file"`
	FileEncoding  string   `doc:"Encoding of the text of that file, such as GB18030"                  maxLength:"40"                                                                                                     query:"file_encoding"`
	ValidSeconds  int      `default:"259200"                                                          doc:"How long a plan can be applied"                                                                               maximum:"2592000"     minimum:"60"    query:"valid_seconds"`
}

// The defaults of DraftQuery, which are those of a run.
const (
	defaultMaxFailed    = 0.2
	defaultValidSeconds = 259_200
)

func (q DraftQuery) draft(c caller) run.Draft {
	s := run.Settings{
		Allowed: q.Allow, Canary: q.Canary, MaxFailed: q.MaxFailed, TrustPrevious: q.TrustPrevious,
		OtherApprover: q.OtherApprover, ValidSeconds: q.ValidSeconds,
	}
	if q.Canary == 0 {
		s.Canary = -1 // 0 is the default of a run
	}
	// The defaults stay those of a run, and are not settings of this one.
	if s.MaxFailed == defaultMaxFailed {
		s.MaxFailed = 0
	}
	if s.ValidSeconds == defaultValidSeconds {
		s.ValidSeconds = 0
	}
	if s.CanaryChats = q.CanaryChats; s.CanaryChats {
		s.Canary = 0
	}
	return run.Draft{Name: q.Name, Author: c.by(), File: run.File{Name: q.File, Encoding: q.FileEncoding}, Settings: s}
}

// RunPath names a run.
type RunPath struct {
	ID string `doc:"Id of the run" maxLength:"64" path:"id"`
}

type createInput struct {
	Once
	DraftQuery
	RowsQuery
	Sent
}

type runOutput struct {
	Status   int
	Location string `doc:"Path of the run"                                                        header:"Location"`
	Replayed string `doc:"The answer is that of an earlier request with the same Idempotency-Key" enum:"true"       header:"Idempotency-Replayed"`
	Body     wire.Run
}

type rowsInput struct {
	RunPath
	RowsQuery
	Sent

	From int `doc:"Number of rows before the first of this body. Rows that are in already are skipped, so a part can be repeated." maximum:"1000000" minimum:"0" query:"from" required:"true"`
	// Annotated rows are those of a program that has read and checked a file itself.
	Annotated bool `doc:"Rows of NDJSON may have line, the line of the row in its file, and problems, why it must not be carried out, one on each line of the text" query:"annotated"`
}

type rowsOutput struct{ Body wire.Added }

type sealInput struct {
	RunPath

	Body wire.Seal
}

func (a *API) registerRuns() {
	doc := a.huma.OpenAPI()
	op := func(id, method, path, summary, description string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: path, Summary: summary, Description: description, Tags: []string{"Runs"}}
	}
	create := op("create-run", http.MethodPost, "/v1/runs", "Make a run",
		"With rows in the body, the run is sealed and planned: read its plan next. Without a body it is empty: add rows, then seal it.")
	create.DefaultStatus = http.StatusCreated
	register(a, create, []access.Scope{access.Enqueue}, a.createRun)
	describeRows(doc.Paths["/v1/runs"].Post, false)

	register(a, op("add-rows", http.MethodPost, "/v1/runs/{id}/rows", "Add rows to a run",
		"A body is a part of the rows. After any failure, send the part again with the same from, or read rows of the run and continue there."),
		[]access.Scope{access.Enqueue}, a.addRows)
	describeRows(doc.Paths["/v1/runs/{id}/rows"].Post, true)

	register(a, op("seal-run", http.MethodPost, "/v1/runs/{id}/seal", "End the upload",
		"The number of rows must match. The run is planned next. It may be repeated."), []access.Scope{access.Enqueue}, a.sealRun)
	register(a, op("list-runs", http.MethodGet, "/v1/runs", "List runs", "A token without the scope read sees the runs that it made."),
		[]access.Scope{access.Read, access.Enqueue}, a.listRuns)
	register(a, op("get-run", http.MethodGet, "/v1/runs/{id}", "Read a run",
		"With while, it waits for a change of state: send it again until the run has ended, or needs a person."),
		[]access.Scope{access.Read, access.Enqueue}, a.getRun)
}

func (a *API) createRun(ctx context.Context, c caller, in *createInput) (out *runOutput, err error) {
	if len(in.Allow) > 0 && !c.May(access.Approve) {
		return nil, forbidden([]access.Scope{access.Approve})
	}
	body, err := a.spool(ctx, &in.Sent)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.close() }()
	sum := digest("create-run", []byte(in.r.URL.RawQuery), body.digest())
	out, replayed, err := carryOut(ctx, a.once, c, in.Key, sum, func() (*runOutput, error) { return a.create(ctx, c, in, body, sum) })
	if err == nil && replayed {
		out.Replayed = "true"
	}
	return out, err
}

// create makes the run of a request with a digest.
func (a *API) create(ctx context.Context, c caller, in *createInput, body *spooled, sum string) (*runOutput, error) {
	var r *rows
	if body.input != nil {
		var err error
		if r, err = a.open(c, body, in.RowsQuery, false); err != nil {
			return nil, err
		}
		if _, err = r.check(ctx); err != nil {
			return nil, err
		}
	}
	id, err := a.once.runID(ctx, c, in.Key, sum)
	if err != nil {
		return nil, err
	}
	draft := in.draft(c)
	draft.ID = id
	made, err := a.runs.Create(ctx, draft)
	if err != nil {
		return nil, err
	}
	repeated := made.Rows > 0 || made.State != run.StateUploading
	if r != nil && !made.Sealed { // a run whose upload fails expires by itself
		n, err := a.add(ctx, r, made.ID, 0, true)
		if err != nil {
			return nil, err
		}
		if made, err = a.runs.Seal(ctx, made.ID, n); err != nil {
			return nil, err
		}
	}
	out := a.made(made)
	if repeated {
		out.Replayed = "true"
	}
	if r != nil {
		out.Body.Ignored = r.file.Ignored()
	}
	return out, nil
}

// made is the answer to a request that made a run. One that is sealed is planned next.
func (a *API) made(r run.Run) *runOutput {
	if r.Sealed && r.State == run.StateUploading {
		a.planner.Start(r.ID)
	}
	return &runOutput{Status: http.StatusCreated, Location: Path + "runs/" + r.ID, Body: wire.RunOf(r)}
}

// visible returns a run that the caller may see and, without scopes, has made.
func (a *API) visible(ctx context.Context, c caller, id string, scopes ...access.Scope) (run.Run, error) {
	r, err := a.runs.Get(ctx, id)
	if err != nil {
		return r, err
	}
	switch {
	case !c.maySee(r), !c.owns(r) && !c.mayOne(append(scopes, access.Read)):
		return run.Run{}, &run.NotFoundError{ID: id}
	case !c.owns(r) && !c.mayOne(scopes):
		return run.Run{}, forbidden(scopes)
	}
	return r, nil
}

func (a *API) addRows(ctx context.Context, c caller, in *rowsInput) (*rowsOutput, error) {
	if _, err := a.visible(ctx, c, in.ID, access.Operate); err != nil {
		return nil, err
	}
	body, err := a.spool(ctx, &in.Sent)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.close() }()
	if body.input == nil {
		return nil, problem.New(problem.InvalidFile, "the body is empty: send at least one row")
	}
	r, err := a.open(c, body, in.RowsQuery, in.Annotated)
	if err != nil {
		return nil, err
	}
	n, err := r.check(ctx)
	if err != nil {
		return nil, err
	}
	if in.From+n > run.MaxRows {
		return nil, problem.New(problem.TooLarge, fmt.Sprintf("a run has at most %d rows: make several", run.MaxRows))
	}
	added, err := a.add(ctx, r, in.ID, in.From, false)
	if err != nil {
		return nil, err
	}
	return &rowsOutput{Body: wire.Added{RowsIn: added, Read: n, Ignored: r.file.Ignored()}}, nil
}

func (a *API) sealRun(ctx context.Context, c caller, in *sealInput) (*runOutput, error) {
	if _, err := a.visible(ctx, c, in.ID, access.Operate); err != nil {
		return nil, err
	}
	sealed, err := a.runs.Seal(ctx, in.ID, in.Body.Rows)
	if err != nil {
		return nil, err
	}
	if sealed.Plan == nil && sealed.State == run.StateUploading {
		a.planner.Start(sealed.ID)
	}
	return &runOutput{Status: http.StatusOK, Location: Path + "runs/" + in.ID, Body: wire.RunOf(sealed)}, nil
}
