package lane

import (
	"context"
	"time"

	"rollcall/internal/hold"
	"rollcall/internal/pace"
	"rollcall/tasks"
)

const (
	// rest is how long asynq sleeps after an empty dequeue, plus or minus half. It is
	// short because the gate does the waiting.
	rest = 20 * time.Millisecond
	// forwardEvery is how often tasks whose wait is over become pending.
	forwardEvery = time.Second
	// maxTasks bounds how many tasks of a lane run in one process: each may need a
	// connection. extraUrgent is how many more urgent tasks may run.
	maxTasks    = 256
	extraUrgent = 4
)

// Deadline is the time limit of one attempt if one HTTP exchange may take timeout:
// three sends, one token call, and time for their slots.
func Deadline(timeout time.Duration) time.Duration { return 4*timeout + 30*time.Second }

// ShutdownTimeout is how long a stop waits for running calls: the longest exchange, the
// slot before it, and the settle after it.
func ShutdownTimeout(timeout time.Duration) time.Duration {
	return timeout + pace.Horizon + 30*time.Second
}

// Config describes a lane.
type Config struct {
	Organisation string
	Tenant       string
	Platform     string // owner of the API, for pauses of the whole platform
	Kind         tasks.Kind
	Limits       []pace.Limit  // initial limits; see Set.SetLimits
	Timeout      time.Duration // of one HTTP exchange
	// Metered reports that calls count against the organisation's month.
	Metered bool
	Quota   pace.Quota // initial quota of the organisation; see Set.SetQuota
	// Address is shared by all lanes that call from one address; nil: none. AddressName
	// names it in holds.
	Address     *pace.Address
	AddressName string
	// Probe checks by an unmetered call whether the tenant's credentials are valid.
	// nil: the platform has no such call, and one task is the probe.
	Probe func(context.Context) error
	// Ask makes that call even if a token is cached, and so checks whether the platform
	// answers this address. nil: Probe is used.
	Ask func(context.Context) error
	// ResendAfter is how long the platform may still carry out a request that was given
	// up. Values that it may have overwritten are sent again then; 0: they are not.
	ResendAfter time.Duration
}

// Name is the lane's name in logs, metrics and queues.
func (c Config) Name() string { return c.Tenant + "." + string(c.Kind) }

// scopes returns the scopes whose holds apply to the lane.
func (c Config) scopes() []hold.Scope {
	scopes := []hold.Scope{{Level: hold.Lane, Name: c.Name()}, {Level: hold.Tenant, Name: c.Tenant}}
	if c.Metered {
		scopes = append(scopes, hold.Scope{Level: hold.Organisation, Name: c.Organisation})
	}
	if c.AddressName != "" {
		scopes = append(scopes, hold.Scope{Level: hold.Address, Name: c.AddressName})
	}
	return scopes
}
