// Package source reads a roster from where it lives: files, an HTTPS server, or a
// OneRoster bundle. A reading states whether it is complete: only then does the absence
// of a person mean that they left.
//
// Memory does not grow with the number of rows: 16 bytes for a person and 8 for an
// enrolment of a OneRoster bundle, nothing for a row of other sources but the content of
// a server that is kept for its ETag, up to 4 MiB. What is downloaded or unpacked is kept
// in a temporary file until the reading ends.
//
// Version is a hash of the content and no ETag: servers give new ETags to content that did
// not change.
//
// It must not know kinds of task, Redis or runs: it returns columns and values.
package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"
)

// Record is one row of a reading. Its fields have the order of [Reading.Columns], except
// in an NDJSON file, where each record has columns of its own.
type Record struct {
	At     string // where it is, for messages: "line 7", "page 3 row 2"
	Fields []string
}

// Reading is the result of one reading.
type Reading struct {
	Columns  []string  // as the source names them
	Complete bool      // every record of the source was read; only then absence means something
	Why      string    // why the reading is not complete; empty if it is
	Version  string    // identifies the content; equal to the last one: the same content again
	Modified time.Time // of the content, as the source says; zero: unknown
}

// Source reads. Read calls each once for each record, in the order of the source; an
// error of each ends the reading and is returned as it is. Records share the columns,
// which must not be changed. After an error of Read nothing of this reading may be used.
// An error that a person must act on is an [*Error]; without one, ctx was cancelled.
type Source interface {
	Read(ctx context.Context, each func(columns []string, r Record) error) (Reading, error)
}

// Cause is why nothing can be read.
type Cause string

// The causes.
const (
	Down      Cause = "down"      // cannot be reached
	Slow      Cause = "slow"      // not within its time limit
	Refused   Cause = "refused"   // no permission, bad credentials
	Malformed Cause = "malformed" // cannot be understood
	Missing   Cause = "missing"   // does not exist
	NotReady  Cause = "not_ready" // still being written, or older than it may be
	Empty     Cause = "empty"     // no record
	TooLarge  Cause = "too_large" // over its limit
)

// Error is a failed reading that a person must act on.
type Error struct {
	Cause Cause
	Err   error
}

// Error returns the text of Err.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an Error with a text.
func Errorf(cause Cause, format string, values ...any) *Error {
	return &Error{cause, fmt.Errorf(format, values...)}
}

// interrupted returns the error of an ended context: slow if its time is over.
func interrupted(ctx context.Context) error {
	switch err := ctx.Err(); {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return Errorf(Slow, "the reading did not end within its time limit: check the source, or allow more time")
	default:
		return err
	}
}

// ofFiles returns the error of a file operation on path.
func ofFiles(path string, err error) error {
	if fault, ok := errors.AsType[*fs.PathError](err); ok {
		err = fault.Err // the path is named once
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Errorf(Missing, "%s does not exist: check the path and the export that writes it", path)
	case errors.Is(err, fs.ErrPermission):
		return Errorf(Refused, "no permission to read %s: let the user of the worker read it", path)
	}
	cause := Malformed // of its kind
	if _, ok := errors.AsType[syscall.Errno](err); ok {
		cause = Down
	}
	return Errorf(cause, "cannot read %s: %w", path, err)
}

// relay gives records to a function, and keeps its error apart from those of the source.
type relay struct {
	each func(columns []string, r Record) error
	err  error
}

func (r *relay) give(columns []string, record Record) error {
	r.err = r.each(columns, record)
	return r.err
}

// explain says what an error is about.
func (r *relay) explain(what string, err error) error {
	if r.err != nil {
		return r.err
	}
	if fault, ok := errors.AsType[*Error](err); ok {
		return Errorf(fault.Cause, "%s: %w", what, fault.Err)
	}
	return err
}

// tooOld refuses content that was modified longer ago than it may be: the export that
// should have replaced it did not run.
func tooOld(modified time.Time, most time.Duration) error {
	switch {
	case most == 0:
		return nil
	case modified.IsZero():
		return Errorf(NotReady, "the source does not say when it was last modified, so max_age cannot be checked: remove max_age")
	case time.Since(modified) > most:
		return Errorf(NotReady, "the newest content is from %s, more than %s ago: check the export that writes it",
			modified.Format("2006-01-02 15:04 -07:00"), most)
	}
	return nil
}
