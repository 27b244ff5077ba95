package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/tasks"
)

// healFor is how long the roster is spread over.
const healFor = time.Minute

// heal enqueues the roster again: the latest change of each field, regardless of
// earlier results. Afterwards nothing may be wrong.
func (s *scene) heal(ctx context.Context, before verdict) (verdict, error) {
	s.logf("%d acknowledged tasks are lost, %d findings; the roster is enqueued again", len(before.lost), len(before.violations))
	s.enqueue(ctx, roster(s.changes))
	v, err := s.judge(ctx, "after the roster was enqueued again")
	if err != nil || len(v.drop) == 0 {
		return v, err
	}
	s.logf("the records of %d targets are dropped, and their rows enqueued once more", len(v.drop))
	for _, t := range v.drop {
		if err := s.rdb.Del(ctx, ledgerKey(t.API)+"target:"+t.Key).Err(); err != nil {
			return v, err
		}
	}
	s.enqueue(ctx, slices.DeleteFunc(roster(s.changes), func(w *change) bool { return !slices.Contains(v.drop, w.target) }))
	v, err = s.judge(ctx, "after the records were dropped")
	for _, t := range v.drop {
		v.violations = append(v.violations, violation{ruleValue, fmt.Sprintf("%s %s is not healed by dropping its record", t.API, t.Key)})
	}
	return v, err
}

// enqueue adds changes to the plan and enqueues them.
func (s *scene) enqueue(ctx context.Context, more []*change) {
	for i, w := range more {
		w.n = len(s.changes) + i
		w.options.Key = fmt.Sprintf("heal/%d", w.n)
	}
	s.producer.run(ctx, more, min(healFor, s.duration))
	s.changes = append(s.changes, more...)
}

// roster sums up all changes of a plan as a school's own list would. The changes get
// new keys: the keys of lost tasks may still be marked as stored.
func roster(changes []*change) []*change {
	last := map[ledger.Target]*change{}
	var order []ledger.Target
	for _, w := range changes {
		before, there := last[w.target]
		if !there {
			order = append(order, w.target)
		}
		task := w.task
		if there {
			task = merged(before.task, task)
		}
		last[w.target] = &change{task: task, target: w.target}
	}
	var again []*change
	for _, target := range order {
		w := last[target]
		if w.task.Validate(tasks.Limits{}) != nil {
			continue // all changes of the group concerned a user who does not exist
		}
		w.outcome = tasks.NotStored
		_, w.fields = kinds.Change(w.task, organisation)
		again = append(again, w)
	}
	return again
}

// merged returns the result of both changes: only a group's changes accumulate.
func merged(older, newer tasks.Task) tasks.Task {
	o, ok := older.(tasks.GroupUpdate)
	if !ok {
		return newer
	}
	n, _ := newer.(tasks.GroupUpdate)
	if n.Name == "" {
		n.Name = o.Name
	}
	if n.Owner == "" {
		n.Owner, n.OwnerType = o.Owner, o.OwnerType
	}
	if n.Icon == "" {
		n.Icon = o.Icon
	}
	for _, option := range [][2]**int{
		{&n.Options.MentionAllAuthority, &o.Options.MentionAllAuthority},
		{&n.Options.Searchable, &o.Options.Searchable},
		{&n.Options.ManagementType, &o.Options.ManagementType},
	} {
		if *option[0] == nil {
			*option[0] = *option[1]
		}
	}
	n.AddUserIDs, n.DelUserIDs = edits(o.AddUserIDs, o.DelUserIDs, n.AddUserIDs, n.DelUserIDs)
	n.AddExtIDs, n.DelExtIDs = edits(o.AddExtIDs, o.DelExtIDs, n.AddExtIDs, n.DelExtIDs)
	return n
}

// edits adds a later edit to an earlier one. A user who does not exist is left out: the
// platform would refuse the whole edit.
func edits(add, del, newAdd, newDel []string) (added, deleted []string) {
	in := map[string]bool{}
	for _, list := range []struct {
		ids []string
		is  bool
	}{{add, true}, {del, false}, {newAdd, true}, {newDel, false}} {
		for _, id := range list.ids {
			in[id] = list.is
		}
	}
	delete(in, noUser)
	for _, id := range sortedKeys(in) {
		if in[id] {
			added = append(added, id)
		} else {
			deleted = append(deleted, id)
		}
	}
	return added, deleted
}
