package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"rollcall/internal/table"
)

// FilesSpec configures [Files].
type FilesSpec struct {
	Place

	Form
}

// Form is how a file is understood.
type Form struct {
	// Columns must be in the file. A damaged cell makes its row unusable only if its
	// column is listed. Empty: every cell counts.
	Columns []string
	// Encoding is one of [table.Encodings]; empty: detected.
	Encoding string
	// Sheet is a sheet of an XLSX file; empty: the first visible one.
	Sheet string
}

// Validate returns what is wrong, each beginning with the key of the configuration.
func (s FilesSpec) Validate() error { return errors.Join(s.Place.validate(), s.Form.validate()) }

func (f Form) validate() error {
	err := validColumns(f.Columns)
	if f.Encoding != "" && !slices.Contains(table.Encodings(), f.Encoding) {
		err = errors.Join(err, fmt.Errorf("encoding: %q is not supported: use %s", f.Encoding, strings.Join(table.Encodings(), ", ")))
	}
	return err
}

func validColumns(columns []string) error {
	for i, column := range columns {
		switch {
		case column == "" || column != strings.TrimSpace(column):
			return fmt.Errorf("columns: %q is empty or has spaces around it", column)
		case slices.Contains(columns[:i], column):
			return fmt.Errorf("columns: %q occurs twice", column)
		}
	}
	return nil
}

// Files reads the newest of the files that a path or a pattern means: CSV, XLSX or NDJSON.
// Version is the SHA-256 of the content.
type Files struct{ spec FilesSpec }

// NewFiles returns a source of files.
func NewFiles(spec FilesSpec) (*Files, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	return &Files{spec}, nil
}

// Read implements [Source]. A row that cannot be used is left out, and the reading is not
// complete. A CSV file whose last line has no line end was cut, unless a done-marker says
// that it is finished.
func (f *Files) Read(ctx context.Context, each func(columns []string, r Record) error) (Reading, error) {
	at, err := f.spec.find(ctx, false)
	if err != nil {
		return Reading{}, err
	}
	if at.directory {
		return Reading{}, Errorf(Malformed, "%s is a directory: name a file, or a pattern such as %s/*.csv", at.path, at.path)
	}
	in, err := table.OpenFile(at.path)
	if err != nil {
		return Reading{}, ofFiles(at.path, err)
	}
	defer in.Close() //nolint:errcheck // it was only read
	to := relay{each: each}
	reading, err := f.spec.read(ctx, in, f.spec.Done == "", to.give)
	if err != nil {
		return Reading{}, to.explain(at.path, err)
	}
	if err := f.spec.unchanged(at); err != nil {
		return Reading{}, err
	}
	reading.Modified = at.modified
	return reading, nil
}

// read reads a table whole.
func (f Form) read(ctx context.Context, in *table.Input, strict bool, each func(columns []string, r Record) error) (Reading, error) {
	version := newVersion()
	if err := sum(ctx, version, in.Reader()); err != nil {
		return Reading{}, ofTable(err)
	}
	t, err := table.Open(in, table.Options{Encoding: f.Encoding, Sheet: f.Sheet})
	if err != nil {
		return Reading{}, ofTable(err)
	}
	r := rows{needed: f.Columns, strict: strict, each: each}
	if err := r.run(ctx, t); err != nil {
		return Reading{}, err
	}
	if r.read == 0 {
		return Reading{}, Errorf(Empty, "there is no row below the names of the columns: check the export")
	}
	return Reading{Columns: r.names(), Complete: r.skipped == 0, Why: r.why(), Version: versionOf(version)}, nil
}
