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
	"rollcall/internal/redisdb"
	"rollcall/internal/run"
	"rollcall/tasks"
)

// problemType is the media type of problem details (RFC 9457).
const problemType = "application/problem+json"

// Problem is why a request was not carried out: problem details as in RFC 9457.
type Problem struct { //nolint:errname // the name in the document
	Type   string `doc:"Identifies the type of the problem, and is the path of a page about it" example:"/v1/problems/plan-changed" format:"uri-reference" json:"type"`
	Title  string `doc:"The type in a few words"                                                json:"title"`
	Status int    `doc:"HTTP status"                                                            json:"status"`
	Detail string `doc:"What failed, on what, why, and what to do"                              json:"detail"`
	// Errors are all rows or fields that are wrong, the first 1,000.
	Errors []Detail `doc:"Everything that is wrong, up to 1,000 entries" json:"errors,omitempty" nullable:"false"`
	// InvalidRows counts the invalid rows, also those that are not listed.
	InvalidRows int `doc:"Number of invalid rows, also of those that are not listed" json:"invalid_rows,omitzero"`
	// RowsIn is how many rows the run has.
	RowsIn *int `doc:"Number of rows that the run has: continue from there" json:"rows_in,omitzero"`

	headers http.Header
}

// Detail is one thing that is wrong in a request. It never holds the value: that may be a
// name.
type Detail struct {
	Line     int    `doc:"Line of the body, from 1; rows of a sheet likewise"   json:"line,omitzero"`
	Column   string `doc:"Column, as the body names it; missing: the whole row" json:"column,omitzero"`
	Location string `doc:"Parameter or field"                                   example:"query.limit"  json:"location,omitzero"`
	Detail   string `doc:"What is wrong, and what to do"                        json:"detail"`
}

// Error implements error.
func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header { return p.headers }

// ContentType implements huma.ContentTypeFilter.
func (*Problem) ContentType(string) string { return problemType }

func newProblem(name, detail string) *Problem {
	k := kindOf(name)
	return &Problem{Type: problemPath + name, Title: k.Title, Status: k.Status, Detail: detail, headers: http.Header{}}
}

func forbidden(scopes []access.Scope) *Problem {
	names := make([]string, len(scopes))
	for i, s := range scopes {
		names[i] = string(s)
	}
	return newProblem(problemForbidden, "the token needs the scope "+strings.Join(names, " or "))
}

// explainError turns the errors of huma, which have no type, into problems.
func explainError(_ huma.Context, _ string, v any) (any, error) {
	e, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	name := map[int]string{
		http.StatusRequestEntityTooLarge: problemTooLarge, http.StatusRequestTimeout: problemTooSlow,
		http.StatusUnsupportedMediaType: problemUnsupported, http.StatusNotAcceptable: problemNotAcceptable,
		http.StatusInternalServerError: problemInternal,
	}[e.Status]
	if name == "" {
		name = problemInvalid
	}
	p := newProblem(name, "the request is not as the document of the API describes it")
	p.Status = e.Status // it may have been sent
	for _, d := range e.Errors {
		p.Errors = append(p.Errors, Detail{Location: d.Location, Detail: d.Message})
	}
	if len(e.Errors) == 0 && name != problemInternal {
		p.Detail = e.Detail
	}
	return p, nil
}

// explain turns an error of a service into a problem.
func (a *API) explain(ctx context.Context, operation string, err error) error {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if p := explainRun(err); p != nil {
		return p
	}
	if p := explainTask(err); p != nil {
		return p
	}
	if _, ok := errors.AsType[*deadletter.MissingError](err); ok {
		return newProblem(problemNotFound, "no dead letter has this id, or the token may not see it")
	}
	if ctx.Err() != nil { // no client reads this
		return newProblem(problemUnavailable, "the request was ended; safe to retry").after(0)
	}
	if fault, passing := redisdb.FaultOf(err); passing {
		a.log.Warn("request of the API not served", "operation", operation, "fault", string(fault), "err", err)
		return newProblem(problemUnavailable, redisdb.Explain(err)+"; safe to retry with the same Idempotency-Key").after(0)
	}
	if isDamage(err) { // its text may name a person
		a.log.Error("request of the API met a damaged record", "operation", operation, "err", err)
		return newProblem(problemDamaged, "a record in Redis is damaged: an operator finds it with rollcall repair, or in the log of the worker").after(repairWithin)
	}
	a.log.Error("request of the API failed", "operation", operation, "err", err)
	return newProblem(problemInternal, "see the log of the worker")
}

// repairWithin is when a request that met a damaged record may be sent again: a person
// repairs it.
const repairWithin = time.Minute

// isDamage reports whether an error is about what Redis holds, or refuses for good.
func isDamage(err error) bool {
	_, record := errors.AsType[*ledger.DamagedError](err)
	_, revision := errors.AsType[*ledger.FutureError](err)
	_, schema := errors.AsType[*ledger.TooOldError](err)
	_, queue := errors.AsType[*backlog.DamagedError](err)
	_, task := errors.AsType[*backlog.DamagedTaskError](err)
	_, months := errors.AsType[*pace.DamagedError](err)
	_, reply := errors.AsType[redis.Error](err)
	return record || revision || schema || queue || task || months || reply
}

// explainRun returns the problem of an error of package run; nil: it is none.
func explainRun(err error) *Problem {
	if _, ok := errors.AsType[*run.NotFoundError](err); ok {
		return newProblem(problemNotFound, "no such run, or the token may not see it; runs are kept for 90 days")
	}
	if _, ok := errors.AsType[*run.AmbiguousError](err); ok {
		p := newProblem(problemInvalid, err.Error())
		p.add(Detail{Location: "query.word", Detail: "give more of the id"})
		return p
	}
	if _, ok := errors.AsType[*run.StateError](err); ok {
		return newProblem(problemState, err.Error())
	}
	if _, ok := errors.AsType[*run.DigestError](err); ok {
		return newProblem(problemPlanChanged, err.Error())
	}
	if e, ok := errors.AsType[*run.GapError](err); ok {
		p := newProblem(problemMissingRows, err.Error())
		p.RowsIn = &e.In
		return p
	}
	if e, ok := errors.AsType[*run.CountError](err); ok {
		p := newProblem(problemMissingRows, err.Error())
		p.RowsIn = &e.In
		return p
	}
	if _, ok := errors.AsType[*run.BusyError](err); ok {
		return newProblem(problemBusy, err.Error()).after(0)
	}
	if _, ok := errors.AsType[*run.ApproverError](err); ok {
		return newProblem(problemOtherApprover, err.Error())
	}
	return nil
}

// explainTask returns the problem of a task that was not stored; nil: it is none.
func explainTask(err error) *Problem {
	if e, ok := errors.AsType[*tasks.ValidationError](err); ok {
		p := newProblem(problemInvalidRows, "the task is invalid: correct it; nothing was stored")
		for _, problem := range e.Problems {
			p.Errors = append(p.Errors, Detail{Column: problem.Field, Detail: problem.What})
		}
		return p
	}
	if e, ok := errors.AsType[*tasks.StoreError](err); ok {
		if e.Outcome == tasks.NotKnown {
			return newProblem(problemOutcomeUnknown, fmt.Sprintf("task %s for %s may or may not be stored: send it again with the same key or Idempotency-Key", e.TaskID, e.Queue)).after(0)
		}
		if _, passing := redisdb.FaultOf(e.Err); !passing && isDamage(e.Err) {
			return nil
		}
		return newProblem(problemUnavailable, "cannot reach Redis; nothing was stored, safe to retry").after(0)
	}
	if _, ok := errors.AsType[*tasks.UnservedError](err); ok {
		return newProblem(problemUnserved, err.Error())
	}
	if _, ok := errors.AsType[*tasks.KeyReusedError](err); ok {
		return newProblem(problemKeyReused, err.Error())
	}
	if _, ok := errors.AsType[*tasks.KeyError](err); ok {
		return newProblem(problemInvalidRows, err.Error())
	}
	return nil
}

// explainBody returns the problem of an error of reading a body; nil: it is none.
func explainBody(err error) *Problem {
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return newProblem(problemTooLarge, fmt.Sprintf("the body has more than %d bytes: send the rows in several parts", large.Limit))
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return newProblem(problemInvalidFile, "the body was cut: send it again; no row was stored")
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return newProblem(problemTooSlow, "the body came too slowly: send the rows in smaller parts")
	}
	return nil
}
