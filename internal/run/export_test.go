package run

import (
	"context"
	"maps"
	"slices"
	"time"
)

// Turn is one turn of a run, as asynq would start it.
func (f *Feeder) Turn(ctx context.Context, id string) (time.Duration, string, error) {
	return f.turn(ctx, id)
}

// Hurry makes turns follow each other ten times as fast, for tests that wait for many.
func (f *Feeder) Hurry() *Feeder {
	f.poll, f.short = pollEvery/10, shortWait/10
	return f
}

// FillAhead makes the feeder fill queues that far ahead of their rates.
func (f *Feeder) FillAhead(of time.Duration) *Feeder {
	f.ahead = of
	return f
}

// Revive makes lost tasks of applied runs again.
func (f *Feeder) Revive(ctx context.Context) error { return f.revive(ctx, f.now()) }

// ReviveAt is Revive at a time.
func (f *Feeder) ReviveAt(ctx context.Context, now time.Time) error { return f.revive(ctx, now) }

// Reasons returns all reasons, with %s for an argument, sorted.
func Reasons() []string { return slices.Sorted(maps.Keys(chinese)) }

// WatchFor is how long a reading of a Watcher counts.
const WatchFor = watchFor

// Prepare compares the rows of an applied run again, and feeds none.
func (f *Feeder) Prepare(ctx context.Context, id string) error {
	h, err := f.load(ctx, id)
	if err != nil {
		return err
	}
	t, err := f.take(ctx, h)
	if err != nil {
		return err
	}
	return t.prepare(ctx)
}

// Phrases are the formats that Chinese translates.
func Phrases() []string { return slices.Collect(maps.Keys(chinesePhrases)) }
