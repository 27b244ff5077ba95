package handler_test

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// model is what the handlers, the ledger and the platform together are held
// against: what was wished for, in what order, and which tasks are dead. It
// knows nothing of Redis, of marks, retries or crashes.
type model struct {
	wishes map[string][]wish // of a place, as "group chat1 name", oldest first
	edits  []edit            // of the chat's members, in the order of their revisions
	people map[string]*person
	last   map[string]int64 // the last revision of a target
}

// deed is a task, whatever becomes of it.
type deed struct {
	rev    int64
	dead   bool
	acted  bool // a send of it had an effect
	loose  bool // its place among the edits is kept no more: later ones may go before it
	before int  // how many effects the platform had when it was stored
}

type wish struct {
	*deed

	value string
}

type edit struct {
	*deed

	add, del []string
}

func newModel() *model {
	return &model{wishes: map[string][]wish{}, people: map[string]*person{}, last: map[string]int64{}}
}

// revised takes in a revision; each must be above the last of its target.
func (m *model) revised(target string, rev int64) error {
	if last := m.last[target]; rev <= last {
		return fmt.Errorf("revision %d of %s comes after %d", rev, target, last)
	}
	m.last[target] = rev
	return nil
}

// newest is the newest wish for a place: what it must hold in the end. A dead
// one binds nothing, and does not bring an older one back.
func (m *model) newest(place string) wish { return m.wishes[place][len(m.wishes[place])-1] }

// places are those that were ever wished for.
func (m *model) places() []string { return slices.Sorted(maps.Keys(m.wishes)) }

// membersMayBe tells whether edits that all came to their end, in the order of
// their revisions, make now of before. A dead one counts if it had an effect.
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

// person is somebody whose ID is to change.
type person struct {
	id     string // in doubt; "": none
	sends  int
	at     time.Time // of the last
	locked time.Time // nothing may be sent before
	given  bool      // to somebody who looks: nothing may be sent until then
}

// What an attempt learns of an ID that it sent.
const (
	idApplied  = "applied"
	idReserved = "reserved" // somebody has it
	idLocked   = "locked"   // the person's was changed before
	idRefused  = "refused"
	idUnread   = "unread" // refused before anybody looked at it
	idUnclear  = "unclear"
)

func (m *model) person(who string) *person {
	if m.people[who] == nil {
		m.people[who] = &person{}
	}
	return m.people[who]
}

// sends says whether an ID may leave now.
func (p *person) send(id string, now time.Time) error {
	switch {
	case p.given:
		return fmt.Errorf("%s is sent, and %s waits for somebody to look", id, p.id)
	case now.Before(p.locked):
		return fmt.Errorf("%s is sent to somebody who is locked", id)
	case p.id != "" && p.id != id:
		return fmt.Errorf("%s is sent while %s is in doubt", id, p.id)
	case p.sends == 3:
		return fmt.Errorf("%s is sent for the fourth time", id)
	case p.sends > 0 && now.Sub(p.at) < 2*time.Minute:
		return fmt.Errorf("%s is sent again %s after it was sent", id, now.Sub(p.at))
	}
	p.id, p.sends, p.at = id, p.sends+1, now
	return nil
}

// learn takes in an answer. What forbids to send counts only if it is certain
// that it was written down; what allows it may have been. It tells whether it did.
func (p *person) learn(answer string, certain bool, now time.Time) bool {
	again := p.sends > 1
	switch {
	case answer == idRefused, answer == idReserved && !again, answer == idUnread && !again:
		*p = person{}
	case answer == idUnread:
		p.sends--
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
