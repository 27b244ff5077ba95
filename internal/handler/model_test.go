package handler_test

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// model is the expected state of the handlers, the ledger and the platform together:
// which changes were requested, in which order, and which tasks are dead. It knows
// nothing of Redis, leases, retries or crashes.
type model struct {
	changes map[string][]modelChange // of a field, as "group chat1 name", oldest first
	edits   []edit                   // of the chat's members, in the order of their revisions
	people  map[string]*person
	last    map[string]int64 // the last revision of a target
}

// deed is a task and its effects.
type deed struct {
	rev    int64
	dead   bool
	acted  bool // one of its sends had an effect
	loose  bool // its position in the edit queue is lost: later edits may run before it
	before int  // number of effects at the platform when it was stored
}

type modelChange struct {
	*deed
	value string
}

type edit struct {
	*deed
	add, del []string
}

func newModel() *model {
	return &model{changes: map[string][]modelChange{}, people: map[string]*person{}, last: map[string]int64{}}
}

// revised records a revision. Each must be higher than the last of its target.
func (m *model) revised(target string, rev int64) (err error) {
	if last := m.last[target]; rev <= last {
		err = fmt.Errorf("revision %d of %s comes after %d", rev, target, last)
	}
	m.last[target] = rev
	return err
}

// newest returns the latest change of a field: the value that it must have in the end.
// A dead change imposes nothing, and does not restore an earlier one.
func (m *model) latest(place string) modelChange { return m.changes[place][len(m.changes[place])-1] }

// places returns all fields that were ever changed.
func (m *model) positions() []string { return slices.Sorted(maps.Keys(m.changes)) }

// membersMayBe reports whether edits that all ended, in the order of their revisions,
// turn before into now. A dead edit counts if it had an effect.
func membersMayBe(before, now []string, edits []edit) bool {
	if len(edits) == 0 {
		return slices.Equal(before, now)
	}
	for i, e := range edits {
		rest := slices.Delete(slices.Clone(edits), i, i+1)
		if e.dead && membersMayBe(before, now, rest) || (!e.dead || e.acted) && membersMayBe(e.applied(before), now, rest) {
			return true
		}
		if !e.loose {
			return false
		}
	}
	return false
}

func (e edit) applied(before []string) []string {
	after := slices.Concat(before, e.add)
	after = slices.DeleteFunc(after, func(m string) bool { return slices.Contains(e.del, m) })
	slices.Sort(after)
	return slices.Compact(after)
}

// person is a user whose ID is to change.
type person struct {
	id      string // with an unknown outcome; "": none
	sends   int
	at, was time.Time // time of the last send, and of the one before
	locked  time.Time // no ID may be sent before
	given   bool      // given up to a person: no ID may be sent until they settle it
}

// What an attempt learns about an ID that it sent.
const (
	idApplied  = "applied"
	idReserved = "reserved" // another user has it
	idLocked   = "locked"   // the user's ID was changed before
	idRefused  = "refused"
	idUnread   = "unread" // refused before the platform read it
	idUnclear  = "unclear"
)

func (m *model) person(who string) *person {
	if m.people[who] == nil {
		m.people[who] = &person{}
	}
	return m.people[who]
}

// send returns an error if an ID must not be sent now.
func (p *person) send(id string, now time.Time) error {
	switch {
	case p.given:
		return fmt.Errorf("%s is sent while %s waits for a person", id, p.id)
	case now.Before(p.locked):
		return fmt.Errorf("%s is sent for a locked user", id)
	case p.id != "" && p.id != id:
		return fmt.Errorf("%s is sent while the outcome of %s is unknown", id, p.id)
	case p.sends == 3:
		return fmt.Errorf("%s is sent for the fourth time", id)
	case p.sends > 0 && now.Sub(p.at) < 2*time.Minute:
		return fmt.Errorf("%s is sent again %s after it was sent", id, now.Sub(p.at))
	}
	p.id, p.sends, p.at, p.was = id, p.sends+1, now, p.at
	return nil
}

// learn records an answer. An answer that forbids sends counts only if it was surely
// recorded; one that allows sends counts if it may have been. learn reports whether the
// answer counted.
func (p *person) learn(answer string, certain bool, now time.Time) bool {
	switch again := p.sends > 1; {
	case answer == idRefused, answer == idReserved && !again, answer == idUnread && !again:
		*p = person{}
	case answer == idUnread:
		p.sends, p.at = p.sends-1, p.was
	case answer == idLocked && !again && certain:
		*p = person{locked: now.AddDate(0, 0, 29)}
	case answer == idLocked && !again:
		*p = person{}
		return false
	case !certain:
		return false
	case answer == idApplied:
		*p = person{locked: now.AddDate(0, 11, 0)}
	case answer != idUnclear || p.sends == 3:
		p.given = true
	}
	return true
}
