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
				t.Errorf("/healthz: %d, whatever readiness says", got)
			}
		}

		says(http.StatusServiceUnavailable, "not started yet")
		readiness.Started()
		says(http.StatusOK, "ready")
		s.Away(t)
		await(t, func() bool { return errors.Is(readiness.Check(t.Context()), monitor.ErrRedis) })
		says(http.StatusServiceUnavailable, "redis does not answer")
		if _, body := ask(t, get(url+"/readyz")); strings.Contains(body, s.Addr) {
			t.Errorf("/readyz tells anybody where Redis is: %s", body)
		}
		s.Back(t)
		await(t, func() bool { return readiness.Check(t.Context()) == nil })
		readiness.Stopping()
		says(http.StatusServiceUnavailable, "stopping")
	})
}

// await asks again and again; readings are cached for a second.
func await(t *testing.T, check func() bool) {
	t.Helper()
	patience := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !check() {
		select {
		case <-patience:
			t.Fatal("waited in vain")
		case <-tick.C:
		}
	}
}

func TestTheLogsLevelChangesWhileTheWorkerRuns(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	var level slog.LevelVar
	log := logging.New(&out, "text", &level)
	url := serve(t, redistest.Mini(t), monitor.Config{Level: &level, Log: log})

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
