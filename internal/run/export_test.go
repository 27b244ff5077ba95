package run

import (
	"context"
	"time"
)

// Turn is one turn of a run, as asynq would start it.
func (f *Feeder) Turn(ctx context.Context, id string) (time.Duration, string, error) {
	return f.turn(ctx, id)
}

// Revive makes lost tasks of applied runs again.
func (f *Feeder) Revive(ctx context.Context) error { return f.revive(ctx) }

// RunsOut and PerDay are the forecast of a month.
var (
	RunsOut = runsOut
	PerDay  = perDay
)
