package pace

import (
	"sync"
	"time"
)

// clock reads Redis' clock on this process' own, by the round trips that are
// made anyway. One that took long tells little, so the shortest counts.
type clock struct {
	mu    sync.Mutex
	base  time.Time // carries the monotonic reading
	ahead int64     // Redis' clock less ours, microseconds
	error int64     // how far ahead may be wrong
	at    time.Time // of the sample; zero: none yet
}

// sampleLasts is how long a sample is good for, at the usual drift of clocks.
const sampleLasts = 10 * time.Second

func newClock() *clock { return &clock{base: time.Now()} }

// sample takes in what Redis' clock said between two moments of ours.
func (c *clock) sample(sent, received time.Time, redisNow int64) {
	half := received.Sub(sent).Microseconds()/2 + 1
	ahead := redisNow - (sent.Sub(c.base).Microseconds() + half)
	c.mu.Lock()
	defer c.mu.Unlock()
	apart := max(ahead-c.ahead, c.ahead-ahead)
	// Two that contradict each other mean that a clock was set, or that another
	// Redis has taken over.
	if c.at.IsZero() || half <= c.error || received.Sub(c.at) > sampleLasts || apart > half+c.error {
		c.ahead, c.error, c.at = ahead, half, received
	}
}

// local is the moment of ours at which Redis' clock shows us.
func (c *clock) local(us int64) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.base.Add(time.Duration(us-c.ahead) * time.Microsecond)
}

// lead is how long before its slot a sender is let go: what it has to do until
// its call leaves, a round trip to Redis, must not make the call late.
func (c *clock) lead() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	trip := 2 * time.Duration(c.error) * time.Microsecond // the shortest of late
	return min(5*time.Millisecond+trip+trip/2, Horizon/2)
}
