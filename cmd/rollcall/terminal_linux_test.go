package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"rollcall/internal/commandtest"
	"rollcall/internal/redistest"
)

// screen is a terminal of 24 lines and 80 columns, and the command that runs at it.
type screen struct {
	t     *testing.T
	typed *os.File // what is typed, and what shows
	shown *bufio.Reader
	seen  strings.Builder
	ended chan error
	cmd   *exec.Cmd
}

// atTerminal runs rollcall at a terminal.
func atTerminal(t *testing.T, dir, redisURL string, args ...string) *screen {
	t.Helper()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminal can be opened: %v", err)
	}
	t.Cleanup(func() { _ = control.Close() })
	var number, unlock int32
	size := [4]uint16{24, 80}
	for request, value := range map[uintptr]unsafe.Pointer{
		syscall.TIOCSPTLCK: unsafe.Pointer(&unlock), syscall.TIOCGPTN: unsafe.Pointer(&number), syscall.TIOCSWINSZ: unsafe.Pointer(&size),
	} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, control.Fd(), request, uintptr(value)); errno != 0 {
			t.Skipf("no terminal can be opened: %v", errno)
		}
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminal can be opened: %v", err)
	}
	defer func() { _ = terminal.Close() }() // the command has its own
	path, _, _ := strings.Cut(kit.Path(t), string(os.PathListSeparator))
	cmd := exec.CommandContext(t.Context(), filepath.Join(path, "rollcall"), args...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, terminal, terminal, terminal
	cmd.Env = append(os.Environ(), "ROLLCALL_REDIS_URL="+redisURL, "GORACE=atexit_sleep_ms=10", "USER=ann", "NO_COLOR=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &screen{t: t, typed: control, shown: bufio.NewReader(control), ended: make(chan error, 1), cmd: cmd}
	go func() { s.ended <- cmd.Wait() }()
	return s
}

// shows waits until a text shows.
func (s *screen) shows(pattern string) {
	s.t.Helper()
	wanted := regexp.MustCompile(pattern)
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	context.AfterFunc(ctx, func() {
		if ctx.Err() == context.DeadlineExceeded {
			_ = s.typed.SetReadDeadline(time.Now())
		}
	})
	for !wanted.MatchString(s.seen.String()) {
		r, _, err := s.shown.ReadRune()
		if err != nil {
			s.t.Fatalf("%q does not show: %v:\n%s", pattern, err, s.seen.String())
		}
		s.seen.WriteRune(r)
	}
}

func (s *screen) types(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.typed, text); err != nil {
		s.t.Fatal(err)
	}
}

// ends waits for the end of the command.
func (s *screen) ends(code int) {
	s.t.Helper()
	go func() { _, _ = io.Copy(io.Discard, s.shown) }() // or it would block
	<-s.ended
	if got := s.cmd.ProcessState.ExitCode(); got != code {
		s.t.Errorf("exit code %d, want %d:\n%s", got, code, s.seen.String())
	}
}

// At a terminal a file is planned, shown, asked about, applied and watched in one command,
// which can be left.
func TestApplyAsksAtATerminalAndShowsABar(t *testing.T) {
	t.Parallel()
	url, err := commandtest.ServeAll(redistest.Mini(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "names.csv"), []byte("user_id,nickname\nu1,张三\nu2,李四\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := []string{"apply", "--name", "spring", "--tenant", "lakeside-dt", "--chat", "chat1", "names.csv"}

	s := atTerminal(t, dir, url, file...)
	s.shows(`张三`)
	s.shows(`Apply this plan, with 2 calls\? \[y/N\] `)
	s.types("n\n")
	s.shows(`not applied; to apply it later: rollcall apply r[a-z2-7]+ --digest [0-9a-f]{8}`)
	s.ends(1)
	if testing.Short() {
		return // watching takes seconds: make test-long
	}

	s = atTerminal(t, dir, url, file...)
	s.shows(`\[y/N\] `)
	s.types("是\n")
	s.shows(`canary 0/2   0% \[-+\] 0\.0/s`) // the bar
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	s.shows(`the run continues; to watch it: rollcall run watch r`)
	s.ends(3)

	s = atTerminal(t, dir, url, "run", "watch", "spring")
	s.shows(`canary 0/2`)
	kit.Shell(t, dir, url, "rollcall run pause spring --reason 'wrong list'\n")
	s.shows(`paused: wrong list; to continue: rollcall run resume r`)
	kit.Shell(t, dir, url, "rollcall run cancel spring\n")
	s.shows(`run r[a-z2-7]+: cancelled`)
	s.shows(`cancelled +2 +the run was cancelled before it was sent`)
	s.ends(3)

	// An interrupt ends the question too.
	s = atTerminal(t, dir, url, file...)
	s.shows(`\[y/N\] `)
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	s.shows(`not applied`)
	s.ends(1)
}
