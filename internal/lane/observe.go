package lane

import (
	"maps"
	"slices"
	"time"

	"rollcall/internal/handler"
)

// Observer is told what happens in the lanes, for metrics. It is called from
// many goroutines, between a task and the next: it must not block.
type Observer interface {
	// Attempt is called once for each attempt that came to a verdict. One that
	// asynq cut off, or that ended with its process, has none.
	Attempt(Attempt)
	// Recovered is called when a task whose worker was gone was made pending again.
	Recovered(lane string)
}

// Attempt is one attempt at one task. Its report holds the target, which may
// name a person.
type Attempt struct {
	Lane    string
	Verdict Verdict
	Report  handler.Report
	Retried int // counted attempts before this one
	Start   time.Time
	Took    time.Duration
}

// Observe has o told of everything from Start on. Without it nobody is. Call it
// before Start.
func (s *Set) Observe(o Observer) { s.observer = o }

func (s *Set) observe(a Attempt) {
	if s.observer != nil {
		s.observer.Attempt(a)
	}
}

// Hold says why the lane is on hold and until when; an empty class if it is not.
func (l *Lane) Hold() (class Class, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.hold.until.After(time.Now()) {
		return "", time.Time{}
	}
	return l.hold.class, l.hold.until
}

// Classes lists every class in alphabetical order.
func Classes() []Class { return slices.Sorted(maps.Keys(rules)) }

// Holds reports whether a task that ends in the class puts lanes on hold.
func (c Class) Holds() bool { return rules[c].hold > 0 }

// Kills reports whether a task that ends in the class can become a dead letter.
func (c Class) Kills() bool { return rules[c].dead || rules[c].attempts > 0 }

// Retries reports whether a task that ends in the class can be tried again.
func (c Class) Retries() bool { return !rules[c].dead }
