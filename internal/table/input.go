package table

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Input is the content of a file, which can be read several times.
type Input struct {
	file    *os.File
	size    int64
	changed time.Time
	spool   string // path of a temporary file; empty for a file of the user
}

// OpenFile opens a regular file of at most [MaxSize] bytes. Its error does not
// repeat the path.
func OpenFile(path string) (*Input, error) {
	in, err := openFile(path)
	if fault, ok := errors.AsType[*os.PathError](err); ok {
		err = fault.Err
	}
	return in, err
}

func openFile(path string) (*Input, error) {
	// Opening a named pipe blocks until somebody writes to it.
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if err := regular(info); err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil {
		err = regular(info)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Input{file: file, size: info.Size(), changed: info.ModTime()}, nil
}

func regular(info os.FileInfo) error {
	switch {
	case info.IsDir():
		return errors.New("this is a directory, not a file")
	case !info.Mode().IsRegular():
		return errors.New("this is a pipe or a device, not a regular file: write its content to a file, or pass it as the standard input with -")
	case info.Size() > MaxSize:
		return ErrTooLarge
	}
	return nil
}

// ErrTooLarge is the error of a file of more than [MaxSize] bytes.
var ErrTooLarge = fmt.Errorf("the file has more than %d MiB: split it", MaxSize>>20)

// Spool copies a stream into a temporary file, which Close removes: a file is
// read several times before its first row is used.
func Spool(r io.Reader) (*Input, error) {
	file, err := os.CreateTemp("", "rollcall-*.spool")
	if err != nil {
		return nil, fmt.Errorf("cannot keep the input in a temporary file: %w", err)
	}
	in := &Input{file: file, spool: file.Name()}
	if err := in.fill(r); err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return in, nil
}

func (in *Input) fill(r io.Reader) error {
	head := make([]byte, sniffed)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	// An endless device must not fill the disk.
	if _, refusal := recognise(head[:n]); refusal != nil && !errors.Is(refusal, errWide) {
		return refusal
	}
	if _, err := in.file.Write(head[:n]); err != nil {
		return fmt.Errorf("cannot keep the input in a temporary file: %w", err)
	}
	more, err := io.Copy(in.file, io.LimitReader(r, MaxSize+1-int64(n)))
	if err != nil {
		return fmt.Errorf("cannot keep the input in a temporary file: %w", err)
	}
	if in.size = int64(n) + more; in.size > MaxSize {
		return ErrTooLarge
	}
	info, err := in.file.Stat()
	if err != nil {
		return err
	}
	in.changed = info.ModTime()
	return nil
}

// Close closes the file, and removes it if it is a temporary one.
func (in *Input) Close() error {
	err := in.file.Close()
	if in.spool != "" {
		err = errors.Join(err, os.Remove(in.spool))
	}
	return err
}

// Reader returns a reader from the beginning of the file.
func (in *Input) Reader() io.Reader { return io.NewSectionReader(in.file, 0, in.size) }

func (in *Input) head() ([]byte, error) {
	head := make([]byte, min(in.size, sniffed))
	_, err := io.ReadFull(in.Reader(), head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, ErrChanged
	}
	return head, err
}

// ErrChanged is the error of a file that somebody wrote to while it was read.
var ErrChanged = errors.New("the file changed while it was read: write the new file under another name, then rename it")

// unchanged reports an error if the file was written to since it was opened. A
// file that was replaced by renaming is still read as it was.
func (in *Input) unchanged() error {
	info, err := in.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() != in.size || !info.ModTime().Equal(in.changed) {
		return ErrChanged
	}
	return nil
}
