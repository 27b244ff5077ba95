package pace

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed address.lua
var addressLua string

//go:embed addresspause.lua
var addressPauseLua string

// addressBurst is the part of an address' limit that may be sent at once. The bookings
// of the lanes are spaced already, and a slot that waits for the address delays its
// lane too.
const addressBurst = 20

// Address is a source address that lanes of several organisations call from. In a
// Cluster its counter is on another node than theirs. It is therefore booked first, and
// its times are passed to the lane's booking as "not before".
type Address struct {
	rdb         redis.UniversalClient
	key         string
	step        int64
	burst       int
	spare       atomic.Int64 // booked but not used
	book, pause *redis.Script
}

// AddressKey is the Redis hash of an address.
func AddressKey(name string) string { return "rollcall:{address/" + name + "}:pace" }

// NewAddress returns the booking of an address that may make limit.Calls in each
// limit.Per. Workers that share an address use the same name.
func NewAddress(rdb redis.UniversalClient, name string, limit Limit) *Address {
	limit.Burst = limit.Calls / addressBurst
	return &Address{
		rdb: rdb, key: AddressKey(name), step: limit.Interval().Microseconds() + 1, burst: limit.Burst,
		book: redis.NewScript(addressLua), pause: redis.NewScript(addressPauseLua),
	}
}

// times books n calls at the earliest possible times; fewer if there is no room for
// all. If there is none, it returns the reason and when to try again.
func (a *Address) times(ctx context.Context, n int) (times []int64, none Reply, err error) {
	spare := a.spare.Swap(0)
	answer, err := a.book.Run(ctx, a.rdb, []string{a.key}, n, a.step, a.burst, Horizon.Microseconds(), spare).Int64Slice()
	if err != nil {
		return nil, Reply{}, fmt.Errorf("pace: book for the address: %w", diagnose(ctx, a.rdb, err, a.key))
	}
	now, pause := answer[0], answer[1]
	none.Dropped = strings.Repeat("next or pause", int(answer[2]))
	if pause > now+Horizon.Microseconds() {
		return nil, Reply{Why: WhyPaused, Again: pause, Dropped: none.Dropped}, nil
	}
	return answer[3:], Reply{Why: WhyHorizon, Again: now + bulkHorizon.Microseconds()/4, Dropped: none.Dropped}, nil
}

// Pause stops all calls from the address for d.
func (a *Address) Pause(ctx context.Context, d time.Duration) error {
	if err := a.pause.Run(ctx, a.rdb, []string{a.key}, d.Microseconds()).Err(); err != nil {
		return fmt.Errorf("pace: pause the address: %w", err)
	}
	return nil
}
