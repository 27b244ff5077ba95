package console_test

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"
	"unsafe"

	"rollcall/internal/console"
)

// terminal opens a terminal and returns what is typed at and what shows there.
func terminal(t *testing.T) (typed, shown *os.File) {
	t.Helper()
	shown, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminal can be opened: %v", err)
	}
	t.Cleanup(func() { _ = shown.Close() })
	var number, unlock int32
	ioctl := func(request uintptr, value *int32) {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, shown.Fd(), request, uintptr(unsafe.Pointer(value))); errno != 0 {
			t.Skipf("no terminal can be opened: %v", errno)
		}
	}
	ioctl(syscall.TIOCSPTLCK, &unlock)
	ioctl(syscall.TIOCGPTN, &number)
	typed, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminal can be opened: %v", err)
	}
	t.Cleanup(func() { _ = typed.Close() })
	return typed, shown
}

func TestATerminalGetsStylesAndNeitherMarkNorEscapes(t *testing.T) {
	t.Parallel()
	for plain, want := range map[bool]string{
		false: "\x1b[1;31mheld \\u001b[2J\x1b[0m\r\nid,\\u202e\r\n",
		true:  "held \\u001b[2J\r\nid,\\u202e\r\n",
	} {
		typed, shown := terminal(t)
		w := console.NewWriter(typed, "standard output", plain)
		if !w.Terminal() {
			t.Fatal("it is not taken for a terminal")
		}
		fmt.Fprintln(w, console.Paint(console.Red, "held \x1b[2J"))
		table := w.CSV()
		if err := table.Row([]string{"id", "\u202e"}); err != nil {
			t.Fatal(err)
		}
		if err := table.Flush(); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		if n, err := io.ReadFull(shown, got); err != nil || string(got) != want {
			t.Errorf("plain %v: got %q, want %q: %v", plain, got[:n], want, err)
		}
	}
}
