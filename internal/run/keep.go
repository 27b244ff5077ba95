package run

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// DefaultKeep is how long runs are kept without a configured value.
	DefaultKeep = 90 * 24 * time.Hour

	// keepKey holds how long workers keep runs, in ms: commands and services have no
	// configuration of their own, and write runs too.
	keepKey = "rollcall:runs:keep"
)

// keeping is how long a Service keeps runs.
type keeping struct {
	set     time.Duration // by its Config; 0: as the workers say
	learned atomic.Int64  // ms
}

func (k *keeping) now() time.Duration {
	if k.set > 0 {
		return k.set
	}
	if ms := k.learned.Load(); ms > 0 {
		return time.Duration(ms) * time.Millisecond
	}
	return DefaultKeep
}

// learn notes what workers published. Without an answer the last one counts.
func (k *keeping) learn(published *redis.StringCmd) {
	if ms, err := published.Int64(); err == nil && ms > 0 {
		k.learned.Store(ms)
	}
}

// publishKeep publishes how long this worker keeps runs. Of several workers the last one
// counts: they should have the same configuration.
func (f *Feeder) publishKeep(ctx context.Context) error {
	if err := f.rdb.Set(ctx, keepKey, strconv.FormatInt(f.keep.now().Milliseconds(), 10), 0).Err(); err != nil {
		return fmt.Errorf("publish how long runs are kept: %w", err)
	}
	return nil
}
