// Package logging creates the logger: coloured text for a person at a terminal, JSON
// for everything else. asynq's messages go through it, too.
//
// The package must not know what is logged.
package logging

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"reflect"
	"runtime"
	"strings"

	"github.com/lmittmann/tint"
	"golang.org/x/term"

	"rollcall/internal/console"
)

// Config is the form of the log.
type Config struct {
	// Format is "text", "json", or "auto" or empty: text on a terminal, otherwise JSON.
	Format string
	// Level is read for every line, so it can change at run time. nil: info.
	Level slog.Leveler
	// ShowPersonalData writes values that mask themselves unmasked, by their method
	// Reveal. False: masked.
	ShowPersonalData bool
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
		// A Windows console prints colour codes as text unless the program turns them
		// on.
		colour := IsTerminal(w) && runtime.GOOS != "windows"
		return slog.New(tint.NewTextHandler(w, &tint.Options{
			Level: level, TimeFormat: "15:04:05.000", NoColor: !colour, ReplaceAttr: c.replace(false),
		}))
	}
	return slog.New(slog.NewJSONHandler(escaping{w}, &slog.HandlerOptions{Level: level, ReplaceAttr: c.replace(true)}))
}

// escaping writes lines of JSON without what a terminal would obey. Their values stay.
type escaping struct{ to io.Writer }

func (e escaping) Write(line []byte) (int, error) {
	if _, err := e.to.Write(console.Escape(line)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// replace decides how values are written. Text from other programs becomes one line
// without terminal control sequences. units writes a duration with its unit, because a
// bare number has no clear unit.
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

// clean turns values with text of other programs into clean strings. Other values, such
// as the level and structures, are unchanged: tint quotes them, and JSON is escaped.
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
	if reflect.ValueOf(value.Any()).Kind() == reflect.String { // a named string type
		return slog.StringValue(console.Clean(fmt.Sprint(value.Any())))
	}
	return value
}

// Level returns the level with this name, Info for an unknown one.
func Level(name string) slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(name)); err != nil {
		return slog.LevelInfo
	}
	return level
}

// IsTerminal reports whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Asynq implements asynq's Logger with slog. asynq logs free text, so its messages are
// unchanged but one level lower: rollcall itself logs what concerns a task.
type Asynq struct {
	Log *slog.Logger
	// Faults get the errors, which asynq repeats every few seconds. nil: all are logged.
	Faults *Conditions
	Attrs  []any // of these errors
	// Known reports whether the cause of an error is logged by others: it is at level debug
	// then. nil: of none.
	Known func(text string) bool
}

// Debug implements asynq.Logger.
func (a Asynq) Debug(args ...any) { a.Log.Debug(fmt.Sprint(args...)) }

// Info implements asynq.Logger.
func (a Asynq) Info(args ...any) { a.Log.Debug(fmt.Sprint(args...)) }

// Warn implements asynq.Logger.
func (a Asynq) Warn(args ...any) { a.Log.Info(fmt.Sprint(args...)) }

// Error implements asynq.Logger.
func (a Asynq) Error(args ...any) {
	text := fmt.Sprint(args...)
	if a.Known != nil && a.Known(text) {
		a.Log.Debug(text)
		return
	}
	if a.Faults == nil {
		a.Log.Warn(text)
		return
	}
	// The text after the colon names a task or an error.
	kind := text
	if i := strings.IndexAny(text, ":=[;0123456789"); i > 0 {
		kind = text[:i]
	}
	a.Faults.Of("asynq: "+kind, "").Begin("", append(a.Attrs, "err", text)...)
}

// Fatal implements asynq.Logger. It does not exit: only main does.
func (a Asynq) Fatal(args ...any) { a.Log.Error(fmt.Sprint(args...)) }
