package hold

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Note adds an event to [Events] that concerns no hold: an action of a person that
// others may need to find later. Cost: one round trip.
func Note(ctx context.Context, rdb redis.UniversalClient, event string, of Scope, class, reason, by string, more ...string) error {
	values := []any{"event", event, "level", string(of.Level), "name", of.Name, "class", class, "reason", reason, "by", by}
	for _, m := range more {
		values = append(values, m)
	}
	err := rdb.XAdd(ctx, &redis.XAddArgs{Stream: Events, MaxLen: eventsKept, Approx: true, Values: values}).Err()
	if err != nil {
		return fmt.Errorf("write event %s of %s: %w", event, of, err)
	}
	return nil
}
