package api

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"rollcall/internal/table"
)

// The media types of rows and results.
const (
	typeJSON   = "application/json"
	typeNDJSON = "application/x-ndjson"
	typeCSV    = "text/csv"
	typeXLSX   = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
)

// rowTypes are the types that a body of rows may have.
func rowTypes() []string { return []string{typeNDJSON, typeCSV, typeXLSX} }

// Sent is the body of a request that an operation reads itself: huma would hold it in
// memory.
type Sent struct {
	w http.ResponseWriter
	r *http.Request
}

// Resolve implements huma.Resolver.
func (s *Sent) Resolve(ctx huma.Context) []error {
	s.r, s.w = humago.Unwrap(ctx)
	return nil
}

// check refuses a body whose type is none of some.
func (s *Sent) check(types ...string) error {
	given := s.r.Header.Get("Content-Type")
	kind, _, err := mime.ParseMediaType(given)
	if err == nil && slices.Contains(types, kind) {
		return nil
	}
	return newProblem(problemUnsupported, fmt.Sprintf("Content-Type %.80q is not one of %v", given, types))
}

// paced reads a body, and fails once the client was too slow.
type paced struct {
	from    io.Reader
	control *http.ResponseController
	limits  Limits
	begun   time.Time
	n       int64
	ended   bool
}

func (p *paced) Read(b []byte) (int, error) {
	by := p.begun.Add(p.limits.Stall + time.Duration(p.n/p.limits.Slowest)*time.Second)
	if stalled := time.Now().Add(p.limits.Stall); stalled.Before(by) {
		by = stalled
	}
	if err := p.control.SetReadDeadline(by); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	n, err := p.from.Read(b)
	p.n += int64(n)
	p.ended = errors.Is(err, io.EOF)
	return n, err
}

// patient removes the deadline of the response, which may come long after the request. It
// is small: a client that does not take it holds nothing up.
func (s *Sent) patient() {
	_ = http.NewResponseController(s.w).SetWriteDeadline(time.Time{}) // not supported: then there is none
}

// open returns a reader of the body up to a size. end ends the deadline of a body that was
// read. Otherwise it stays: net/http reads the rest before it answers.
func (s *Sent) open(limits Limits, most int64) (body io.Reader, end func()) {
	s.patient()
	p := &paced{
		from: http.MaxBytesReader(s.w, s.r.Body, most), control: http.NewResponseController(s.w), limits: limits, begun: time.Now(),
	}
	return p, func() {
		if p.ended {
			_ = p.control.SetReadDeadline(time.Time{})
		}
	}
}

// small reads a body of JSON.
func (s *Sent) small(limits Limits) ([]byte, error) {
	if err := s.check(typeJSON); err != nil {
		return nil, err
	}
	body, end := s.open(limits, maxBody)
	defer end()
	return io.ReadAll(body)
}

// spooled is a body of rows in a temporary file.
type spooled struct {
	input *table.Input // nil: the body is empty
	sum   hash.Hash
}

func (s *spooled) close() error {
	if s.input == nil {
		return nil
	}
	return s.input.Close()
}

func (s *spooled) digest() string { return hex.EncodeToString(s.sum.Sum(nil)) }

// spool reads a body of rows into a temporary file: rows are checked before the first is
// stored. It is one of a few at a time.
func (a *API) spool(ctx context.Context, s *Sent) (*spooled, error) {
	in := &spooled{sum: sha256.New()}
	if s.r.ContentLength == 0 {
		return in, nil
	}
	select {
	case a.uploads <- struct{}{}:
		defer func() { <-a.uploads }()
	default:
		return nil, newProblem(problemTooMany, fmt.Sprintf("the worker reads %d uploads, the most that it may", cap(a.uploads))).after(time.Second)
	}
	body, end := s.open(a.limits, a.limits.Rows)
	defer end()
	buffered := bufio.NewReaderSize(io.TeeReader(body, in.sum), 64<<10)
	if _, err := buffered.Peek(1); errors.Is(err, io.EOF) {
		return in, nil
	}
	if err := s.check(rowTypes()...); err != nil {
		return nil, err
	}
	input, err := table.Spool(buffered)
	if err != nil {
		if explainBody(err) != nil || ctx.Err() != nil {
			return nil, err
		}
		return nil, unreadable(err)
	}
	in.input = input
	return in, nil
}
