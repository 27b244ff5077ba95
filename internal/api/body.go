package api

import (
	"bufio"
	"bytes"
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

	"rollcall/internal/problem"
	"rollcall/internal/table"
)

const typeJSON = "application/json"

// rowTypes are the types that a body of rows may have.
func rowTypes() []string {
	return []string{table.NDJSON.Media(), table.CSV.Media(), table.XLSX.Media()}
}

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
	return problem.New(problem.Unsupported, fmt.Sprintf("Content-Type %.80q is not one of %v", given, types))
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

// whole is a middleware that reads the body of an operation before huma does, which answers
// one that was cut with 500.
func whole(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody)) // huma refuses one of this length
	if err != nil {
		p := explainBody(err)
		if p == nil || errors.Is(err, io.ErrUnexpectedEOF) { // the connection has ended
			p = problem.New(problem.Invalid, "the body was cut: send it again; nothing was changed")
			p.Status = http.StatusBadRequest
		}
		p.Write(w)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	next(ctx)
}

// spooled is a body of rows in a temporary file.
type spooled struct {
	input   *table.Input // nil: the body is empty
	sum     hash.Hash
	release func() // lets another upload in
}

func (s *spooled) close() error {
	s.release()
	if s.input == nil {
		return nil
	}
	return s.input.Close()
}

func (s *spooled) digest() string { return hex.EncodeToString(s.sum.Sum(nil)) }

// spool reads a body of rows into a temporary file: rows are checked before the first is
// stored. It is one of a few at a time until it is closed, which bounds the files, and the
// memory of workbooks.
func (a *API) spool(ctx context.Context, s *Sent) (*spooled, error) {
	in := &spooled{sum: sha256.New(), release: func() {}}
	if s.r.ContentLength == 0 {
		return in, nil
	}
	select {
	case a.uploads <- struct{}{}:
		in.release = func() { <-a.uploads }
	default:
		return nil, problem.New(problem.TooMany, fmt.Sprintf("the worker stores %d uploads, the most that it may", cap(a.uploads))).After(time.Second)
	}
	if err := a.fill(ctx, s, in); err != nil {
		_ = in.close() // it has no file
		return nil, err
	}
	return in, nil
}

func (a *API) fill(ctx context.Context, s *Sent, in *spooled) error {
	body := http.MaxBytesReader(s.w, s.r.Body, a.limits.Rows)
	buffered := bufio.NewReaderSize(io.TeeReader(body, in.sum), 64<<10)
	if _, err := buffered.Peek(1); errors.Is(err, io.EOF) {
		return nil
	}
	if err := s.check(rowTypes()...); err != nil {
		return err
	}
	input, err := table.Spool(buffered)
	if err == nil {
		in.input = input
		return nil
	}
	if p := explainBody(err); p != nil {
		return p
	}
	if ctx.Err() != nil {
		return err
	}
	if is[*fs.PathError](err) {
		a.log.Error("body of a request not kept in a temporary file", "err", err)
		return problem.New(problem.Unavailable, "the worker cannot keep the body in a temporary file, see its log; no row was stored").After(repairWithin)
	}
	return unreadable(err)
}
