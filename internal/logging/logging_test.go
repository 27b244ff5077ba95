package logging_test

import (
	"bytes"
	"encoding/json"
	"fmt"
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

func TestWhoIsMeantIsMaskedUnlessTheLoggerWasToldToShowIt(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		var masked, shown bytes.Buffer
		logging.Config{Format: format}.Logger(&masked).Info("done", "target", logging.Personal("chat1/employee7"))
		logging.Config{Format: format, ShowPersonalData: true}.Logger(&shown).
			Info("done", "target", logging.Personal("chat1/employee7"), slog.Group("in", "group", logging.Personal("Zoë Brontë")))
		if got := masked.String(); strings.Contains(got, "employee7") || !strings.Contains(got, "ch…e7(15)") {
			t.Errorf("%s, masked: %s", format, got)
		}
		if got := shown.String(); !strings.Contains(got, "chat1/employee7") || !strings.Contains(got, "Zoë Brontë") {
			t.Errorf("%s, shown: %s", format, got)
		}
	}
}

// A value that masks itself stays masked where nobody thought of it.
func TestWhoIsMeantIsMaskedHoweverItIsPrinted(t *testing.T) {
	t.Parallel()
	name := logging.Personal("Zoë Brontë")
	var foreign bytes.Buffer
	slog.New(slog.NewTextHandler(&foreign, nil)).Info("done", "target", name)
	slog.New(slog.NewJSONHandler(&foreign, nil)).Info("done", "target", name)
	inJSON, err := json.Marshal(map[string]any{"name": name})
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{
		foreign.String(), string(inJSON), fmt.Sprint(name), fmt.Sprintf("%s %v %+v %#v %q", name, name, name, name, name), fmt.Errorf("of %v", name).Error(),
	} {
		if strings.Contains(got, "Brontë") || !strings.Contains(got, "të(10)") {
			t.Errorf("printed: %s", got)
		}
	}
}

func TestALoggerOfTheZeroConfigurationWritesFromInfoOn(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := logging.Config{}.Logger(&out)
	log.Debug("hidden")
	log.Info("shown")
	if got := out.String(); strings.Contains(got, "hidden") || !strings.HasPrefix(got, `{"time":`) {
		t.Errorf("logged %q", got)
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
