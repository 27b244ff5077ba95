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
	"runtime"
	"strings"

	"github.com/lmittmann/tint"
	"golang.org/x/term"
)

// Config says how a logger writes.
type Config struct {
	// Format is "text", "json", or "auto" or empty: text on a terminal, else JSON.
	Format string
	// Level is asked for every line, so it can change while the logger is in
	// use. Nil: info.
	Level slog.Leveler
	// ShowPersonalData writes [Personal] values as they are. False: masked.
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

// replace decides how values are written. units writes a duration with its
// unit: as a bare number nobody knows what it counts.
func (c Config) replace(units bool) func([]string, slog.Attr) slog.Attr {
	return func(_ []string, a slog.Attr) slog.Attr {
		if p, ok := a.Value.Any().(Personal); ok && c.ShowPersonalData {
			a.Value = slog.StringValue(string(p))
		}
		if units && a.Value.Kind() == slog.KindDuration {
			a.Value = slog.StringValue(a.Value.Duration().String())
		}
		return a
	}
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

// Personal is a name or an id of somebody. However it is printed, it is masked;
// a logger that was told to show personal data alone writes it as it is.
type Personal string

// String returns the masked form.
func (p Personal) String() string { return Mask(string(p)) }

// GoString returns the masked form.
func (p Personal) GoString() string { return p.String() }

// MarshalText returns the masked form, for text and JSON alike.
func (p Personal) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// Mask shortens a name or id so that a person who knows it recognises it and
// nobody else learns it: the first and last two characters and the length.
func Mask(text string) string {
	runes := []rune(text)
	if len(runes) <= 5 {
		return strings.Repeat("*", len(runes))
	}
	return fmt.Sprintf("%s…%s(%d)", string(runes[:2]), string(runes[len(runes)-2:]), len(runes))
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
