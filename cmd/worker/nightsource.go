package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rollcall/internal/source"
	"rollcall/internal/table"
)

// rosterFiles reads the newest of the files that a pattern matches.
type rosterFiles struct{ pattern string }

// Read implements source.Source.
func (f rosterFiles) Read(ctx context.Context, each func(columns []string, r source.Record) error) (source.Reading, error) {
	path, modified, err := f.newest()
	if err != nil {
		return source.Reading{}, err
	}
	version, err := sumOf(path)
	if err != nil {
		return source.Reading{}, fileError(path, err)
	}
	input, err := table.OpenFile(path)
	if err != nil {
		return source.Reading{}, fileError(path, err)
	}
	defer func() { _ = input.Close() }() // opened for reading only
	content, err := table.Open(input, table.Options{})
	if err != nil {
		return source.Reading{}, &source.Error{Cause: source.Malformed, Err: fmt.Errorf("%s: %w", path, err)}
	}
	reading := source.Reading{Complete: true, Version: version, Modified: modified}
	for record, err := range content.Records() {
		if err != nil {
			return source.Reading{}, &source.Error{Cause: source.Malformed, Err: fmt.Errorf("%s: %w", path, err)}
		}
		if err := ctx.Err(); err != nil {
			return source.Reading{}, err
		}
		if reading.Complete && (record.Cut && len(record.Cells) < len(record.Names) || len(record.Faults) > 0) {
			reading.Complete, reading.Why = false, fmt.Sprintf("line %d cannot be read whole", record.Line)
		}
		if err := each(record.Names, source.Record{At: fmt.Sprintf("line %d", record.Line), Fields: record.Cells}); err != nil {
			return source.Reading{}, err
		}
		reading.Columns = record.Names
	}
	return reading, nil
}

// newest returns the path of the newest match, and when it was modified.
func (f rosterFiles) newest() (path string, modified time.Time, err error) {
	matches, err := filepath.Glob(f.pattern)
	if err != nil {
		return "", time.Time{}, &source.Error{Cause: source.Malformed, Err: err}
	}
	for _, match := range matches {
		info, err := os.Stat(match)
		if err != nil || !info.Mode().IsRegular() || strings.HasPrefix(filepath.Base(match), ".") {
			continue
		}
		if path == "" || info.ModTime().After(modified) {
			path, modified = match, info.ModTime()
		}
	}
	if path == "" {
		return "", time.Time{}, &source.Error{Cause: source.Missing, Err: fmt.Errorf("no file matches %s; check the path, and the program that writes the roster", f.pattern)}
	}
	return path, modified, nil
}

func sumOf(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }() // opened for reading only
	sum := sha256.New()
	if _, err := io.Copy(sum, io.LimitReader(file, table.MaxSize+1)); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func fileError(path string, err error) error {
	cause := source.Malformed
	switch {
	case errors.Is(err, fs.ErrNotExist):
		cause = source.Missing
	case errors.Is(err, fs.ErrPermission):
		cause = source.Refused
	}
	return &source.Error{Cause: cause, Err: fmt.Errorf("%s: %w", path, err)}
}
