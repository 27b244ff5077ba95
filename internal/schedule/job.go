package schedule

import (
	"context"
	"log/slog"
)

// Job is what an entry does at a tick, if it enqueues no roster and no courses.
type Job interface {
	// Run executes one attempt at a tick. It ends soon after ctx ends: the worker stops,
	// the bound of the entry is reached, or another worker may execute the tick.
	//
	// A tick runs at one worker at a time, and not again after Run returned nil. After an
	// error, or the death of its worker, it runs again with the same Tick, so Run must not
	// repeat what the earlier attempt did: [Tick.ID] and [Tick.RunName] are the same.
	//
	// After an error there are further attempts, 30 s to 15 min apart, and then a dead
	// letter with the error. A Result with an error replaces that of the attempt before.
	Run(ctx context.Context, t Tick) (Result, error)
}

// Result is what a tick did, without names of people. Its zero value is nothing.
type Result struct {
	// Text is one line for the history of the entry, of at most 500 bytes.
	Text string
	// Detail is encoded as JSON, which asynq's web UI shows with the tick. nil: none.
	Detail any
	// Attention: a person must look at it. It is logged as a warning.
	Attention bool
}

func (r Result) logTo(log *slog.Logger) {
	level := slog.LevelInfo
	if r.Attention {
		level = slog.LevelWarn
	}
	log.Log(context.Background(), level, "schedule: carried out", "result", r.Text)
}
