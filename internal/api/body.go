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
	"io/fs"
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

// small reads a body of JSON.
func (s *Sent) small() ([]byte, error) {
	if err := s.check(typeJSON); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(s.w, s.r.Body, maxBody))
	if p := explainBody(err); p != nil {
		return nil, p
	}
	return body, err
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
	body := http.MaxBytesReader(s.w, s.r.Body, a.limits.Rows)
	buffered := bufio.NewReaderSize(io.TeeReader(body, in.sum), 64<<10)
	if _, err := buffered.Peek(1); errors.Is(err, io.EOF) {
		return in, nil
	}
	if err := s.check(rowTypes()...); err != nil {
		return nil, err
	}
	input, err := table.Spool(buffered)
	if err != nil {
		if p := explainBody(err); p != nil {
			return nil, p
		}
		if ctx.Err() != nil {
			return nil, err
		}
		if _, disk := errors.AsType[*fs.PathError](err); disk {
			a.log.Error("body of a request not kept in a temporary file", "err", err)
			return nil, newProblem(problemUnavailable, "the worker cannot keep the body in a temporary file, see its log; no row was stored").after(repairWithin)
		}
		return nil, unreadable(err)
	}
	in.input = input
	return in, nil
}
