package remote

import (
	"errors"
	"time"

	"rollcall/internal/run"
)

// now is the clock by which lanes are read again.
func now() time.Time { return time.Now() }

func isMissing(err error) bool {
	_, missing := errors.AsType[*run.NotFoundError](err)
	return missing
}
