// Package problem is why the HTTP API did not carry out a request: problem details as in RFC
// 9457. The API and the guard before it write them, and the client of the commands reads
// them.
//
// It must not know what the API does.
package problem

import (
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	// Media is the media type of problem details.
	Media = "application/problem+json"
	// Path is where the API has a page about each type.
	Path = "/v1/problems/"
	// mostErrors bounds the errors of a problem.
	mostErrors = 1000
)

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

// New returns a problem of a type. It panics if no type has the name.
func New(name, detail string) *Problem {
	k, ok := Named(name)
	if !ok {
		panic("problem: no type of problem is called " + name)
	}
	return &Problem{Type: Path + name, Title: k.Title, Status: k.Status, Detail: detail, headers: http.Header{}}
}

// After sets when the request may be sent again.
func (p *Problem) After(wait time.Duration) *Problem {
	return p.With("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
}

// With sets a header of the response.
func (p *Problem) With(header, value string) *Problem {
	p.headers.Set(header, value)
	return p
}

// Add adds something that is wrong, if the problem has not too many already.
func (p *Problem) Add(d Detail) *Problem {
	if len(p.Errors) < mostErrors {
		p.Errors = append(p.Errors, d)
	}
	return p
}

// Write writes the response to a request whose body is not read.
func (p *Problem) Write(w http.ResponseWriter) {
	maps.Copy(w.Header(), p.headers)
	w.Header().Set("Content-Type", Media)
	w.Header().Set("Connection", "close")
	w.WriteHeader(p.Status)
	_ = json.MarshalWrite(w, p) // the client may have disconnected
}

// Error implements error.
func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header { return p.headers }

// ContentType implements huma.ContentTypeFilter.
func (*Problem) ContentType(string) string { return Media }
