package ledger

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"
)

const (
	// schemaKey is the Redis hash that holds the schema of the record.
	schemaKey = "rollcall:schema"
	// schema is the schema that this version writes. It rises when a key or an entry
	// changes its meaning.
	schema = 2
	// oldestSchema is the oldest schema whose workers can work together with this one:
	// they ignore what they do not know, and this version finds what they leave out. It
	// rises only when an older worker would do harm.
	oldestSchema = 1
)

var (
	//go:embed schema.lua
	schemaLua string

	enter = redis.NewScript(schemaLua)
)

// TooOldError means that a newer version has worked on this Redis, and that this
// version would do harm.
type TooOldError struct{ Version, Oldest, Own int64 }

// Error says what to do.
func (e *TooOldError) Error() string {
	return fmt.Sprintf("the record in Redis has schema %d, which needs workers of schema %d or later, and this worker has %d: "+
		"use the newest version of rollcall", e.Version, e.Oldest, e.Own)
}

// Enter notes that a worker of this version begins to work on the record. A
// *TooOldError: it must not. One round trip.
func (l *Ledger) Enter(ctx context.Context) error {
	answer, err := enter.Run(ctx, l.rdb, []string{schemaKey}, schema, oldestSchema).Int64Slice()
	if err != nil {
		return fmt.Errorf("ledger: read the schema of the record: %w", err)
	}
	return fits(answer[0], answer[1])
}

func fits(version, oldest int64) error {
	if schema < oldest {
		return &TooOldError{Version: version, Oldest: oldest, Own: schema}
	}
	return nil
}

// Fits returns the schema of the record, 0 if none has been noted, and a *TooOldError
// if a worker of this version must not Enter. One round trip.
func (l *Ledger) Fits(ctx context.Context) (version int64, err error) {
	values, err := l.rdb.HMGet(ctx, schemaKey, "version", "oldest").Result()
	if err != nil {
		return 0, fmt.Errorf("ledger: read the schema of the record: %w", err)
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
