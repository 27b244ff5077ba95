package logging

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// remindEvery is how often a lasting condition is logged again.
	remindEvery = 5 * time.Minute
	// silence is how long a condition, or a state of it, must not be found to count as
	// new, if its end is not reported.
	silence = time.Minute
	// mostStates bounds the states that are remembered.
	mostStates = 10_000
)

// Condition logs a fault that is found repeatedly: one line when it begins, one for
// each change of its state, one every five minutes while it lasts, and one when it
// ends. Its methods are safe for concurrent use.
type Condition struct {
	// Log receives the lines. Required.
	Log *slog.Logger
	// Level is the level of all lines except the last, which has level info. Zero:
	// info.
	Level slog.Level
	// Began is the message while the condition lasts, Ended the message when it is
	// over; empty: its end is not logged.
	Began, Ended string
	// Settle is how long the condition must not be found until it is over, so that an
	// intermittent fault counts as one. Zero: its end is logged at once.
	Settle time.Duration

	mu          sync.Mutex
	since, last time.Time            // start of the condition, and when it was found last
	lined       time.Time            // time of the last line
	states      map[string]time.Time // when each was found last
	found       int
}

// Begin reports that the condition holds. A new state, such as the name of a fault,
// gets a line of its own; attrs are the attributes of the line. It returns whether it
// logged a line.
func (c *Condition) Begin(state string, attrs ...any) (logged bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.states == nil || c.Ended == "" && now.Sub(c.last) >= silence || len(c.states) > mostStates {
		c.since, c.found, c.states = now, 0, map[string]time.Time{}
	}
	c.last = now
	c.found++
	before, known := c.states[state]
	c.states[state] = now
	switch {
	case !known || c.Ended == "" && now.Sub(before) >= silence:
	case now.Sub(c.lined) >= remindEvery:
		attrs = append(attrs, "for", now.Sub(c.since).Round(time.Second), "times", c.found)
	default:
		return false
	}
	c.lined = now
	c.Log.Log(context.Background(), c.Level, c.Began, attrs...)
	return true
}

// End reports that the condition does not hold now.
func (c *Condition) End() {
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

// Conditions are the conditions of one logger, by their messages. The zero value has
// none; Log is required.
type Conditions struct {
	Log *slog.Logger

	mu  sync.Mutex
	all map[string]*Condition
}

// Of returns the condition with these messages, and creates it at the first call. Its
// lines have level warn.
func (c *Conditions) Of(began, ended string) *Condition {
	return c.condition(began, ended, slog.LevelWarn)
}

func (c *Conditions) condition(began, ended string, level slog.Level) *Condition {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[string]*Condition{}
	}
	if c.all[began] == nil {
		c.all[began] = &Condition{Log: c.Log, Level: level, Began: began, Ended: ended, Settle: settle}
	}
	return c.all[began]
}

// settle is the Settle of all Conditions.
const settle = 10 * time.Second
