// Package exitcode holds the exit codes that all commands share, and the error
// that carries one. 64 and 78 are those of sysexits.h. Of the commands
// only rollcall plan exits with 2: a Go program that panics does.
//
// It must not know any command.
package exitcode

import (
	"errors"
	"fmt"
)

// The codes. A command adds codes of its own from 3 to 63.
const (
	OK     = 0
	Failed = 1  // a failure while running: a port is taken, an output cannot be written
	Usage  = 64 // wrong flags, arguments or input: nothing was started
	Config = 78 // a wrong configuration, or one that cannot be read: nothing was started
)

// Error ends a command with a code.
type Error struct {
	Code int
	Err  error // nil: everything has been reported
}

// Error is the message of Err.
func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// AsUsage returns err with the code Usage; nil for nil.
func AsUsage(err error) error { return with(Usage, err) }

// AsConfig returns err with the code Config; nil for nil.
func AsConfig(err error) error { return with(Config, err) }

func with(code int, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Code: code, Err: err}
}

// Of returns the code of an error: OK for nil, Failed for one without a code.
func Of(err error) int {
	if err == nil {
		return OK
	}
	if coded, ok := errors.AsType[*Error](err); ok {
		return coded.Code
	}
	return Failed
}
