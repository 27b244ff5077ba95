package ledger

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"
)

const (
	// schemaKey is the Redis hash that tells what the record is written by.
	schemaKey = "rollcall:schema"
	// schema is the version of the record that this build writes. It rises when a
	// key or a field changes its meaning.
	schema = 2
	// oldestSchema is the oldest build that can work beside this one: it passes over
	// what it does not know, and what it leaves out is found out. It rises only when
	// an older one would do harm.
	oldestSchema = 1
)

var (
	//go:embed schema.lua
	schemaLua string

	enter = redis.NewScript(schemaLua)
)

// TooOldError tells that a newer version has worked on this Redis, and that this
// one would do harm.
type TooOldError struct{ Version, Oldest, Own int64 }

// Error says what to do.
func (e *TooOldError) Error() string {
	return fmt.Sprintf("the record in Redis has schema %d, which needs workers of schema %d or later, and this one has %d: "+
		"use the newest version of rollcall here", e.Version, e.Oldest, e.Own)
}

// Enter says that a worker of this build works on the record from now on. A
// *TooOldError: it must not. One round trip.
func (l *Ledger) Enter(ctx context.Context) error {
	answer, err := enter.Run(ctx, l.rdb, []string{schemaKey}, schema, oldestSchema).Int64Slice()
	if err != nil {
		return fmt.Errorf("ledger: look at the record's schema: %w", err)
	}
	return fits(answer[0], answer[1])
}

func fits(version, oldest int64) error {
	if schema < oldest {
		return &TooOldError{Version: version, Oldest: oldest, Own: schema}
	}
	return nil
}

// Fits tells whether a worker of this build could Enter, and the schema that is
// there, 0 if none has been noted. One round trip.
func (l *Ledger) Fits(ctx context.Context) (version int64, err error) {
	values, err := l.rdb.HMGet(ctx, schemaKey, "version", "oldest").Result()
	if err != nil {
		return 0, fmt.Errorf("ledger: look at the record's schema: %w", err)
	}
	var numbers [2]int64
	for i, v := range values {
		text, there := v.(string)
		if !there {
			continue
		}
		if numbers[i], err = strconv.ParseInt(text, 10, 64); err != nil {
			return 0, fmt.Errorf("ledger: %s holds %q: %w", schemaKey, text, err)
		}
	}
	return numbers[0], fits(numbers[0], numbers[1])
}
