package monitor

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"rollcall/internal/access"
)

func (c Config) showLevel(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, strings.ToLower(c.Level.Level().String()))
}

// setLevel expects the level's name as the body.
func (c Config) setLevel(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64))
	if err != nil {
		http.Error(w, "send one of debug, info, warn and error, and nothing else", http.StatusBadRequest)
		return
	}
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	name := strings.TrimSpace(string(body))
	level, ok := levels[name]
	if !ok {
		http.Error(w, "send one of debug, info, warn and error as the body", http.StatusBadRequest)
		return
	}
	user := access.VisitorFrom(r.Context()).Name
	before := c.Level.Level()
	c.Level.Set(level)
	// At level warn, so that most logs contain it; if only errors are logged, at level
	// error.
	c.Log.Log(r.Context(), max(slog.LevelWarn, level), "log level changed, until the worker restarts",
		"from", strings.ToLower(before.String()), "to", name, "user", user, "address", r.RemoteAddr)
	c.showLevel(w, r)
}
