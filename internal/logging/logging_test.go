package logging_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode"

	"rollcall/internal/logging"
)

func TestAFileGetsJSON(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logging.Config{Format: "auto", Level: slog.LevelInfo}.Logger(&out).Info("ready", "lanes", 4, "took", 1500*time.Millisecond)
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%q is not JSON: %v", out.String(), err)
	}
	if line["msg"] != "ready" || line["lanes"] != 4.0 || line["took"] != "1.5s" {
		t.Errorf("logged %v", line)
	}
}

func TestTextInAFileHasNoColour(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logging.Config{Format: "text", Level: slog.LevelInfo}.Logger(&out).Warn("held", "lane", "a.nickname")
	if got := out.String(); strings.Contains(got, "\x1b") || !strings.Contains(got, "WRN held lane=a.nickname") {
		t.Errorf("logged %q", got)
	}
}

func TestTheLevelCanChangeAtRunTime(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	var level slog.LevelVar
	log := logging.Config{Format: "text", Level: &level}.Logger(&out)
	log.Debug("hidden")
	level.Set(logging.Level("debug"))
	log.Debug("shown")
	if got := out.String(); strings.Contains(got, "hidden") || !strings.Contains(got, "shown") {
		t.Errorf("logged %q", got)
	}
}

// asynq logs a lost task as a warning and an empty poll as an error. Its text is kept,
// one level lower.
func TestAsynqsMessagesAreLoggedOneLevelLower(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	asynq := logging.Asynq{Log: logging.Config{Format: "text", Level: slog.LevelDebug}.Logger(&out)}
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

// own masks itself, as the values of package privacy do.
type own string

func (o own) String() string { return "masked" }

func (o own) Reveal() string { return string(o) }

func TestAMaskedValueIsShownIfTheLoggerShowsPersonalData(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		var masked, shown bytes.Buffer
		logging.Config{Format: format}.Logger(&masked).Info("done", "target", own("employee7"))
		logging.Config{Format: format, ShowPersonalData: true}.Logger(&shown).
			Info("done", "target", own("employee7"), slog.Group("in", "group", own("Zoë Brontë")))
		if got := masked.String(); strings.Contains(got, "employee7") || !strings.Contains(got, "masked") {
			t.Errorf("%s, masked: %s", format, got)
		}
		if got := shown.String(); !strings.Contains(got, "employee7") || !strings.Contains(got, "Zoë Brontë") {
			t.Errorf("%s, shown: %s", format, got)
		}
	}
}

type word string

func TestForeignTextCannotMoveTheCursorOrForgeALine(t *testing.T) {
	t.Parallel()
	const hostile = "x\x1b[2J\u202e\u009b1A\r\n12:00:00.000 ERR forged"
	for _, format := range []string{"text", "json"} {
		var out bytes.Buffer
		log := logging.Config{Format: format, ShowPersonalData: true}.Logger(&out)
		log.With("queue", hostile).Info(hostile, "lane", word(hostile), "err", errors.New(hostile), "who", own(hostile), "all", []string{hostile},
			slog.Group("of", "id", hostile), "struct", struct{ Name string }{hostile}, "map", map[string]string{hostile: hostile}, "errors", []error{errors.New(hostile)}, "none", nil)
		got := out.String()
		if n := strings.Count(got, "\n"); n != 1 {
			t.Errorf("%s: %d lines:\n%s", format, n, got)
		}
		hostile := func(r rune) bool { return unicode.IsControl(r) && r != '\n' || unicode.Is(unicode.Bidi_Control, r) }
		if strings.ContainsFunc(got, hostile) {
			t.Errorf("%s: %q", format, got)
		}
	}
}

func TestTheZeroConfigurationLogsFromLevelInfo(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := logging.Config{}.Logger(&out)
	log.Debug("hidden")
	log.Info("shown")
	if got := out.String(); strings.Contains(got, "hidden") || !strings.HasPrefix(got, `{"time":`) {
		t.Errorf("logged %q", got)
	}
}

func TestAnErrorThatAsynqRepeatsIsLoggedOnce(t *testing.T) {
	t.Parallel()
	log, lines := conditions()
	faults := &logging.Conditions{Log: log}
	for range 3 {
		logging.Asynq{Log: log, Faults: faults, Attrs: []any{"lane", "a"}}.Error("Dequeue error: WRONGTYPE a key")
	}
	if got := lines(); len(got) != 1 || !strings.Contains(got[0], "lane=a") || !strings.Contains(got[0], "WRONGTYPE a key") {
		t.Errorf("logged: %q", got)
	}
}
