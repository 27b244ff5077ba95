// Package unverified settles changes of IDs whose outcome is unknown, by what a person saw at
// the platform.
//
// It must not know the platform, nor where the person looks.
package unverified

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/audit"
	"rollcall/internal/deadletter"
	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

// Field is the ledger's field of an ID.
const Field = "id"

// Verdict is what a person saw. Its values are stored in the history of the target.
type Verdict string

// The verdicts.
const (
	Confirm Verdict = "confirm" // the ID was applied
	Reject  Verdict = "reject"  // it was not
)

// Done is the verdict as an outcome.
func (v Verdict) Done() string { return string(v) + "ed" }

// Change is a change of an ID.
type Change struct {
	Lane   registry.Lane
	Target ledger.Target
	// Unknown says that its outcome is unknown. Value and TaskID are what was sent; empty if
	// an older worker sent it.
	Unknown       bool
	Value, TaskID string
	// Last is the last verdict of a person, if nothing was applied since: its later steps may
	// have failed. Empty: none.
	Last    Verdict
	Running bool // a task works on the target and may settle it
	// Dead are the dead letters of class unverified of the employee, in all tenants of the
	// organisation.
	Dead []ledger.DeadLetter
}

// Open reports whether the verdict can be recorded, or completed.
func (c Change) Open(v Verdict) bool { return c.Unknown || c.Last == v }

// Service settles changes of IDs.
type Service struct {
	rdb    redis.UniversalClient
	ledger *ledger.Ledger
	dead   *deadletter.Service
}

// New returns a Service on a Redis.
func New(rdb redis.UniversalClient) *Service {
	return &Service{rdb: rdb, ledger: ledger.New(rdb), dead: deadletter.New(rdb, nil)}
}

// Look reads the change of an employee's ID. It reads all dead letters of class unverified.
func (s *Service) Look(ctx context.Context, lane registry.Lane, target ledger.Target) (Change, error) {
	c := Change{Lane: lane, Target: target}
	record, err := s.ledger.Look(ctx, target)
	if err != nil {
		return c, err
	}
	state := record.Fields[Field]
	c.Unknown, c.Running = state.Unknown != 0, record.InFlight
	if state.Intent != nil {
		c.Value, c.TaskID = state.Intent.Value, state.Intent.TaskID
	}
	if len(record.Effects) > 0 {
		c.Last = Verdict(record.Effects[0].Did)
	}
	err = s.dead.Each(ctx, deadletter.Filter{Kind: tasks.KindID, Class: string(outcome.Unverified)}, func(dead []ledger.DeadLetter) error {
		for _, l := range dead {
			if l.Organisation == lane.Organisation && l.Target == target.Key {
				c.Dead = append(c.Dead, l)
			}
		}
		return nil
	})
	return c, err
}

// UnnotedError reports that the verdict was recorded, and is not among the events.
type UnnotedError struct{ Err error }

func (e *UnnotedError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *UnnotedError) Unwrap() error { return e.Err }

// Settle records a verdict first, and then deletes the dead letters of a confirmed ID, so that
// the same call again completes one that failed in between. It returns what was sent. Its
// errors include ledger.ErrUnderway; after a *UnnotedError all is done.
func (s *Service) Settle(ctx context.Context, c Change, v Verdict, by string) (value, taskID string, err error) {
	record := s.ledger.Reject
	if v == Confirm {
		record = s.ledger.Confirm
	}
	var unnoted error
	value, taskID, err = record(ctx, c.Target, Field, by)
	switch {
	case errors.Is(err, ledger.ErrNothingUnknown) && c.Last == v: // recorded before
		value, taskID = c.Value, c.TaskID
	case err != nil:
		return "", "", err
	default:
		err := audit.Write(ctx, s.rdb, audit.Event{
			Event: "id." + v.Done(), Level: audit.Lane, Name: registry.Queue(c.Lane.Tenant, c.Lane.Kind, false), Class: string(outcome.Unverified),
			Reason: "ID change with an unknown outcome, of task " + taskID, By: by,
		})
		if err != nil {
			unnoted = &UnnotedError{err}
		}
	}
	if v == Reject {
		return value, taskID, unnoted
	}
	for _, settled := range s.dead.Discard(ctx, c.Dead) {
		if settled.Err != nil {
			return "", "", fmt.Errorf("the ID is %s, but the dead letter of task %s could not be deleted: %w; safe to retry", v.Done(), settled.DeadLetter.ID, settled.Err)
		}
	}
	return value, taskID, unnoted
}
