package hold

import (
	"context"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/audit"
)

// notify writes an event and wakes the workers. A failure is ignored: it changes no
// hold, and workers read the holds periodically anyway.
func (b *Store) notify(ctx context.Context, change Change, h Hold, by string) {
	_, _ = b.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		audit.Add(ctx, p, audit.Event{
			Event: "hold." + string(change), Level: string(h.Level), Name: h.Name, Class: string(h.Class), Reason: h.Reason, By: by, More: h.Seen.fields(),
		})
		p.Publish(ctx, Channel, h.field())
		return nil
	})
}

// Listen calls changed for each notification that a hold began, changed or ended, until
// ctx ends. Notifications are lost while Redis is unavailable.
func Listen(ctx context.Context, rdb redis.UniversalClient, changed func()) {
	subscription := rdb.Subscribe(ctx, Channel)
	defer func() { _ = subscription.Close() }()
	messages := subscription.Channel()
	for {
		select {
		case <-ctx.Done():
			return
		case _, open := <-messages:
			if !open {
				return
			}
			changed()
		}
	}
}
