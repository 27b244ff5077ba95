package enqueue

import (
	"fmt"
	"runtime/debug"
	"slices"

	"rollcall/tasks"
)

// PanicError is the cause of a result whose request met a defect of rollcall. Other
// requests are not affected.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("rollcall has a defect, please report it: panic while a task was enqueued: %v", e.Value)
}

// guarded returns a panic of a step as a *PanicError.
func guarded(step func()) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &PanicError{Value: value, Stack: debug.Stack()}
		}
	}()
	step()
	return nil
}

// fail sets the results of rows that have none after a panic: some may be stored.
func (b *batch) fail(groups [][]int, err error) {
	if err == nil {
		return
	}
	for _, i := range slices.Concat(groups...) {
		if r := &b.results[i]; r.Outcome == tasks.NotStored && r.Err == nil {
			*r = tasks.Result{Outcome: tasks.NotKnown, Err: &tasks.StoreError{Outcome: tasks.NotKnown, Step: "store it", Err: err}}
		}
	}
}
