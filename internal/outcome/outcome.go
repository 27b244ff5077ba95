// Package outcome has the one table of how an attempt at a task can end: the classes of
// errors, how often each is retried, and what a person does about its dead letters.
//
// It imports nothing of this module, so that a command can use it without the worker.
package outcome

import (
	"maps"
	"slices"
	"time"
)

// Action is what happens to a task after an attempt.
type Action string

const (
	// Done means that the task is finished.
	Done Action = "done"
	// Retry means that the task runs again after a wait.
	Retry Action = "retry"
	// Dead means that no retry will help: the task is archived for a person to check.
	Dead Action = "dead"
)

// Class groups errors that are treated the same. Its values appear in logs, metrics and
// dead letters.
type Class string

// The classes of attempts.
const (
	Busy       Class = "busy"       // the platform or the network; temporary
	Partial    Class = "partial"    // some members were changed and others not
	Unlisted   Class = "unlisted"   // an answer that is in no table
	Throttled  Class = "throttled"  // sent too fast
	Paced      Class = "paced"      // the task's slot is too far in the future to wait for
	Quota      Class = "quota"      // the month's calls are spent
	Refused    Class = "refused"    // credentials, permissions, our own code
	Rejected   Class = "rejected"   // the task itself is wrong; a retry cannot succeed
	Unverified Class = "unverified" // unknown outcome, and the request must not be repeated
	Malformed  Class = "malformed"  // the message is not a readable task
	Newer      Class = "newer"      // written by a newer version of the producer
	Waiting    Class = "waiting"    // another task holds the lease of the target
	Unknown    Class = "doubtful"   // unknown outcome: the same request is sent again, minutes later
	Overtaken  Class = "overtaken"  // the lease of the target was lost or a later change exists: decide again
	Held       Class = "held"       // the lane is on hold
	Halted     Class = "halted"     // the run of the task is paused, or its state could not be read
	Cancelled  Class = "cancelled"  // the run of the task was cancelled: the task ends without a call
	Stopping   Class = "stopping"   // the worker is stopping
	Internal   Class = "internal"   // Redis or an error of rollcall
	Panic      Class = "panic"      // a defect of rollcall
	Poison     Class = "poison"     // too many workers died while they ran it
)

// The classes of dead letters that no attempt of this version ended in.
const (
	// Archived tasks were archived by asynq's recoverer, or by a person in the web UI.
	Archived Class = "archived"
	// Vanished tasks were stored and have not ended, and asynq no longer knows them.
	Vanished Class = "vanished"
	// Unreadable dead letters were written by a newer version.
	Unreadable Class = "unreadable"
)

// Rule describes how a class is treated. The zero value retries at once, without end.
type Rule struct {
	// Attempts bounds how often a task may end in this class. 0: attempts are not
	// counted, and the task returns to its queue unchanged.
	Attempts int
	// Horizon bounds the time since the task's first attempt that ended in this class;
	// 0: no bound.
	Horizon time.Duration
	// Base and Limit are the shortest and longest wait before full jitter. The wait
	// doubles from Base with every counted attempt.
	Base, Limit time.Duration
	Dead        bool // archived after the first attempt
	// Advice is what to do about the dead letters of the class if the platform's table
	// has no advice for their code. Empty: the class has none.
	Advice string
}

// rules is the one table of how often, and for how long, each class is retried. A task
// that a hold stops waits in its queue until the lane continues; its own wait of a
// second only returns it to the queue.
var rules = map[Class]Rule{
	Busy: {
		Attempts: 12, Horizon: 6 * time.Hour, Base: 2 * time.Second, Limit: 10 * time.Minute,
		Advice: "the platform or the network was down for hours: see that it is back, then replay them",
	},
	Partial: {
		Attempts: 3, Horizon: 24 * time.Hour, Base: 20 * time.Second, Limit: 10 * time.Minute,
		Advice: "some members were changed and others not: look at the course, then replay what matters",
	},
	Unlisted: {
		Attempts: 3, Horizon: time.Hour, Base: 5 * time.Second, Limit: time.Minute,
		Advice: "no table knows the answer: report it with its code; replay one, and the others if it goes through",
	},
	Panic: {
		Attempts: 3, Horizon: time.Hour, Base: 5 * time.Second, Limit: time.Minute,
		Advice: "a defect of rollcall: report it with the stack from the log; replay them with a version that fixes it",
	},
	Throttled:  {Base: time.Second, Limit: time.Second},
	Paced:      {Base: time.Second, Limit: time.Second},
	Quota:      {Base: time.Second, Limit: time.Second},
	Refused:    {Base: time.Second, Limit: time.Second},
	Newer:      {Base: time.Minute, Limit: time.Minute},
	Waiting:    {Base: time.Second, Limit: time.Second},
	Unknown:    {Base: time.Second, Limit: time.Second},
	Overtaken:  {Base: time.Second, Limit: time.Second},
	Held:       {Base: time.Second, Limit: time.Second},
	Halted:     {Base: 10 * time.Second, Limit: 10 * time.Second},
	Cancelled:  {},
	Stopping:   {},
	Internal:   {Base: 5 * time.Second, Limit: 5 * time.Second},
	Rejected:   {Dead: true, Advice: "the task is wrong: correct it with replay --set, or correct the roster and discard the dead letter"},
	Unverified: {Dead: true, Advice: "an ID change that may have been applied: look the person up, then run rollcall ids confirm or rollcall ids reject"},
	Malformed:  {Dead: true, Advice: "no task can be read out of it: find out who wrote it; replay it with a task from --task, or discard it"},
	Poison:     {Dead: true, Advice: "workers died with it, three in a row: find out why from their logs; replay one after another, the one that kills again is to blame"},
	Archived:   {Dead: true, Advice: "asynq gave up by itself, or somebody archived them: see why; replay what still matters"},
	Vanished:   {Dead: true, Advice: "deleted in the web UI, or lost by a failover or a restored Redis: replay what still matters, discard the rest"},
	Unreadable: {Dead: true, Advice: "written by a newer version: use that one"},
}

// Rule returns how the class is treated; the zero value for an unknown class.
func (c Class) Rule() Rule { return rules[c] }

// Kills reports whether a task of the class can become a dead letter.
func (c Class) Kills() bool { return rules[c].Dead || rules[c].Attempts > 0 }

// OfAttempt reports whether an attempt can end in the class.
func (c Class) OfAttempt() bool {
	return c != Archived && c != Vanished && c != Unreadable
}

// Retries reports whether a task that ends in the class can be tried again.
func (c Class) Retries() bool { return !rules[c].Dead }

// Classes lists every class in alphabetical order.
func Classes() []Class { return slices.Sorted(maps.Keys(rules)) }

// OfDeadLetters lists the classes that dead letters can have, in alphabetical order.
func OfDeadLetters() []Class {
	return slices.DeleteFunc(Classes(), func(c Class) bool { return !c.Kills() })
}
