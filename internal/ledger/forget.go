package ledger

import (
	"context"
	"errors"
	"fmt"
)

var (
	// ErrUnknownOutcome means that the outcome of a send is unknown: its record is needed
	// until a change, or a person, settles it.
	ErrUnknownOutcome = errors.New("the outcome of a change of this target is unknown: settle it first")
	// ErrWaits means that a change of the target has not ended.
	ErrWaits = errors.New("a change of this target waits in a queue: let it end, or cancel it")
)

// whyKept are the answers of forget.lua for a target of which something is underway.
var whyKept = map[string]error{"busy": ErrUnderway, "unknown": ErrUnknownOutcome, "waits": ErrWaits}

// Forget removes what is recorded about a target: values, history, and the entry of
// [Ledger.Find]. A lock of a value that can be set once stays until it ends, without the
// value, under the key of the target. It reports whether there was anything. Results of
// runs and dead letters have records of their own. One round trip.
//
// Errors: [ErrUnderway], [ErrUnknownOutcome], [ErrWaits].
func (l *Ledger) Forget(ctx context.Context, target Target) (bool, error) {
	keys := []string{target.redisKey(), target.effects(), target.edits(), target.tasks(), target.index(), target.unknownTargets()}
	answer, err := forget.Run(ctx, l.rdb, keys, target.Key).Text()
	if err != nil {
		return false, fmt.Errorf("ledger: forget a target: %w", l.explain(ctx, target, err))
	}
	return answer == "ok", whyKept[answer]
}
