package monitor

import "time"

// At returns the configuration with a clock of its own.
func (c Config) At(now func() time.Time) Config {
	c.now = now
	return c
}
