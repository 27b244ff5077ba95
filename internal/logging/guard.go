package logging

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"
)

// againAfter is how long a goroutine rests after a panic.
const againAfter = time.Second

// Guard runs one step of a background goroutine, and returns its error. A panic in it
// is logged with its stack and returned as an error, so that the goroutine continues.
// of names the step.
func (c *Conditions) Guard(of string, step func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			c.condition("panic in "+of+": the worker continues; please report this defect", "", slog.LevelError).
				Begin(fmt.Sprint(value), "value", value, "stack", string(debug.Stack()))
			err = fmt.Errorf("rollcall has a defect, please report it: panic in %s: %v", of, value)
		}
	}()
	return step()
}

// Restart runs a background goroutine. After a panic it runs it again, until ctx ends.
func (c *Conditions) Restart(ctx context.Context, of string, run func(context.Context)) {
	for c.Guard(of, func() error { run(ctx); return nil }) != nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(againAfter):
		}
	}
}
