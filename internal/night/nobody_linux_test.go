package night_test

import (
	"context"
	"os"
	"runtime"
	"syscall"
	"testing"

	"rollcall/internal/source"
)

// asNobody reads a source without the rights of root.
type asNobody struct {
	t *testing.T
	source.Source
}

func (s asNobody) Read(ctx context.Context, each func(columns []string, r source.Record) error) (reading source.Reading, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The thread ends with the goroutine: only its files are those of another user.
		runtime.LockOSThread()
		if os.Geteuid() == 0 {
			if _, _, code := syscall.RawSyscall(syscall.SYS_SETFSUID, 65534, 0, 0); code != 0 {
				s.t.Errorf("setfsuid: %v", code)
				return
			}
		}
		reading, err = s.Source.Read(ctx, each)
	}()
	<-done
	return reading, err
}
