package pace

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// DamagedError reports keys of another type than the pace gives them. All other lanes and
// organisations were read: the answers that come with this error can be used.
type DamagedError struct{ Keys []string }

// Error names the keys.
func (e *DamagedError) Error() string {
	return "damaged keys in Redis, not hashes: " + strings.Join(e.Keys, ", ") + "; see rollcall repair"
}

func wrongType(err error) bool { return err != nil && strings.Contains(err.Error(), "WRONGTYPE") }

// diagnose replaces an error about a wrong type by one that names the keys. One round
// trip if there is such an error, else none.
func diagnose(ctx context.Context, rdb redis.UniversalClient, err error, keys ...string) error {
	if !wrongType(err) {
		return err
	}
	types := make([]*redis.StatusCmd, len(keys))
	_, failed := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, key := range keys {
			types[i] = p.Type(ctx, key)
		}
		return nil
	})
	var damaged DamagedError
	for i, key := range keys {
		if got := types[i].Val(); failed == nil && got != "hash" && got != "none" {
			damaged.Keys = append(damaged.Keys, key)
		}
	}
	if len(damaged.Keys) == 0 {
		return err
	}
	return &damaged
}

// judge adds the key of an answer to the damaged ones, and returns an error unless it is
// about this key alone.
func (e *DamagedError) judge(key string, err error) error {
	if wrongType(err) {
		e.Keys = append(e.Keys, key)
		return nil
	}
	return err
}

func (e *DamagedError) err(doing string) error {
	if len(e.Keys) == 0 {
		return nil
	}
	return fmt.Errorf("pace: %s: %w", doing, e)
}
