// Package readfile reads a file whole that must be a regular one and not longer
// than a bound: a FIFO or a device would block the reader or never end.
//
// It must not know what the file holds.
package readfile

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// ErrNotRegular is the cause where the path leads to a directory, a FIFO, a
// socket or a device. A symbolic link is followed.
var ErrNotRegular = errors.New("it is not a regular file")

// TooLongError is the cause where the file is longer than Max bytes.
type TooLongError struct{ Max int64 }

// Error names the bound.
func (e *TooLongError) Error() string {
	return fmt.Sprintf("it is longer than %d KiB", e.Max>>10)
}

// Whole returns the content of the file at path, of no more bytes than most. Every
// error is an *os.PathError.
func Whole(path string, most int64) ([]byte, error) {
	refuse := func(err error) ([]byte, error) {
		return nil, &os.PathError{Op: "read", Path: path, Err: err}
	}
	info, err := os.Stat(path) // before it is opened: opening a FIFO blocks
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return refuse(ErrNotRegular)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read from
	// The files of /proc and /sys have the size 0.
	content, err := io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(content)) > most:
		return refuse(&TooLongError{Max: most})
	}
	return content, nil
}
