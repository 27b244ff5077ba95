package ledger

import (
	"context"
	"fmt"
	"strconv"
)

const (
	// SchemaKey is the Redis hash that holds the schema of the record.
	SchemaKey = "rollcall:schema"
	// farSchema bounds a schema that can have been written.
	farSchema = 10_000
	// schema is the schema that this version writes. It rises when a key or an entry
	// changes its meaning.
	schema = 2
	// oldestSchema is the oldest schema whose workers can work together with this one:
	// they ignore what they do not know, and this version finds what they leave out. It
	// rises only when an older worker would do harm.
	oldestSchema = 1
)

var enter = script("schema")

// TooOldError means that a newer version has worked on this Redis, and that this
// version would do harm.
type TooOldError struct{ Version, Oldest, Own int64 }

// Error says what to do.
func (e *TooOldError) Error() string {
	return fmt.Sprintf("the record in Redis has schema %d, which needs workers of schema %d or later, and this worker has %d: "+
		"use the newest version of rollcall", e.Version, e.Oldest, e.Own)
}

// Enter notes that a worker of this version begins to work on the record. A
// *TooOldError: it must not. A *DamagedError: it cannot be known. Three round trips.
func (l *Ledger) Enter(ctx context.Context) error {
	if found, err := l.inspectSchema(ctx); err != nil {
		return err
	} else if len(found) > 0 {
		return &DamagedError{found[0]}
	}
	answer, err := enter.Run(ctx, l.rdb, []string{SchemaKey}, schema, oldestSchema).Int64Slice()
	if err != nil {
		return fmt.Errorf("ledger: read the schema of the record: %w", err)
	}
	return fits(answer[0], answer[1])
}

// inspectSchema returns what is damaged in the schema of the record. Two round trips.
func (l *Ledger) inspectSchema(ctx context.Context) ([]Damage, error) {
	found, err := l.WrongTypes(ctx, []KeyType{{SchemaKey, "hash"}})
	if err != nil || len(found) > 0 {
		return found, err
	}
	hash, err := l.rdb.HGetAll(ctx, SchemaKey).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: read the schema of the record: %w", err)
	}
	return DamagedSchema(hash), nil
}

// DamagedSchema returns what is damaged among the entries of SchemaKey.
func DamagedSchema(hash map[string]string) (found []Damage) {
	for _, name := range []string{"version", "oldest"} {
		text, there := hash[name]
		if n, err := strconv.Atoi(text); there && (err != nil || n < 0 || n > farSchema) {
			found = append(found, Damage{Key: SchemaKey, Entry: name, Value: text, What: fmt.Sprintf("%s is %.40q, not a schema", name, text)})
		}
	}
	return found
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
	values, err := l.rdb.HMGet(ctx, SchemaKey, "version", "oldest").Result()
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
			return 0, fmt.Errorf("ledger: %s holds %q: %w", SchemaKey, text, err)
		}
	}
	return numbers[0], fits(numbers[0], numbers[1])
}
