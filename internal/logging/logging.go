// Package logging makes the one logger: tinted text for a person at a terminal,
// JSON for everything else, with asynq's own messages routed through it.
//
// It must not know what is logged.
package logging

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"reflect"
	"runtime"

	"github.com/lmittmann/tint"
	"golang.org/x/term"

	"rollcall/internal/console"
)

// Config says how a logger writes.
type Config struct {
	// Format is "text", "json", or "auto" or empty: text on a terminal, else JSON.
	Format string
	// Level is asked for every line, so it can change while the logger is in
	// use. Nil: info.
	Level slog.Leveler
	// ShowPersonalData writes values that mask themselves as they are, by their
	// method Reveal. False: masked.
	ShowPersonalData bool
}

// New returns a logger that writes to w and masks personal data.
func New(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	return Config{Format: format, Level: level}.Logger(w)
}

// Logger returns a logger that writes to w.
func (c Config) Logger(w io.Writer) *slog.Logger {
	format, level := c.Format, c.Level
	if level == nil {
		level = slog.LevelInfo
	}
	if format == "auto" || format == "" {
		format = "json"
		if IsTerminal(w) {
			format = "text"
		}
	}
	if format == "text" {
		// A Windows console prints colour codes as text unless a program asks it not to.
		colour := IsTerminal(w) && runtime.GOOS != "windows"
		return slog.New(tint.NewTextHandler(w, &tint.Options{
			Level: level, TimeFormat: "15:04:05.000", NoColor: !colour, ReplaceAttr: c.replace(false),
		}))
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: c.replace(true)}))
}

// replace decides how values are written: text of others as one line that a
// terminal shows and does not obey. units writes a duration with its
// unit: as a bare number nobody knows what it counts.
func (c Config) replace(units bool) func([]string, slog.Attr) slog.Attr {
	return func(_ []string, a slog.Attr) slog.Attr {
		switch a.Value.Kind() {
		case slog.KindString:
			a.Value = slog.StringValue(console.Clean(a.Value.String()))
		case slog.KindDuration:
			if units {
				a.Value = slog.StringValue(a.Value.Duration().String())
			}
		case slog.KindAny:
			a.Value = c.clean(a.Value)
		}
		return a
	}
}

// masked is a value that masks itself unless personal data is to be shown.
type masked interface{ Reveal() string }

// clean turns values that hold text of others into clean strings. Others, the
// level and numbers in structures among them, stay as they are.
func (c Config) clean(value slog.Value) slog.Value {
	if m, ok := value.Any().(masked); ok && c.ShowPersonalData {
		return slog.StringValue(console.Clean(m.Reveal()))
	}
	switch v := value.Any().(type) {
	case slog.Level, *slog.Source:
		return value
	case error:
		return slog.StringValue(console.Clean(v.Error()))
	case fmt.Stringer:
		return slog.StringValue(console.Clean(v.String()))
	case []string:
		clean := make([]string, len(v))
		for i, text := range v {
			clean[i] = console.Clean(text)
		}
		return slog.AnyValue(clean)
	}
	if reflect.ValueOf(value.Any()).Kind() == reflect.String { // of a type of its own
		return slog.StringValue(console.Clean(fmt.Sprint(value.Any())))
	}
	return value
}

// Level returns the level called name, Info for an unknown one.
func Level(name string) slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(name)); err != nil {
		return slog.LevelInfo
	}
	return level
}

// IsTerminal reports whether w is a terminal that a person may be looking at.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Asynq is asynq's Logger on top of slog. asynq logs free text, so its messages
// are kept as they are, a level lower: what concerns a task is told by us.
type Asynq struct{ Log *slog.Logger }

// Debug implements asynq.Logger.
func (a Asynq) Debug(args ...any) { a.Log.Debug(fmt.Sprint(args...)) }

// Info implements asynq.Logger.
func (a Asynq) Info(args ...any) { a.Log.Debug(fmt.Sprint(args...)) }

// Warn implements asynq.Logger.
func (a Asynq) Warn(args ...any) { a.Log.Info(fmt.Sprint(args...)) }

// Error implements asynq.Logger.
func (a Asynq) Error(args ...any) { a.Log.Warn(fmt.Sprint(args...)) }

// Fatal implements asynq.Logger. It does not exit: only main does.
func (a Asynq) Fatal(args ...any) { a.Log.Error(fmt.Sprint(args...)) }
