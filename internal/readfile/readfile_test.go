//go:build unix

package readfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rollcall/internal/readfile"
)

func TestOnlyARegularFileWithinTheBoundIsRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, fifo, link := filepath.Join(dir, "file"), filepath.Join(dir, "fifo"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(file, []byte(strings.Repeat("x", 1024)), 0o600), syscall.Mkfifo(fifo, 0o600), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	// A program that opens it reads something, and does not wait for a writer.
	writer, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if _, err := writer.WriteString(strings.Repeat("x", 2048)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link} {
		if content, err := readfile.Whole(path, 1024); err != nil || len(content) != 1024 {
			t.Errorf("Whole(%s) = %d bytes, %v; want 1024", path, len(content), err)
		}
	}
	if _, err := readfile.Whole(file, 1023); !isTooLong(err) || !strings.Contains(err.Error(), file) {
		t.Errorf("a file that is one byte too long: %v", err)
	}
	for _, path := range []string{fifo, dir, "/dev/zero"} {
		if _, err := readfile.Whole(path, 1024); !errors.Is(err, readfile.ErrNotRegular) {
			t.Errorf("Whole(%s) = %v, want that it is not a regular file", path, err)
		}
	}
	if _, err := readfile.Whole(filepath.Join(dir, "none"), 1024); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that does not exist: %v", err)
	}
}

func isTooLong(err error) bool {
	_, ok := errors.AsType[*readfile.TooLongError](err)
	return ok
}
