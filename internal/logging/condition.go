package logging

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// remindEvery is how often a condition that lasts is logged again.
	remindEvery = 5 * time.Minute
	// silence is how long a condition must not have been found to count as a new
	// one, where nobody reports its end.
	silence = time.Minute
)

// Condition logs a fault that is found again and again: a line when it begins, one
// for each further state that it takes, one every five minutes while it lasts, and
// one when it ends. Its methods are safe for concurrent use.
type Condition struct {
	// Log is where to. Required.
	Log *slog.Logger
	// Level of the lines but the last, which has level info. Zero: info.
	Level slog.Level
	// Began is the message while it lasts, and Ended the one when it is over; empty:
	// its end is not logged.
	Began, Ended string
	// Settle is how long it must not have been found to be over: a fault that
	// comes and goes is one. Zero: its end is logged at once.
	Settle time.Duration

	mu          sync.Mutex
	since, last time.Time // of the condition, and when it was found last
	lined       time.Time // the last line
	states      map[string]bool
	found       int
}

// Found reports that the condition holds. state tells apart what deserves a line of
// its own, such as the name of a fault; attrs are those of the line. It returns
// whether it logged one.
func (c *Condition) Found(state string, attrs ...any) (logged bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.states == nil || c.Ended == "" && now.Sub(c.last) >= silence {
		c.since, c.found, c.states = now, 0, map[string]bool{}
	}
	c.last = now
	c.found++
	switch {
	case !c.states[state]:
		c.states[state] = true
	case now.Sub(c.lined) >= remindEvery:
		attrs = append(attrs, "for", now.Sub(c.since).Round(time.Second), "times", c.found)
	default:
		return false
	}
	c.lined = now
	c.Log.Log(context.Background(), c.Level, c.Began, attrs...)
	return true
}

// Gone reports that the condition does not hold now.
func (c *Condition) Gone() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.states == nil || time.Since(c.last) < c.Settle {
		return
	}
	c.states = nil
	if c.Ended != "" {
		c.Log.Info(c.Ended, "after", c.last.Sub(c.since).Round(time.Second), "times", c.found)
	}
}

// Conditions are conditions of one logger by their messages. The zero value has
// none; Log is required.
type Conditions struct {
	Log *slog.Logger

	mu  sync.Mutex
	all map[string]*Condition
}

// Of returns the condition with these messages, which it makes at the first call.
// Its lines have level warn.
func (c *Conditions) Of(began, ended string) *Condition {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[string]*Condition{}
	}
	if c.all[began] == nil {
		c.all[began] = &Condition{Log: c.Log, Level: slog.LevelWarn, Began: began, Ended: ended, Settle: settle}
	}
	return c.all[began]
}

// settle is the Settle of Conditions.
const settle = 10 * time.Second
