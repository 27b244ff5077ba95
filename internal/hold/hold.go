// Package hold is the record of which lanes take no tasks, why, since when and
// until when. It lies in Redis, so that all workers keep a hold, one of them
// finds out whether it is over, and a person can set and lift one.
//
// It must not know tasks, platforms or asynq: a place is a name to it.
package hold

import (
	"strings"
	"time"
)

const (
	// Key is the Redis hash of all holds, a field each.
	Key = "rollcall:holds"
	// Events is the Redis stream of holds that began, changed or ended.
	Events = "rollcall:events"
	// Channel tells workers that something changed.
	Channel = "rollcall:holds"
	// eventsKept bounds the stream, more or less.
	eventsKept = 10_000
)

// Level says how far a hold reaches.
type Level string

// The levels.
const (
	Lane         Level = "lane"
	Tenant       Level = "tenant"       // all its lanes
	Organisation Level = "organisation" // all its metered lanes
	Address      Level = "address"      // all lanes that call from it
)

// Place is what is held.
type Place struct {
	Level Level  `json:"level"`
	Name  string `json:"name"`
}

func (p Place) String() string { return string(p.Level) + " " + p.Name }

// Class groups holds. Its values are stored, and are labels of metrics.
type Class string

// The classes.
const (
	Operator Class = "operator" // a person said so
	Quota    Class = "quota"    // the month's or the day's calls are spent
	Refused  Class = "refused"  // credentials, permissions, an app that is shut off
	Failing  Class = "failing"  // the platform answers with faults, or not at all
	Banned   Class = "banned"   // the platform has blocked us, or a long pause after refusals for the rate
	// Suspected means that one answer looked like that to a banned address.
	Suspected Class = "suspected"
)

// Classes lists every Class.
func Classes() []Class { return []Class{Operator, Quota, Refused, Failing, Banned, Suspected} }

// Probe is how it is found out that a hold is over.
type Probe string

// The probes.
const (
	ByTime  Probe = ""      // it ends, or somebody lifts it
	ByToken Probe = "token" // the unmetered call for a token
	ByTask  Probe = "task"  // one task that waits
	// ByAddress is an unmetered call for a token as well, which is about the
	// address and not about the credentials: any answer of the platform's own ends
	// the hold. Workers that do not know it leave the probe to those that do.
	ByAddress Probe = "address"
)

// Hold is one hold. A place can have two at once: a person's and one that came
// by itself. Neither undoes the other.
type Hold struct {
	Place

	Class  Class  `json:"class"`
	Reason string `json:"reason"` // what happened and what to do, for a person
	// Bulk tells that urgent tasks still go.
	Bulk  bool      `json:"bulk,omitzero"`
	Since time.Time `json:"since"`
	Until time.Time `json:"until,omitzero"` // zero: until it is lifted
	By    string    `json:"by"`             // who or which worker
	Probe Probe     `json:"probe,omitzero"`
	// Next is when it may be probed, and Tries how many probes have ended. While
	// a worker probes it, Next is the end of that worker's lease.
	Next  time.Time `json:"next,omitzero"`
	Tries int       `json:"tries,omitzero"`
	// Probing is the worker that probes it now; it counts until Next. Empty: none.
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

// HowToLift says what ends the hold, for a person.
func (h Hold) HowToLift() string {
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

// Change is what came of a word about a hold.
type Change string

// The changes.
const (
	Entered Change = "entered"
	Changed Change = "changed" // another reason, or another end of a person's
	Same    Change = "same"
	Left    Change = "left"
)

// ParsePlace reads "dt.nickname" as a lane, and "tenant dt" or "organisation
// lakeside" as what they say.
func ParsePlace(text string) (Place, bool) {
	for _, level := range []Level{Lane, Tenant, Organisation, Address} {
		if name, ok := strings.CutPrefix(text, string(level)+" "); ok {
			return Place{level, name}, name != ""
		}
	}
	return Place{Lane, text}, strings.Contains(text, ".")
}
