package tasks

import (
	"fmt"
	"strings"

	"rollcall/internal/redisdb"
)

// Outcome is the result of a request to enqueue a task.
type Outcome uint8

const (
	// NotStored means that the task is certainly not in Redis. A retry may store it.
	NotStored Outcome = iota
	// Stored means that the task is in Redis.
	Stored
	// AlreadyThere means that an earlier request with the same key stored it.
	AlreadyThere
	// NotKnown means that the request was sent twice and no answer came: the task
	// may or may not be in Redis.
	NotKnown
	// Refused means that the task is certainly not in Redis and that a retry would
	// be refused again.
	Refused
	// Outdated means that the source has a higher number for everything that the
	// task changes: nothing was stored, and nothing is left to do.
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

// Result is the result of one request.
type Result struct {
	Outcome Outcome
	// TaskID and Queue name the task in asynq. Empty where nothing was sent.
	TaskID string
	Queue  string
	// Revision is the one that the stored task carries. 0 where nothing was
	// stored, or where an earlier request stored it.
	Revision int64
	// Warning describes a loss that costs at most one call. Empty as a rule.
	Warning string
	// Err is nil for Stored, AlreadyThere and Outdated. Refused: [*ValidationError],
	// [*UnservedError], [*KeyReusedError] or, for a key of the wrong form,
	// [*KeyError]. NotStored and NotKnown: [*StoreError].
	Err error
}

// StoreError reports that a task was not stored in Redis, or may not have been.
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

// KeyError reports a key that cannot be used.
type KeyError struct{ What string }

func (e *KeyError) Error() string { return "key " + e.What }

// KeyReusedError reports a key that was used, within KeyLife, for another task.
type KeyReusedError struct {
	Key    string
	Queue  string // of the task that has the key
	TaskID string // empty: that task is in the same batch
}

func (e *KeyReusedError) Error() string {
	if e.TaskID == "" {
		return fmt.Sprintf("key %q stands at an earlier task of the same batch that is not the same: give each task its own key", e.Key)
	}
	return fmt.Sprintf("key %q was used in the last %d hours for another task (%s in %s): give each task its own key",
		e.Key, int(KeyLife.Hours()), e.TaskID, e.Queue)
}

// UnservedError reports that no worker has served the lane of a task within the
// last seven days. Such a task would wait without end.
type UnservedError struct {
	Tenant string
	Kind   Kind
	// Kinds are those for which the tenant is served; empty if it is not served.
	Kinds []Kind
	// Tenants are all tenants that are served for Kind, sorted.
	Tenants []string
}

func (e *UnservedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "no worker serves %s tasks of tenant %q: ", e.Kind, e.Tenant)
	if len(e.Kinds) > 0 {
		fmt.Fprintf(&b, "it is served for %s; ", join(e.Kinds))
	}
	if len(e.Tenants) == 0 {
		fmt.Fprintf(&b, "no tenant is served for %s tasks: start a worker, or look at its configuration", e.Kind)
	} else {
		fmt.Fprintf(&b, "served for %s tasks are %s", e.Kind, strings.Join(e.Tenants, ", "))
	}
	return b.String()
}

func join(kinds []Kind) string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = string(k)
	}
	return strings.Join(names, ", ")
}
