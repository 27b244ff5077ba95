// Package runs is how a Go service changes many names at once: it uploads rows, sees the
// plan, applies it, waits, reads what became of each row, and takes it back. Workers carry
// the rows out. docs/runs.md shows the same with commands.
//
// A program that links it links no platform and no worker.
package runs

import (
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/ledger"
	"rollcall/internal/redisdb"
	"rollcall/internal/run"
)

type (
	// Draft is what a run is made from.
	Draft = run.Draft
	// Settings are the choices of a run.
	Settings = run.Settings
	// Row is a row as it is uploaded.
	Row = run.Row
	// Planned is a row with its decision.
	Planned = run.Planned
	// Value is one field of a row, before and after.
	Value = run.Value
	// Result is a row with its outcome.
	Result = run.Result
	// Run is a run as it is now.
	Run = run.Run
	// Plan is the summary of a plan.
	Plan = run.Plan
	// Guard is a check of a plan that objects.
	Guard = run.Guard
	// Lane is the part of a run that goes through one lane.
	Lane = run.Lane
	// Cost is what a plan spends of an organisation's month.
	Cost = run.Cost
	// Filter selects runs of a list.
	Filter = run.Filter
	// Undone is a row with what would undo it.
	Undone = run.Undone
	// Verified is what an undo did to a row.
	Verified = run.Verified
	// Forgotten is what Client.Forget did.
	Forgotten = run.Forgotten

	// State is where a run is in its life.
	State = run.State
	// Decision is what a plan does with a row.
	Decision = run.Decision
	// Outcome is what became of a row.
	Outcome = run.Outcome
	// Verdict is what an undo did to a row, in a word.
	Verdict = run.Verdict

	// NotFoundError reports a run that does not exist, or no longer.
	NotFoundError = run.NotFoundError
	// StateError reports that a run is in a state in which something cannot be done.
	StateError = run.StateError
	// DigestError reports that the plan is another than the one that was seen.
	DigestError = run.DigestError
	// GapError reports rows that do not follow those that are in.
	GapError = run.GapError
	// CountError reports that a run has another number of rows.
	CountError = run.CountError
	// ApproverError reports that the author of a run may not approve it.
	ApproverError = run.ApproverError
)

// The states of a run.
const (
	StateUploading = run.StateUploading
	StatePlanned   = run.StatePlanned
	StateHeld      = run.StateHeld
	StateCanary    = run.StateCanary
	StateApplying  = run.StateApplying
	StatePaused    = run.StatePaused
	StateDone      = run.StateDone
	StateCancelled = run.StateCancelled
	StateRejected  = run.StateRejected
	StateExpired   = run.StateExpired
)

// The decisions of a plan.
const (
	RowChange     = run.RowChange
	RowNew        = run.RowNew
	RowUnchanged  = run.RowUnchanged
	RowConflict   = run.RowConflict
	RowImpossible = run.RowImpossible
	RowExcluded   = run.RowExcluded
)

// The outcomes of a row.
const (
	OutcomeWaiting    = run.OutcomeWaiting
	OutcomeOpen       = run.OutcomeOpen
	OutcomeApplied    = run.OutcomeApplied
	OutcomeUnchanged  = run.OutcomeUnchanged
	OutcomeSuperseded = run.OutcomeSuperseded
	OutcomeFailed     = run.OutcomeFailed
	OutcomeCancelled  = run.OutcomeCancelled
	OutcomeConflict   = run.OutcomeConflict
	OutcomeImpossible = run.OutcomeImpossible
	OutcomeExcluded   = run.OutcomeExcluded
)

// The verdicts of Client.Verify.
const (
	VerdictRestored   = run.VerdictRestored
	VerdictSkipped    = run.VerdictSkipped
	VerdictImpossible = run.VerdictImpossible
	VerdictOpen       = run.VerdictOpen
	VerdictNothing    = run.VerdictNothing
)

// Bounds of a run, and of one call of Client.Add.
const (
	MaxRows = run.MaxRows
	MaxAdd  = run.MaxAdd
)

// Config configures a [Client].
type Config struct {
	// Redis is a single server, Sentinel or Cluster. Required.
	Redis *redis.UniversalOptions
	// Keep is how long a run is kept after its last change. 0: as long as the workers say
	// (runs.keep), 90 days if none does.
	Keep time.Duration
}

// Client makes, plans and steers runs. It is safe for concurrent use.
type Client struct {
	*run.Service

	rdb redis.UniversalClient
}

// New returns a client. It does not connect: the first call does.
func New(config Config) (*Client, error) {
	if config.Redis == nil {
		return nil, errors.New("runs: Config.Redis is nil: name the Redis to use")
	}
	rdb := redisdb.New(config.Redis)
	return &Client{run.New(run.Config{Redis: rdb, Ledger: ledger.New(rdb), Keep: config.Keep}), rdb}, nil
}

// Close closes the client's connections.
func (c *Client) Close() error { return c.rdb.Close() }
