package lane

import (
	"maps"
	"slices"
	"time"

	"rollcall/internal/handler"
	"rollcall/internal/hold"
)

// Observer is told what happens in the lanes, for metrics. It is called from
// many goroutines, between a task and the next: it must not block.
type Observer interface {
	// Attempt is called once for each attempt that came to a verdict. One that
	// asynq cut off, or that ended with its process, has none.
	Attempt(Attempt)
	// Recovered is called when a task whose worker was gone was made pending again.
	Recovered(lane string)
	// Condemned is called when a task died without an attempt's verdict: too many
	// workers died with it, asynq archived it by itself, or asynq has lost it. Of
	// all workers one is told.
	Condemned(lane string, class Class)
	// Closed is called when a dead letter closed itself. Of all workers one is told.
	Closed(lane string, class Class)
	// Unserved is called every 30 s with the queues that nobody serves and the
	// tasks that wait there, unless they cannot be counted. Every worker is told
	// the same.
	Unserved(queues int, tasks int64)
	// Hold is called in the one worker in which a hold began, changed or ended.
	Hold(hold.Change, hold.Hold)
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

// condemned tells of a letter that no attempt led to.
func (l *Lane) condemned(class Class) {
	if l.set.observer != nil {
		l.set.observer.Condemned(l.Name(), class)
	}
}

// closed reports a letter that closed itself.
func (l *Lane) closed(class Class) {
	if l.set.observer != nil {
		l.set.observer.Closed(l.Name(), class)
	}
}

// Classes lists every class in alphabetical order.
func Classes() []Class { return slices.Sorted(maps.Keys(rules)) }

// Kills reports whether a task that ends in the class can become a dead letter.
func (c Class) Kills() bool { return rules[c].dead || rules[c].attempts > 0 }

// Retries reports whether a task that ends in the class can be tried again.
func (c Class) Retries() bool { return !rules[c].dead }
