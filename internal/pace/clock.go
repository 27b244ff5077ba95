package pace

import (
	"sync"
	"time"
)

// clock estimates Redis' clock from this process' clock, by the round trips that are
// made anyway. A long round trip is inaccurate, so the shortest is used.
type clock struct {
	mu    sync.Mutex
	base  time.Time // contains the monotonic reading
	ahead int64     // Redis' clock minus ours, in microseconds
	error int64     // largest error of ahead, in microseconds
	at    time.Time // of the sample; zero: none yet
}

// sampleLasts is how long a sample is valid, at the usual drift of clocks.
const sampleLasts = 10 * time.Second

func newClock() *clock { return &clock{base: time.Now()} }

// sample records Redis' clock as it was between two moments of ours.
func (c *clock) sample(sent, received time.Time, redisNow int64) {
	half := received.Sub(sent).Microseconds()/2 + 1
	ahead := redisNow - (sent.Sub(c.base).Microseconds() + half)
	c.mu.Lock()
	defer c.mu.Unlock()
	apart := max(ahead-c.ahead, c.ahead-ahead)
	// Two samples that contradict each other mean that a clock was set, or that another
	// Redis took over.
	if c.at.IsZero() || half <= c.error || received.Sub(c.at) > sampleLasts || apart > half+c.error {
		c.ahead, c.error, c.at = ahead, half, received
	}
}

// local returns the time of our clock for a time of Redis' clock.
func (c *clock) local(us int64) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.base.Add(time.Duration(us-c.ahead) * time.Microsecond)
}

// lead is how long before its slot a sender is woken: the work that remains before its
// call leaves, a round trip to Redis, must not make the call late.
func (c *clock) lead() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	trip := 2 * time.Duration(c.error) * time.Microsecond // the shortest recent round trip
	return min(5*time.Millisecond+trip+trip/2, Horizon/2)
}
