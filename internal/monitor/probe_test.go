package monitor_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/internal/logging"
	"rollcall/internal/monitor"
	"rollcall/internal/redistest"
)

func TestAWorkerIsReadyOnceItTakesTasksAndWhileRedisAnswers(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		readiness := monitor.NewReadiness(s.Client(t))
		url := serve(t, s, monitor.Config{Ready: readiness.Check})
		says := func(status int, words string) {
			t.Helper()
			if got, body := ask(t, get(url+"/readyz")); got != status || !strings.Contains(body, words) {
				t.Errorf("/readyz: %d %q, want %d %q", got, body, status, words)
			}
			if got, _ := ask(t, get(url+"/healthz")); got != http.StatusOK {
				t.Errorf("/healthz: %d, want 200 regardless of readiness", got)
			}
		}

		says(http.StatusServiceUnavailable, "not started yet")
		readiness.Started(nil)
		says(http.StatusOK, "ready")
		s.Stop(t)
		await(t, func() bool { return errors.Is(readiness.Check(t.Context()), monitor.ErrRedis) })
		says(http.StatusServiceUnavailable, "redis unavailable: Redis cannot be reached or does not answer")
		if _, body := ask(t, get(url+"/readyz")); strings.Contains(body, s.Addr) {
			t.Errorf("/readyz shows the address of Redis: %s", body)
		}
		s.Start(t)
		await(t, func() bool { return readiness.Check(t.Context()) == nil })
		readiness.Stopping()
		says(http.StatusServiceUnavailable, "stopping")
	})
}

func TestAReadyWorkerNamesTheLanesThatTakeNoTask(t *testing.T) {
	t.Parallel()
	notes := []string{"lane dt.nickname not ready: damaged key in Redis"}
	url := serve(t, redistest.One(t), monitor.Config{Notes: func() []string { return notes }})
	status, body := ask(t, get(url+"/readyz"))
	if want := "ready\n" + notes[0] + "\n"; status != http.StatusOK || body != want {
		t.Errorf("/readyz: %d %q, want 200 %q", status, body, want)
	}
}

func TestReadinessNamesTheFaultOfRedis(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	admin := s.Client(t)
	set := func(name, value string) {
		t.Helper()
		if err := admin.Do(t.Context(), "config", "set", name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	readiness := monitor.NewReadiness(s.Client(t))
	wants := func(want string) {
		t.Helper()
		var got string
		await(t, func() bool {
			got = "ready"
			if err := readiness.Check(t.Context()); err != nil {
				got = err.Error()
			}
			return got == want
		})
	}
	readiness.Waiting("Redis is out of memory")
	wants("the lanes are not started yet: Redis is out of memory")
	readiness.Started(nil)
	wants("ready")
	set("maxmemory", "1")
	wants("redis unavailable: Redis is out of memory")
	set("maxmemory", "0")
	wants("ready")
	set("min-replicas-to-write", "1")
	wants("redis unavailable: Redis has too few replicas to take writes")
	set("min-replicas-to-write", "0")
	wants("ready")
	if keys := admin.Keys(t.Context(), "*").Val(); len(keys) != 0 {
		t.Errorf("the probe has created %v", keys)
	}
	readiness.Started(func() error { return errors.New("another node is loading its data") })
	wants("redis unavailable: another node is loading its data")
}

// await repeats a check; reads are cached for a second.
func await(t *testing.T, check func() bool) {
	t.Helper()
	patience := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !check() {
		select {
		case <-patience:
			t.Fatal("timed out")
		case <-tick.C:
		}
	}
}

func TestTheLogsLevelChangesWhileTheWorkerRuns(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	var level slog.LevelVar
	log := logging.Config{Format: "text", Level: &level}.Logger(&out)
	url := serve(t, redistest.One(t), monitor.Config{Level: &level, Log: log})

	if _, body := ask(t, get(url+"/log/level")); body != "info\n" {
		t.Errorf("level %q at first", body)
	}
	put := request{method: http.MethodPut, url: url + "/log/level", body: "debug\n"}
	if status, body := ask(t, put); status != http.StatusOK || body != "debug\n" || level.Level() != slog.LevelDebug {
		t.Errorf("%d %q, level %s", status, body, level.Level())
	}
	if !strings.Contains(out.String(), "from=info to=debug") {
		t.Errorf("the change is not in the log: %s", out.String())
	}
	for _, body := range []string{"loud", "", "DEBUG+1", strings.Repeat("debug", 100)} {
		put.body = body
		if status, _ := ask(t, put); status != http.StatusBadRequest || level.Level() != slog.LevelDebug {
			t.Errorf("%q: %d, level %s", body, status, level.Level())
		}
	}
	put.body = "info"
	if status, _ := ask(t, put.with(map[string]string{"Origin": "https://evil.example"})); status != http.StatusForbidden {
		t.Errorf("another site changed the level: %d", status)
	}
}
