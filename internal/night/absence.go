package night

import (
	"context"
	"slices"

	"rollcall/internal/run"
	"rollcall/tasks"
)

// forgottenAfter is after how many nights a missing member who is not removed is forgotten.
const forgottenAfter = 30

// removedKept is how many nights a removed member is remembered, who is restored when they
// are back.
const removedKept = 400

// absences are the members who are missing in a complete reading, or are back.
type absences struct {
	counted  bool           // absence counts: every record was read, and says whom it is about
	before   int            // members of the last accepted complete reading
	missing  int            // members who were in that one
	chats    map[string]int // of them, by chat
	noted    map[string]absent
	kept     []string // members who were in that one, and may be in this one
	returned []string // members who are back before they were removed, or are forgotten
	back     int      // of them those who are back
	remove   []string
	restore  []string
}

// absences compares the members of a reading with those of the last accepted one.
func (s *Service) absences(ctx context.Context, a *attempt) (*absences, error) {
	n, c, m := a.Night, a.found, a.marks
	gone := &absences{counted: a.read.Complete && c.unnamed == 0, chats: map[string]int{}, noted: map[string]absent{}}
	if !gone.counted {
		return gone, nil
	}
	night := a.before.Nights + 1
	unsure := func(member string) bool { _, _, user := split(member); return c.unsure[user] }
	err := s.seen(ctx, n.Name, func(line []byte) {
		gone.before++
		if c.members.has(line) {
			return
		}
		member := string(line)
		if unsure(member) {
			gone.kept = append(gone.kept, member)
			return
		}
		gone.missing++
		gone.chats[chatOf(member)]++
		if _, known := m.absent[member]; !known {
			gone.noted[member] = absent{Night: night, Since: a.read.tick}
			gone.judge(n, member, gone.noted[member], night)
		}
	})
	if err != nil {
		return nil, err
	}
	for member, mark := range m.absent {
		switch {
		case c.members.has([]byte(member)) && mark.Removed && n.manages(member):
			gone.restore = append(gone.restore, member)
		case c.members.has([]byte(member)):
			gone.returned = append(gone.returned, member)
			gone.back++
		case unsure(member):
		case mark.Removed && night-mark.Night > removedKept, !mark.Removed && !n.manages(member) && night-mark.Night > n.Absence.Nights+forgottenAfter:
			gone.returned = append(gone.returned, member)
		default:
			gone.judge(n, member, mark, night)
		}
	}
	slices.Sort(gone.remove)
	slices.Sort(gone.restore)
	return gone, nil
}

// judge decides whether a missing member is removed tonight.
func (a *absences) judge(n Night, member string, mark absent, night int) {
	if n.Absence.Nights > 0 && !mark.Removed && n.manages(member) && night-mark.Night+1 >= n.Absence.Nights {
		a.remove = append(a.remove, member)
	}
}

// manages reports whether the roster decides the members of a member's chat.
func (n Night) manages(member string) bool {
	_, chat, _ := split(member)
	return slices.Contains(n.Absence.Chats, chat)
}

// edits are the rows that remove and restore members: one for each member, as one who no
// longer exists makes the platform refuse the whole call.
func (a *absences) edits() (rows []run.Row, of []edit) {
	for _, member := range a.remove {
		tenant, chat, user := split(member)
		rows = append(rows, run.Row{Request: tasks.Request{Task: tasks.GroupUpdate{Tenant: tenant, ChatID: chat, DelUserIDs: []string{user}}}})
		of = append(of, edit{Member: member})
	}
	for _, member := range a.restore {
		tenant, chat, user := split(member)
		rows = append(rows, run.Row{Request: tasks.Request{Task: tasks.GroupUpdate{Tenant: tenant, ChatID: chat, AddUserIDs: []string{user}}}})
		of = append(of, edit{Member: member, Add: true})
	}
	return rows, of
}
