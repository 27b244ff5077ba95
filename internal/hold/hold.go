// Package hold records which lanes take no tasks, why, since when and until when. The
// record is in Redis, so that all workers follow a hold, one of them probes whether its
// cause is over, and a person can add and end one.
//
// The package must not know tasks, platforms or asynq: to it a scope is only a name.
package hold

import (
	"strings"
	"time"
)

const (
	// Key is the Redis hash of all holds, one field for each.
	Key = "rollcall:holds"
	// Channel notifies workers that a hold changed.
	Channel = "rollcall:holds"
)

// Level is how large the scope of a hold is.
type Level string

// The levels.
const (
	Lane         Level = "lane"
	Tenant       Level = "tenant"       // all its lanes
	Organisation Level = "organisation" // all its metered lanes
	Address      Level = "address"      // all lanes that call from it
)

// Scope is the scope of a hold.
type Scope struct {
	Level Level  `json:"level"`
	Name  string `json:"name"`
}

func (p Scope) String() string { return string(p.Level) + " " + p.Name }

// Class groups holds. Its values are stored, and are labels of metrics.
type Class string

// The classes.
const (
	Operator Class = "operator" // added by a person
	Quota    Class = "quota"    // the month's or the day's calls are spent
	Refused  Class = "refused"  // credentials, permissions, a disabled app
	Failing  Class = "failing"  // the platform fails or does not answer
	Banned   Class = "banned"   // the platform has blocked us, or a long pause after refusals for the rate
	// Suspected means that one answer looked like an answer to a banned address.
	Suspected Class = "suspected"
)

// Classes lists every Class.
func Classes() []Class { return []Class{Operator, Quota, Refused, Failing, Banned, Suspected} }

// Probe is how a worker finds out that the cause of a hold is over.
type Probe string

// The probes.
const (
	ByTime  Probe = ""      // ends by its time, or by a person
	ByToken Probe = "token" // the unmetered call for a token
	ByTask  Probe = "task"  // one pending task
	// ByAddress is also an unmetered token call, but it tests the address and not the
	// credentials: any answer of the platform itself ends the hold. A worker that does
	// not know this value leaves the probe to others.
	ByAddress Probe = "address"
)

// Hold is one hold. A scope can have two at the same time: a person's and an automatic
// one. Neither ends the other.
type Hold struct {
	Scope

	Class  Class  `json:"class"`
	Reason string `json:"reason"` // what happened and what to do, for a person
	// Bulk means that urgent tasks are still taken.
	Bulk  bool      `json:"bulk,omitzero"`
	Since time.Time `json:"since"`
	Until time.Time `json:"until,omitzero"` // zero: until it is ended
	By    string    `json:"by"`             // person or worker that added it
	Probe Probe     `json:"probe,omitzero"`
	// Next is when it may be probed, and Tries how many probes have ended. While a
	// worker probes, Next is the end of its claim.
	Next  time.Time `json:"next,omitzero"`
	Tries int       `json:"tries,omitzero"`
	// Probing is the worker that probes now; valid until Next. Empty: none.
	Probing string `json:"probing,omitzero"`
	Seen    Seen   `json:"seen,omitzero"`

	raw string // as stored
}

func (h Hold) field() string {
	source := "auto"
	if h.Class == Operator {
		source = "operator"
	}
	return string(h.Level) + ":" + h.Name + "/" + source
}

// HowToEnd returns how the hold ends, for a person.
func (h Hold) HowToEnd() string {
	name := h.Name
	if h.Level != Lane {
		name = string(h.Level) + " " + name
	}
	switch {
	case h.Class == Operator:
		return "rollcall lanes release " + name
	case h.Probe != ByTime:
		return "automatically when a probe succeeds; to probe now: rollcall lanes release " + name
	case h.Class == Quota:
		return "automatically when more calls are allowed or the time is over"
	}
	return "automatically when the time is over; at once: rollcall lanes release " + name + " --force"
}

// Change is the effect of Put or End.
type Change string

// The changes.
const (
	Entered Change = "entered"
	Changed Change = "changed" // another reason, or another end of a person's hold
	Same    Change = "same"
	Left    Change = "left"
)

// ParseScope parses "dt.nickname" as a lane, "tenant dt" as a tenant and "organisation
// lakeside" as an organisation.
func ParseScope(text string) (Scope, bool) {
	for _, level := range []Level{Lane, Tenant, Organisation, Address} {
		if name, ok := strings.CutPrefix(text, string(level)+" "); ok {
			return Scope{level, name}, name != ""
		}
	}
	return Scope{Lane, text}, strings.Contains(text, ".")
}
