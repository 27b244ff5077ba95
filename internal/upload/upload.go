package upload

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"

	"rollcall/internal/intake"
	"rollcall/internal/roster"
	"rollcall/internal/run"
)

// Runs are where a file becomes a run.
type Runs interface {
	intake.Runs
	Create(ctx context.Context, draft run.Draft) (run.Run, error)
	Seal(ctx context.Context, id string, rows int) (run.Run, error)
}

// Continuing are Runs that continue an upload that was cut.
type Continuing interface {
	// Continue returns the run of an upload of the content, with the rows that are in, or
	// a new one.
	Continue(ctx context.Context, draft run.Draft, content string) (run.Run, error)
}

// begin returns the run that the file becomes.
func (f *File) begin(ctx context.Context, runs Runs, draft run.Draft) (run.Run, error) {
	c, ok := runs.(Continuing)
	if !ok {
		return runs.Create(ctx, draft)
	}
	content, err := f.content()
	if err != nil {
		return run.Run{}, err
	}
	return c.Continue(ctx, draft, content)
}

// content identifies the rows of the file, as its flags say that they are read.
func (f *File) content() (string, error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, f.input.Reader()); err != nil {
		return "", fmt.Errorf("read %s: %w", f.Name, err)
	}
	_, _ = fmt.Fprintf(sum, "\x00%q %q %+v %v %+v", f.flags.kind, f.flags.maps, f.flags.table, f.flags.roster, f.defaults)
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// after are the rows of the file without the first n.
func (f *File) after(n int) iter.Seq2[roster.Row, error] {
	return func(yield func(roster.Row, error) bool) {
		left := n
		for row, err := range f.Rows() {
			if left--; left >= 0 && err == nil {
				continue
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// Upload makes a run of the rows of a checked file, and seals it. Invalid rows are
// impossible rows of the run. progress is called with the number of rows that are in; nil:
// it is not. A run whose upload failed expires by itself.
func (f *File) Upload(ctx context.Context, runs Runs, draft run.Draft, judge intake.Judge, progress func(in int)) (run.Run, error) {
	if f.path != "-" {
		draft.File = run.File{Name: filepath.Base(f.path), Encoding: f.table.Encoding}
	}
	made, err := f.begin(ctx, runs, draft)
	if err != nil {
		return made, err
	}
	in, err := intake.Add(ctx, runs, made.ID, made.Rows, f.after(made.Rows), judge, progress)
	if _, unreadable := errors.AsType[*intake.UnreadableError](err); unreadable {
		return made, f.flags.refuse(f.Name, err)
	}
	if err != nil {
		return made, fmt.Errorf("upload %s: %w", f.Name, err)
	}
	return runs.Seal(ctx, made.ID, in)
}
