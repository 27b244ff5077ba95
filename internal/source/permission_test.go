//go:build linux

package source_test

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"rollcall/internal/source"
)

// asNobody calls f without the rights of root.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The thread ends with the goroutine: only its files are those of another user.
		runtime.LockOSThread()
		if os.Geteuid() == 0 {
			if _, _, code := syscall.RawSyscall(syscall.SYS_SETFSUID, 65534, 0, 0); code != 0 {
				t.Errorf("setfsuid: %v", code)
				return
			}
		}
		f()
	}()
	<-done
}

func TestAFileWithoutPermissionIsRefused(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "permission-*") //nolint:usetesting // others may enter it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file, closed := write(t, dir, "a.csv", people), filepath.Join(dir, "closed")
	inside := filepath.Join(closed, "b.csv")
	for _, err := range []error{os.Mkdir(closed, 0o700), os.WriteFile(inside, []byte(people), 0o600), os.Chmod(file, 0), os.Chmod(closed, 0)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.Chmod(closed, 0o700) })
	asNobody(t, func() {
		fails(t, files(t, at(file)), source.Refused, "no permission to read "+file)
		fails(t, files(t, at(filepath.Join(dir, "*.csv"))), source.Refused, file)
		fails(t, files(t, at(inside)), source.Refused, inside)
		fails(t, files(t, at(filepath.Join(closed, "*.csv"))), source.Refused, closed)
		fails(t, bundles(t, source.OneRosterSpec{Place: source.Place{Path: file}}), source.Refused)
		fails(t, bundles(t, source.OneRosterSpec{Place: source.Place{Path: closed}}), source.Refused)
	})
}
