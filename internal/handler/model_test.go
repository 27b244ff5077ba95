package handler_test

import (
	"fmt"
	"maps"
	"slices"
)

// model is what the handlers, the ledger and the platform together are held
// against: what was wished for, in what order, and which tasks are dead. It
// knows nothing of Redis, of marks, doubts, retries or crashes.
type model struct {
	wishes map[string][]wish // of a place, as "chat1 name", oldest first
	edits  []edit            // of the chat's members, in the order of their revisions
	last   map[string]int64  // the last revision of a target
}

// deed is a task, whatever becomes of it.
type deed struct {
	rev    int64
	dead   bool
	doubt  bool // a send of it may have had an effect that nobody was told of
	effect int  // how many effects the platform had when it was stored
}

type wish struct {
	*deed

	value string
}

type edit struct {
	*deed

	add, del []string
}

func newModel() *model { return &model{wishes: map[string][]wish{}, last: map[string]int64{}} }

// revised takes in a revision; each must be above the last of its target.
func (m *model) revised(target string, rev int64) error {
	if last := m.last[target]; rev <= last {
		return fmt.Errorf("revision %d of %s comes after %d", rev, target, last)
	}
	m.last[target] = rev
	return nil
}

// stored takes in the wishes of a stored task, by place.
func (m *model) stored(d *deed, values map[string]string) {
	for place, value := range values {
		m.wishes[place] = append(m.wishes[place], wish{d, value})
	}
}

// want is what a place must hold in the end. Not bound: its newest wish is
// dead, and a dead wish does not bring an older one back.
func (m *model) want(place string) (value string, bound bool) {
	newest := m.wishes[place][len(m.wishes[place])-1]
	return newest.value, !newest.dead
}

// newest is the newest wish for a place.
func (m *model) newest(place string) wish { return m.wishes[place][len(m.wishes[place])-1] }

// places are those that were ever wished for.
func (m *model) places() []string { return slices.Sorted(maps.Keys(m.wishes)) }

// members are the sets of members that may be left when all edits are done: a
// dead one counts if a send of it may have had an effect, and may not count.
func (m *model) members(start []string) [][]string {
	left := [][]string{slices.Clone(start)}
	for _, e := range m.edits {
		var after [][]string
		for _, before := range left {
			if e.dead {
				after = append(after, before)
			}
			if !e.dead || e.doubt {
				after = append(after, e.applied(before))
			}
		}
		left = after
	}
	return left
}

func (e edit) applied(before []string) []string {
	after := slices.Concat(before, e.add)
	after = slices.DeleteFunc(after, func(m string) bool { return slices.Contains(e.del, m) })
	slices.Sort(after)
	return slices.Compact(after)
}
