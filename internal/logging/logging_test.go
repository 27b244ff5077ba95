package logging_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"rollcall/internal/logging"
)

func TestWhatIsNotATerminalGetsJSON(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logging.New(&out, "auto", slog.LevelInfo).Info("ready", "lanes", 4, "took", 1500*time.Millisecond)
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%q is no JSON: %v", out.String(), err)
	}
	if line["msg"] != "ready" || line["lanes"] != 4.0 || line["took"] != "1.5s" {
		t.Errorf("logged %v", line)
	}
}

func TestTextInAFileHasNoColour(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logging.New(&out, "text", slog.LevelInfo).Warn("held", "lane", "a.nickname")
	if got := out.String(); strings.Contains(got, "\x1b") || !strings.Contains(got, "WRN held lane=a.nickname") {
		t.Errorf("logged %q", got)
	}
}

func TestTheLevelChangesWhileInUse(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	var level slog.LevelVar
	log := logging.New(&out, "text", &level)
	log.Debug("hidden")
	level.Set(logging.Level("debug"))
	log.Debug("shown")
	if got := out.String(); strings.Contains(got, "hidden") || !strings.Contains(got, "shown") {
		t.Errorf("logged %q", got)
	}
}

// asynq calls a lost task a warning and an empty poll an error; its word is
// kept, a level lower.
func TestAsynqsMessagesComeThroughALevelLower(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	asynq := logging.Asynq{Log: logging.New(&out, "text", slog.LevelDebug)}
	asynq.Debug("a ", 1)
	asynq.Info("b")
	asynq.Warn("c")
	asynq.Error("d")
	asynq.Fatal("e")
	for _, want := range []string{"DBG a 1", "DBG b", "INF c", "WRN d", "ERR e"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, out.String())
		}
	}
}

func TestMaskShowsNoShortNameAndLittleOfALongOne(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "张三": "**", "chat1": "*****", "chat-7b-2026": "ch…26(12)", "欧阳建国先生": "欧阳…先生(6)",
	} {
		if got := logging.Mask(text); got != want {
			t.Errorf("Mask(%q) = %q, want %q", text, got, want)
		}
	}
}
