package sweep

import (
	"context"
	"time"

	"rollcall/internal/damage"
	"rollcall/internal/registry"
)

// keysEvery is how often the types of the lanes' keys are checked: at every second sweep.
const keysEvery = 8 * time.Second

// keys checks the types of the lanes' keys, and what all lanes share.
type keys struct {
	common

	checked time.Time // last
}

// run checks all keys. A lane whose keys are damaged takes no task; other damage is
// logged. Cost: two round trips for all lanes, with fifty commands a lane.
func (k *keys) run(ctx context.Context, now time.Time) error {
	if now.Sub(k.checked) < keysEvery {
		return nil
	}
	k.checked = now
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	lanes := k.Lanes.Lanes()
	places := make([]registry.Lane, len(lanes))
	for i, l := range lanes {
		places[i] = registry.Lane{Organisation: l.Organisation, Tenant: l.Tenant, Kind: l.Kind, Address: l.AddressName}
	}
	found, err := damage.Check(ctx, k.Redis, places)
	if err != nil {
		return err
	}
	for i, l := range lanes {
		for _, d := range found[i] {
			if d.Type != "" && damage.Holds(d.Key) {
				l.HoldDamaged(d.Key)
			} else {
				k.Lanes.Damaged(d)
			}
		}
	}
	shared, err := damage.Shared(ctx, k.Redis)
	if err != nil {
		return err
	}
	for _, d := range shared {
		k.Lanes.Damaged(d)
		if d.Key == registry.Key {
			k.Lanes.PublishSoon()
		}
	}
	return nil
}
