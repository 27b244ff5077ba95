package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/internal/access"
	"rollcall/internal/run"
)

// DraftQuery describes a new run.
type DraftQuery struct {
	Name          string   `doc:"Label for lists"                                           pattern:"^[A-Za-z0-9._-]{1,64}$"                                                                                   query:"name"`
	Allow         []string `doc:"Guards that do not hold the run. Needs the scope approve." enum:"allow-changes,allow-suspicious,allow-lost-chinese,allow-equal-names,allow-over-quota,prune,allow-id-changes" nullable:"false"  query:"allow"`
	Canary        int      `default:"20"                                                    doc:"Rows that must end well before the rest is sent; 0: none"                                                     maximum:"1000000" minimum:"0"     query:"canary"`
	MaxFailed     float64  `default:"0.2"                                                   doc:"Share of failed rows above which the run pauses; 1: never"                                                    maximum:"1"       minimum:"0.001" query:"max_failed"`
	TrustPrevious bool     `doc:"A row is unchanged if its column previous says so"         query:"trust_previous"`
	OtherApprover bool     `doc:"The approval of a held run needs another token"            query:"other_approver"`
	ValidSeconds  int      `default:"259200"                                                doc:"How long a plan can be applied"                                                                               maximum:"2592000" minimum:"60"    query:"valid_seconds"`
}

func (q DraftQuery) draft(c caller) run.Draft {
	s := run.Settings{
		Allowed: q.Allow, Canary: q.Canary, MaxFailed: q.MaxFailed, TrustPrevious: q.TrustPrevious,
		OtherApprover: q.OtherApprover, ValidSeconds: q.ValidSeconds,
	}
	if q.Canary == 0 {
		s.Canary = -1 // 0 is the default of a run
	}
	return run.Draft{Name: q.Name, Author: c.by(), Settings: s}
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
	Body     Run
}

type rowsInput struct {
	RunPath
	RowsQuery
	Sent

	From int `doc:"Number of rows before the first of this body. Rows that are in already are skipped, so a part can be repeated." maximum:"1000000" minimum:"0" query:"from" required:"true"`
}

// Added is how many rows a run has.
type Added struct {
	RowsIn int `doc:"Rows that the run has: the next part begins there" json:"rows_in"`
	Read   int `doc:"Rows of this body"                                 json:"read"`
	// Ignored are columns that are not known.
	Ignored []string `doc:"Columns of the body that are not known" json:"ignored_columns,omitempty" nullable:"false"`
}

type rowsOutput struct{ Body Added }

type sealInput struct {
	RunPath

	Body Seal
}

// Seal is the body of the request that ends an upload.
type Seal struct {
	Rows int `doc:"Number of rows that the run must have" json:"rows" maximum:"1000000" minimum:"0"`
}

type listInput struct {
	Name   string    `doc:"Only runs with this label"                                               maxLength:"64"                                                                       query:"name"`
	Tenant string    `doc:"Only runs with rows of this tenant; runs that are not planned have none" maxLength:"39"                                                                       query:"tenant"`
	State  []string  `doc:"Only runs in these states, separated by commas"                          enum:"uploading,planned,held,canary,applying,paused,done,cancelled,rejected,expired" nullable:"false" query:"state"`
	Before time.Time `doc:"Only runs that were created before: next of the last page"               query:"before"`
	Limit  int       `default:"20"                                                                  doc:"Runs of a page"                                                                 maximum:"200"    minimum:"1"   query:"limit"`
}

// RunPage is a page of runs, newest first.
type RunPage struct {
	Runs []Run     `json:"runs"                                                        nullable:"false"`
	Next time.Time `doc:"Value of before for the next page; missing: this is the last" json:"next,omitzero"`
}

type listOutput struct{ Body RunPage }

type getInput struct {
	RunPath

	While run.State `doc:"Wait as long as the run is in this state" enum:"uploading,planned,held,canary,applying,paused"   query:"while"`
	Wait  int       `default:"30"                                   doc:"Seconds after which the answer comes in any case" maximum:"50"  minimum:"0" query:"wait"`
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
	sum := digest("create-run", in.r.URL.RawQuery, body.digest())
	out, replayed, err := carryOut(ctx, a.once, c, in.Key, sum, func() (*runOutput, error) { return a.create(ctx, c, in, body) })
	if err == nil && replayed {
		out.Replayed = "true"
	}
	return out, err
}

func (a *API) create(ctx context.Context, c caller, in *createInput, body *spooled) (*runOutput, error) {
	var r *rows
	if body.input != nil {
		var err error
		if r, err = a.open(body, in.RowsQuery); err != nil {
			return nil, err
		}
		if _, err = r.check(ctx, c); err != nil {
			return nil, err
		}
	}
	made, err := a.runs.Create(ctx, in.draft(c))
	if err != nil {
		return nil, err
	}
	if r != nil { // a run whose upload fails expires by itself
		n, err := a.add(ctx, c, r, made.ID, 0, true)
		if err != nil {
			return nil, err
		}
		if made, err = a.runs.Seal(ctx, made.ID, n); err != nil {
			return nil, err
		}
		a.planner.start(made.ID)
	}
	out := &runOutput{Status: http.StatusCreated, Location: Path + "runs/" + made.ID, Body: runView(made)}
	if r != nil {
		out.Body.Ignored = r.file.Ignored()
	}
	return out, nil
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
		return nil, newProblem(problemInvalidFile, "the body is empty: send at least one row")
	}
	r, err := a.open(body, in.RowsQuery)
	if err != nil {
		return nil, err
	}
	n, err := r.check(ctx, c)
	if err != nil {
		return nil, err
	}
	if in.From+n > run.MaxRows {
		return nil, newProblem(problemTooLarge, fmt.Sprintf("a run has at most %d rows: make several", run.MaxRows))
	}
	added, err := a.add(ctx, c, r, in.ID, in.From, false)
	if err != nil {
		return nil, err
	}
	return &rowsOutput{Body: Added{RowsIn: added, Read: n, Ignored: r.file.Ignored()}}, nil
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
		a.planner.start(sealed.ID)
	}
	return &runOutput{Status: http.StatusOK, Location: Path + "runs/" + in.ID, Body: runView(sealed)}, nil
}

// listed bounds how many runs a page reads: those of others are skipped.
const listed = 2000

func (a *API) listRuns(ctx context.Context, c caller, in *listInput) (*listOutput, error) {
	f := run.Filter{Name: in.Name, Tenant: in.Tenant, Before: in.Before, N: in.Limit}
	for _, s := range in.State {
		f.States = append(f.States, run.State(s))
	}
	out := &listOutput{}
	for read := 0; read < listed; {
		page, err := a.runs.List(ctx, f)
		if err != nil {
			return nil, err
		}
		for _, r := range page {
			if read, f.Before = read+1, r.Created; !c.maySee(r) || !c.owns(r) && !c.May(access.Read) {
				continue
			}
			if out.Body.Runs = append(out.Body.Runs, runView(r)); len(out.Body.Runs) == in.Limit {
				out.Body.Next = f.Before.UTC()
				return out, nil
			}
		}
		if len(page) < f.N {
			return out, nil
		}
	}
	out.Body.Next = f.Before.UTC()
	return out, nil
}

func (a *API) getRun(ctx context.Context, c caller, in *getInput) (*runOutput, error) {
	r, err := a.visible(ctx, c, in.ID, access.Read)
	if err != nil {
		return nil, err
	}
	if in.While != "" && r.State == in.While && in.Wait > 0 {
		if r, err = a.await(ctx, r, in.While, time.Duration(in.Wait)*time.Second); err != nil {
			return nil, err
		}
	}
	return &runOutput{Status: http.StatusOK, Location: Path + "runs/" + in.ID, Body: runView(r)}, nil
}

// await waits as long as a run is in a state, at most for some time.
func (a *API) await(ctx context.Context, r run.Run, while run.State, most time.Duration) (run.Run, error) {
	select {
	case a.waiting <- struct{}{}:
		defer func() { <-a.waiting }()
	default:
		return r, newProblem(problemTooMany, fmt.Sprintf("%d requests wait already, the most that may", cap(a.waiting))).after(time.Second)
	}
	bounded, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	changed, err := a.runs.WaitWhile(bounded, r.ID, while)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return a.runs.Get(ctx, r.ID)
	}
	return changed, err
}
