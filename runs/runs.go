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

// What a [Client] takes and returns.
type (
	// Draft is what a run is made from, Settings its choices.
	Draft    = run.Draft
	Settings = run.Settings
	// Row is a row as it is uploaded, Planned one with its decision, Result one with its
	// outcome.
	Row     = run.Row
	Planned = run.Planned
	Result  = run.Result
	Value   = run.Value
	// Run is a run as it is now, Plan its summary.
	Run    = run.Run
	Plan   = run.Plan
	Guard  = run.Guard
	Lane   = run.Lane
	Cost   = run.Cost
	Filter = run.Filter
	// Undone is a row with what would undo it, Verified what an undo did.
	Undone   = run.Undone
	Verified = run.Verified
	// Forgotten is what Client.Forget did.
	Forgotten = run.Forgotten

	State    = run.State
	Decision = run.Decision
	Outcome  = run.Outcome
	Verdict  = run.Verdict
)

// The errors that a caller can act on.
type (
	NotFoundError = run.NotFoundError
	StateError    = run.StateError
	DigestError   = run.DigestError
	GapError      = run.GapError
	CountError    = run.CountError
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
	// Keep is how long a run is kept after its last change. 0: 90 days.
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
