package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"rollcall/internal/access"
	"rollcall/internal/problem"
	"rollcall/internal/run"
	"rollcall/internal/wire"
)

type listInput struct {
	Name   string    `doc:"Only runs with this label"                                                                                                       maxLength:"64"                                                                       query:"name"`
	Tenant string    `doc:"Only runs with rows of this tenant; runs that are not planned have none"                                                         maxLength:"39"                                                                       query:"tenant"`
	State  []string  `doc:"Only runs in these states, separated by commas"                                                                                  enum:"uploading,planned,held,canary,applying,paused,done,cancelled,rejected,expired" nullable:"false" query:"state"`
	Before time.Time `doc:"Only runs that were created before: next of the last page"                                                                       query:"before"`
	Word   string    `doc:"Only the run that this word names: its id, the first six characters of it or more, or its label, of which the newest run counts" maxLength:"80"                                                                       query:"word"`
	Limit  int       `default:"20"                                                                                                                          doc:"Runs of a page"                                                                 maximum:"200"    minimum:"1"   query:"limit"`
}

type listOutput struct{ Body wire.RunPage }

type getInput struct {
	RunPath

	While run.State `doc:"Wait as long as the run is in this state" enum:"uploading,planned,held,canary,applying,paused"   query:"while"`
	Wait  int       `default:"30"                                   doc:"Seconds after which the answer comes in any case" maximum:"50"  minimum:"0" query:"wait"`
}

// listed bounds how many runs a page reads: those of others are skipped.
const listed = 2000

func (a *API) listRuns(ctx context.Context, c caller, in *listInput) (*listOutput, error) {
	if in.Word != "" {
		return a.findRun(ctx, c, in.Word)
	}
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
			if out.Body.Runs = append(out.Body.Runs, wire.RunOf(r)); len(out.Body.Runs) == in.Limit {
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

// findRun returns the run that a word names, as a list.
func (a *API) findRun(ctx context.Context, c caller, word string) (*listOutput, error) {
	out := &listOutput{}
	id, err := a.runs.Find(ctx, word)
	var r run.Run
	if err == nil {
		r, err = a.visible(ctx, c, id, access.Read)
	}
	if is[*run.NotFoundError](err) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	out.Body.Runs = []wire.Run{wire.RunOf(r)}
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
	return &runOutput{Status: http.StatusOK, Location: Path + "runs/" + in.ID, Body: wire.RunOf(r)}, nil
}

// await waits as long as a run is in a state, at most for some time.
func (a *API) await(ctx context.Context, r run.Run, while run.State, most time.Duration) (run.Run, error) {
	select {
	case a.waiting <- struct{}{}:
		defer func() { <-a.waiting }()
	default:
		return r, problem.New(problem.TooMany, fmt.Sprintf("%d requests wait already, the most that may", cap(a.waiting))).After(time.Second)
	}
	bounded, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	changed, err := a.runs.WaitWhile(bounded, r.ID, while)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return a.runs.Get(ctx, r.ID)
	}
	return changed, err
}
