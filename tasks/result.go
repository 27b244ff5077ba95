package tasks

import (
	"errors"
	"fmt"

	"rollcall/internal/redisdb"
)

// Outcome says what became of a request to enqueue a task.
type Outcome uint8

const (
	// NotStored means that the task is certainly not in Redis and that asking
	// again may help.
	NotStored Outcome = iota
	// Stored means that the task is in Redis.
	Stored
	// AlreadyThere means that an earlier request with the same key stored it.
	AlreadyThere
	// NotKnown means that the request left and no answer came, twice: the task
	// may or may not be in Redis.
	NotKnown
	// Refused means that the task is certainly not in Redis, and that asking
	// again for the same will not help.
	Refused
	// Outdated means that the source has said more since of all that the task
	// changes: nothing was stored, and nothing is left to do.
	Outdated
)

var outcomeNames = [...]string{
	NotStored: "not_stored", Stored: "stored", AlreadyThere: "already_there", NotKnown: "not_known", Refused: "refused",
	Outdated: "outdated",
}

// String returns the outcome's name as it stands in the command's JSON.
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return fmt.Sprintf("outcome(%d)", uint8(o))
}

// Result is what became of one request.
type Result struct {
	Outcome Outcome
	// TaskID and Queue name the task in asynq. Empty where nothing was sent.
	TaskID string
	Queue  string
	// Revision is the one that the stored task carries. 0 where nothing was
	// stored, or where an earlier request stored it.
	Revision int64
	// Warning tells of a loss that costs at most one call; empty as a rule.
	Warning string
	// Err is nil for Stored, AlreadyThere and Outdated. Refused: [*ValidationError],
	// [*UnservedError], [*KeyReusedError] or, for a key of the wrong form,
	// [*KeyError]. NotStored and NotKnown: [*StoreError].
	Err error
}

// StoreError tells that Redis did not take a task, or may not have.
type StoreError struct {
	Outcome Outcome // NotStored or NotKnown
	Step    string  // what was being done: "take a revision"
	Queue   string
	TaskID  string // empty while nothing of the task was sent
	Keyed   bool   // the request had a key
	Err     error  // go-redis' own; the context's, if that ended it
}

func (e *StoreError) Error() string {
	_, passing := redisdb.FaultOf(e.Err)
	switch {
	case e.Outcome != NotKnown && passing:
		return fmt.Sprintf("%s; nothing was stored for %s, safe to retry", redisdb.Explain(e.Err), e.Queue)
	case e.Outcome != NotKnown:
		return fmt.Sprintf("task for %s is not stored: %s: %v", e.Queue, e.Step, e.Err)
	}
	advice := "look for that id, or enqueue the task again, which costs at most one call too many; a key makes that safe"
	if e.Keyed {
		advice = "enqueue it again with the same key: it cannot be stored twice"
	}
	return fmt.Sprintf("task %s for %s may or may not be stored: %s: %v: %s", e.TaskID, e.Queue, e.Step, e.Err, advice)
}

// Unwrap returns the error as go-redis gave it.
func (e *StoreError) Unwrap() error { return e.Err }

func refused(err error) Result { return Result{Outcome: Refused, Err: err} }

// isRefusal tells an error about the request itself from one of Redis.
func isRefusal(err error) bool {
	_, unserved := errors.AsType[*UnservedError](err)
	_, reused := errors.AsType[*KeyReusedError](err)
	return unserved || reused
}
