package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/access"
	"rollcall/internal/backlog"
	"rollcall/internal/deadletter"
	"rollcall/internal/ledger"
	"rollcall/internal/pace"
	"rollcall/internal/problem"
	"rollcall/internal/redisdb"
	"rollcall/internal/run"
	"rollcall/tasks"
)

func forbidden(scopes []access.Scope) *problem.Problem {
	return problem.New(problem.Forbidden, "the token needs the scope "+strings.Join(words(scopes), " or "))
}

// explainError turns the errors of huma, which have no type, into problems.
func explainError(_ huma.Context, _ string, v any) (any, error) {
	e, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	name := map[int]string{
		http.StatusRequestEntityTooLarge: problem.TooLarge, http.StatusRequestTimeout: problem.TooSlow,
		http.StatusUnsupportedMediaType: problem.Unsupported, http.StatusNotAcceptable: problem.NotAcceptable,
		http.StatusInternalServerError: problem.Internal,
	}[e.Status]
	if name == "" {
		name = problem.Invalid
	}
	p := problem.New(name, "the request is not as the document of the API describes it")
	p.Status = e.Status // it may have been sent
	for _, d := range e.Errors {
		p.Errors = append(p.Errors, problem.Detail{Location: d.Location, Detail: d.Message})
	}
	if len(e.Errors) == 0 && name != problem.Internal {
		p.Detail = e.Detail
	}
	return p, nil
}

// explain turns an error of a service into a problem.
func (a *API) explain(ctx context.Context, operation string, err error) error {
	if p, ok := errors.AsType[*problem.Problem](err); ok {
		return p
	}
	if p := explainRun(err); p != nil {
		return p
	}
	if p := explainTask(err); p != nil {
		return p
	}
	if is[*deadletter.MissingError](err) {
		return problem.New(problem.NotFound, "no dead letter has this id, or the token may not see it")
	}
	if ctx.Err() != nil { // no client reads this
		return problem.New(problem.Unavailable, "the request was ended; safe to retry").After(0)
	}
	if fault, passing := redisdb.FaultOf(err); passing {
		a.log.Warn("request of the API not served", "operation", operation, "fault", string(fault), "err", err)
		return problem.New(problem.Unavailable, redisdb.Explain(err)+"; safe to retry with the same Idempotency-Key").After(0)
	}
	if isDamage(err) { // its text may name a person
		a.log.Error("request of the API met a damaged record", "operation", operation, "err", err)
		return problem.New(problem.Damaged, "a record in Redis is damaged: an operator finds it with rollcall repair, or in the log of the worker").After(repairWithin)
	}
	a.log.Error("request of the API failed", "operation", operation, "err", err)
	return problem.New(problem.Internal, "see the log of the worker")
}

// repairWithin is when a request that met a damaged record may be sent again: a person
// repairs it.
const repairWithin = time.Minute

// isDamage reports whether an error is about what Redis holds, or refuses for good.
func isDamage(err error) bool {
	return is[*ledger.DamagedError](err) || is[*ledger.FutureError](err) || is[*ledger.TooOldError](err) || is[*backlog.DamagedError](err) ||
		is[*backlog.DamagedTaskError](err) || is[*pace.DamagedError](err) || is[redis.Error](err)
}

// is reports whether an error is, or wraps, one of a type.
func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// explainRun returns the problem of an error of package run; nil: it is none.
func explainRun(err error) *problem.Problem {
	missing := func(in *int) *problem.Problem {
		p := problem.New(problem.MissingRows, err.Error())
		p.RowsIn = in
		return p
	}
	if e, ok := errors.AsType[*run.GapError](err); ok {
		return missing(&e.In)
	}
	if e, ok := errors.AsType[*run.CountError](err); ok {
		return missing(&e.In)
	}
	switch {
	case is[*run.NotFoundError](err):
		return problem.New(problem.NotFound, "no such run, or the token may not see it; runs are kept for 90 days")
	case is[*run.AmbiguousError](err):
		return problem.New(problem.Invalid, err.Error()).Add(problem.Detail{Location: "query.word", Detail: "give more of the id"})
	case is[*run.StateError](err):
		return problem.New(problem.State, err.Error())
	case is[*run.DigestError](err):
		return problem.New(problem.PlanChanged, err.Error())
	case is[*run.BusyError](err):
		return problem.New(problem.Busy, err.Error()).After(0)
	case is[*run.ApproverError](err):
		return problem.New(problem.OtherApprover, err.Error())
	}
	return nil
}

// explainTask returns the problem of a task that was not stored; nil: it is none.
func explainTask(err error) *problem.Problem {
	if e, ok := errors.AsType[*tasks.ValidationError](err); ok {
		p := problem.New(problem.InvalidRows, "the task is invalid: correct it; nothing was stored")
		for _, wrong := range e.Problems {
			p.Errors = append(p.Errors, problem.Detail{Column: wrong.Field, Detail: wrong.What})
		}
		return p
	}
	if e, ok := errors.AsType[*tasks.StoreError](err); ok {
		return explainStore(e)
	}
	switch {
	case is[*tasks.UnservedError](err):
		return problem.New(problem.Unserved, err.Error())
	case is[*tasks.KeyReusedError](err):
		return problem.New(problem.KeyReused, err.Error())
	case is[*tasks.KeyError](err):
		return problem.New(problem.InvalidRows, err.Error())
	}
	return nil
}

func explainStore(e *tasks.StoreError) *problem.Problem {
	if e.Outcome == tasks.NotKnown {
		return problem.New(problem.OutcomeUnknown, fmt.Sprintf("task %s for %s may or may not be stored: send it again with the same key or Idempotency-Key", e.TaskID, e.Queue)).After(0)
	}
	if _, passing := redisdb.FaultOf(e.Err); !passing && isDamage(e.Err) {
		return nil
	}
	return problem.New(problem.Unavailable, "cannot reach Redis; nothing was stored, safe to retry").After(0)
}

// explainBody returns the problem of an error of reading a body; nil: it is none.
func explainBody(err error) *problem.Problem {
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return problem.New(problem.TooLarge, fmt.Sprintf("the body has more than %d bytes: send the rows in several parts", large.Limit))
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return problem.New(problem.InvalidFile, "the body was cut: send it again; no row was stored")
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return problem.New(problem.TooSlow, "the body came too slowly: send the rows in smaller parts")
	}
	return nil
}

// serveProblem serves the page of a type of problem.
func serveProblem(w http.ResponseWriter, r *http.Request) {
	k, ok := problem.Named(r.PathValue("name"))
	if !ok {
		problem.New(problem.NotFound, "no type of problem has this name").Write(w)
		return
	}
	w.Header().Set("Content-Type", "text/markdown; charset=utf-8")
	_, _ = fmt.Fprintf(w, "# %s\n\nType `%s%s`, status %d.\n\n%s\n\n**To do:** %s\n", k.Title, problem.Path, k.Name, k.Status, k.Cause, k.Todo)
}
