package remote

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"rollcall/internal/problem"
)

// foreign is no type of the API: the answer is that of another program.
const foreign = "foreign"

// Error is a problem that the API has answered with.
type Error struct {
	Name   string // of the type of the problem, such as "plan-changed"
	Status int
	Detail string
	Errors []problem.Detail

	from  string // host
	token string // what messages call the token
	pause time.Duration
}

func (e *Error) Error() string {
	switch e.Name {
	case problem.Unauthorized:
		return fmt.Sprintf("the worker at %s does not accept the token of %s: %s", e.from, e.token, e.Detail)
	case problem.Forbidden:
		return fmt.Sprintf("%s; the token of %s does not have it", e.Detail, e.token)
	case foreign:
		return fmt.Sprintf("no API of rollcall at %s: status %d: %s; check the URL, and that http of the worker's configuration is on", e.from, e.Status, e.Detail)
	}
	var b strings.Builder
	b.WriteString(e.Detail)
	for i, f := range e.Errors {
		if i == mostFaults {
			fmt.Fprintf(&b, "; and %d more", len(e.Errors)-i)
			break
		}
		b.WriteString("; " + describe(f))
	}
	return b.String()
}

// mostFaults bounds the faults of a message.
const mostFaults = 5

func describe(f problem.Detail) string {
	text := f.Detail
	if f.Location != "" {
		text = f.Location + ": " + text
	}
	if f.Column != "" {
		text = "column " + f.Column + ": " + text
	}
	if f.Line > 0 {
		text = fmt.Sprintf("line %d: %s", f.Line, text)
	}
	return text
}

// Refused reports whether the problem is about what was asked for: repeating it does not help.
func (e *Error) Refused() bool {
	return slices.Contains([]string{
		problem.Invalid, problem.InvalidRows, problem.InvalidFile, problem.Unserved, problem.Tenant, problem.OtherApprover,
		problem.NotFound, problem.State, problem.PlanChanged, problem.MissingRows, problem.KeyReused, problem.TooLarge,
	}, e.Name)
}

// UnreachableError reports that the worker did not answer.
type UnreachableError struct {
	Host string
	Err  error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("cannot reach the worker at %s: %s; safe to retry", e.Host, reasonOf(e.Err))
}

// Unwrap returns the error as net/http gave it.
func (e *UnreachableError) Unwrap() error { return e.Err }

func reasonOf(err error) string {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return "no answer in time"
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.Error() // names the host, and its cause does not
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		err = op.Err
		if inner, ok := errors.AsType[*os.SyscallError](err); ok {
			err = inner.Err
		}
	}
	return err.Error()
}

// Passing reports whether an error is about the worker or its Redis, and may pass.
func Passing(err error) bool {
	if _, unreachable := errors.AsType[*UnreachableError](err); unreachable {
		return true
	}
	_, passes := again(err)
	return passes
}

// again reports whether a request may be sent again, and after how long.
func again(err error) (time.Duration, bool) {
	if of, ok := errors.AsType[*UnreachableError](err); ok {
		// A certificate or a name that is wrong stays so.
		var dns *net.DNSError
		return 0, (!errors.As(of.Err, &dns) || dns.IsTemporary || dns.IsTimeout) && !strings.Contains(of.Err.Error(), "tls: ") && !strings.Contains(of.Err.Error(), "x509: ")
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return 0, false
	}
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		return e.pause, e.Name != problem.Damaged
	case http.StatusConflict:
		return e.pause, e.pause > 0
	}
	return 0, false
}

// problemOf returns the error of an answer.
func (c *Client) problemOf(a answered) error {
	e := &Error{Name: foreign, Status: a.status, from: c.base.Host, token: c.config.TokenFrom, Detail: http.StatusText(a.status)}
	if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err == nil && seconds > 0 {
		e.pause = time.Duration(seconds) * time.Second
	}
	kind, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	var p problem.Problem
	if kind != problem.Media || json.Unmarshal(a.body, &p) != nil || p.Type == "" {
		return e
	}
	e.Name, e.Detail, e.Errors = path.Base(p.Type), p.Detail, p.Errors
	return e
}

// named reports whether an error is a problem of a type.
func named(err error, name string) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Name == name
}
