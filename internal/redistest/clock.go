package redistest

import (
	"context"
	_ "embed"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// ClockSteps returns the steps that a test of [Stepped] makes: of a clock that was wrong
// by hours, and by the year.
func ClockSteps() []time.Duration {
	return []time.Duration{2 * time.Hour, -2 * time.Hour, 365 * 24 * time.Hour, -365 * 24 * time.Hour}
}

// Stepped runs test like Each, on servers whose clock runs and is set by Step. Under
// -short it runs on miniredis alone. On redis-server it needs Linux and a C compiler, and
// is skipped without them.
func Stepped(t *testing.T, test func(t *testing.T, s *Server)) {
	t.Helper()
	on(t, "miniredis", steppedMini, test)
	if !testing.Short() {
		on(t, "redis-server", steppedReal, test)
	}
}

// Step sets the clock of a server of Stepped ahead; below 0: back. On redis-server keys
// expire by the new time, on miniredis they do not.
func (s *Server) Step(by time.Duration) { s.step(by) }

// steppedMini starts a miniredis whose clock runs.
func steppedMini(t *testing.T) *Server {
	t.Helper()
	s := Mini(t)
	var ahead atomic.Int64
	set := func() { s.Mini.SetTime(time.Now().Add(time.Duration(ahead.Load()))) }
	set()
	s.step = func(by time.Duration) {
		ahead.Add(int64(by))
		set()
	}
	ctx, cancel := context.WithCancel(context.Background())
	var ticking sync.WaitGroup
	ticking.Go(func() {
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for ctx.Err() == nil {
			set()
			<-ticker.C
		}
	})
	t.Cleanup(func() { cancel(); ticking.Wait() })
	return s
}

//go:embed preload/clock.c
var clockSource []byte

// steppedReal starts a redis-server whose time of day is that of preload/clock.c.
func steppedReal(t *testing.T) *Server {
	t.Helper()
	lookUp(t)
	if runtime.GOOS != "linux" {
		t.Skipf("redistest: the clock of redis-server is set by LD_PRELOAD, which %s does not have", runtime.GOOS)
	}
	compiler, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("redistest: no C compiler cc on the PATH: the clock of redis-server cannot be set")
	}
	dir := t.TempDir()
	source, library, offset := filepath.Join(dir, "clock.c"), filepath.Join(dir, "clock.so"), filepath.Join(dir, "ahead")
	for name, content := range map[string][]byte{source: clockSource, offset: make([]byte, 8)} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	compile := exec.CommandContext(t.Context(), compiler, "-shared", "-fPIC", "-O1", "-o", library, source) //nolint:gosec // the machine's own compiler
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("redistest: compile preload/clock.c: %v\n%s", err, out)
	}
	// The file is mapped: it must not be truncated.
	file, err := os.OpenFile(offset, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	s := startReal(t, "LD_PRELOAD="+library, "REDISTEST_CLOCK="+offset)
	var ahead int64
	s.step = func(by time.Duration) {
		ahead += int64(by)
		if _, err := file.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(ahead)), 0); err != nil { //nolint:gosec // C reads it as int64
			t.Errorf("redistest: set the clock of redis-server: %v", err)
		}
	}
	wantStep(t, s)
	return s
}

// wantStep ends the test if the server's clock cannot be set.
func wantStep(t *testing.T, s *Server) {
	t.Helper()
	const by = time.Hour
	rdb := s.Client(t)
	s.Step(by)
	now, err := rdb.Time(t.Context()).Result()
	s.Step(-by)
	if err != nil {
		t.Fatalf("redistest: read the clock of redis-server: %v", err)
	}
	if time.Until(now) < by/2 {
		if os.Getenv("ROLLCALL_REQUIRE_REDIS") == "1" {
			t.Fatal("redistest: the library that sets the clock of redis-server has no effect")
		}
		t.Skip("redistest: this redis-server does not take its time from the C library that is loaded: is it linked statically?")
	}
}
