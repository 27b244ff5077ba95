package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/tasks"
)

// The shares of a plan's tasks; the rest are nicknames.
const (
	shareGroup  = 0.25
	shareCourse = 0.12
	shareID     = 0.06
	// wrong is the share of tasks that the platform rejects: they must become dead
	// letters.
	wrong = 0.01
	// keyless is the share of nicknames that are enqueued without a key.
	keyless = 0.05
)

// change is one change of the plan, and the result of enqueueing it.
type change struct {
	n       int // its position in the plan: changes of one target are enqueued in this order
	task    tasks.Task
	options tasks.Options
	after   time.Duration // options.At, counted from the moment it is asked for
	target  ledger.Target
	fields  []ledger.Field
	row     int // of a run, from 1; 0: it is a task of its own

	// Written by the producer that owns the target, read when it has ended.
	outcome tasks.Outcome
	asked   int // how often
	id      string
	queue   string
	rev     int64 // 0: an earlier request stored it, and its answer was lost
	err     error
}

// acknowledged reports that the producer got the result that the task is stored.
func (w *change) acknowledged() bool {
	return w.outcome == tasks.Stored || w.outcome == tasks.AlreadyThere
}

func (w *change) String() string {
	return fmt.Sprintf("change %d (%s %s %s, task %s, rev %d)", w.n, w.target.API, w.target.Key, content(w.task), w.id, w.rev)
}

func content(t tasks.Task) string {
	_, payload, err := kinds.Encode(t, 1)
	if err != nil {
		return err.Error()
	}
	return string(payload)
}

// plan draws n changes for a school, determined by the seed.
func plan(school school, n int, seed uint64) []*change {
	d := &drawer{rand: rand.New(rand.NewPCG(seed, 1)), school: school, past: map[string][]string{}} //nolint:gosec // equal seeds must give equal plans
	changes := make([]*change, n)
	for i := range changes {
		w := &change{n: i, outcome: tasks.NotStored}
		switch p := d.rand.Float64(); {
		case p < shareID:
			w.task = d.id()
		case p < shareID+shareCourse:
			w.task = d.course()
		case p < shareID+shareCourse+shareGroup:
			w.task = d.group(i)
		default:
			w.task = d.nickname(i)
		}
		w.target, w.fields = kinds.Change(w.task, organisation)
		w.options = tasks.Options{Key: fmt.Sprintf("chaos/%d", i), Urgent: d.chance(0.1)}
		if w.target.API == string(tasks.KindNickname) {
			if d.chance(keyless) {
				w.options.Key = ""
			}
			if d.chance(0.03) {
				w.after = time.Duration(2+d.rand.IntN(15)) * time.Second
			}
		}
		changes[i] = w
	}
	return changes
}

// drawer draws tasks.
type drawer struct {
	rand   *rand.Rand
	school school
	past   map[string][]string // the requested names, by target
}

func (d *drawer) chance(p float64) bool { return d.rand.Float64() < p }

func one[T any](d *drawer, of []T) T { return of[d.rand.IntN(len(of))] }

// some draws up to n of a list, each once.
func some(d *drawer, of []string, n int) []string {
	drawn := make([]string, 0, n)
	for _, i := range d.rand.Perm(len(of))[:min(n, len(of))] {
		drawn = append(drawn, of[i])
	}
	return drawn
}

// nickname draws a new name, or sometimes an earlier one of the target, to check that
// an unchanged value is really unchanged.
func (d *drawer) nickname(i int) tasks.Task {
	t := tasks.NicknameSync{Tenant: dingtalk, ChatID: one(d, d.school.chats), UserID: one(d, d.school.pupils)}
	target := t.ChatID + "/" + t.UserID
	past := d.past[target]
	switch {
	case d.chance(wrong):
		t.Nickname = fmt.Sprintf("%s %d", prohibited, i)
		return t
	case len(past) > 0 && d.chance(0.2):
		t.Nickname = one(d, past)
	default:
		t.Nickname = fmt.Sprintf("名%d", i)
	}
	d.past[target] = append(past, t.Nickname)
	return t
}

func (d *drawer) course() tasks.Task {
	if d.chance(wrong) {
		return tasks.CourseSync{Tenant: classin, CourseID: one(d, d.school.gone)}
	}
	return tasks.CourseSync{Tenant: classin, CourseID: one(d, d.school.courses)}
}

// id draws one of few IDs for one of few users, so that users conflict with each other
// and with their own earlier changes.
func (d *drawer) id() tasks.Task {
	t := tasks.IDChange{Tenant: dingtalk, UserID: one(d, d.school.people)}
	candidates := some(d, d.school.ids, 1+d.rand.IntN(4))
	switch p := d.rand.Float64(); {
	case p < wrong:
		candidates[0] = prohibited + candidates[0]
	case p < 0.3:
		candidates[0] = one(d, d.school.taken)
	case p < 0.5: // as most rosters would have it: an ID of one's own
		candidates[0] = "id" + t.UserID
	}
	t.DingTalkID, t.Alternatives = candidates[0], candidates[1:]
	return t
}

// group draws attributes, or edits of members, or both.
func (d *drawer) group(i int) tasks.Task {
	t := tasks.GroupUpdate{Tenant: dingtalk, ChatID: one(d, d.school.chats)}
	if d.chance(wrong) {
		t.AddUserIDs = []string{noUser}
		return t
	}
	if d.chance(0.4) {
		t.Name = fmt.Sprintf("班%d", i)
	}
	if d.chance(0.2) {
		t.Owner, t.OwnerType = one(d, d.school.owners), tasks.OwnerEmployee
	}
	if d.chance(0.2) {
		t.Icon = fmt.Sprintf("@media%d", i)
	}
	for _, option := range []**int{&t.Options.MentionAllAuthority, &t.Options.Searchable, &t.Options.ManagementType} {
		if d.chance(0.2) {
			*option = new(d.rand.IntN(2))
		}
	}
	if t.Name == "" && t.Icon == "" || d.chance(0.5) {
		d.members(&t)
	}
	return t
}

// members draws an edit: as a rule of a few people, sometimes of more than one
// call can add.
func (d *drawer) members(t *tasks.GroupUpdate) {
	n := 1 + d.rand.IntN(5)
	if d.chance(0.02) {
		n = 45 + d.rand.IntN(30)
	}
	drawn := some(d, d.school.movers, n)
	add := d.rand.IntN(len(drawn) + 1)
	if n > 40 {
		add = len(drawn) - 2
	}
	t.AddUserIDs, t.DelUserIDs = drawn[:add], drawn[add:]
	if d.chance(0.2) {
		guest := []string{one(d, d.school.guests)}
		if d.chance(0.5) {
			t.AddExtIDs = guest
		} else {
			t.DelExtIDs = guest
		}
	}
}
