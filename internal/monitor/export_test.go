package monitor

import "time"

// At returns the configuration with a clock of its own.
func (c Config) At(now func() time.Time) Config {
	c.now = now
	return c
}

// Guesses exposes how wrong logins are slowed down.
type Guesses struct{ guesses }

// Check is a login from an address.
func (g *Guesses) Check(remote string, now time.Time, right bool) (ok bool, wait time.Duration) {
	return g.check(remote, now, func() bool { return right })
}

// Remembered is how many addresses are remembered.
func (g *Guesses) Remembered() int { return len(g.free) }
