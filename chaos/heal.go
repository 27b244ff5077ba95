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

// heal enqueues the roster again: the newest wish for each field, whatever was
// acknowledged and whatever is left of it. Afterwards nothing may be wrong.
func (s *scene) heal(ctx context.Context, before verdict) (verdict, error) {
	s.tell("%d acknowledged tasks are gone, %d findings; the roster is enqueued again", len(before.lost), len(before.violations))
	s.enqueue(ctx, roster(s.wishes))
	v, err := s.judge(ctx, "after the roster was enqueued again")
	if err != nil || len(v.drop) == 0 {
		return v, err
	}
	s.tell("the records of %d targets are dropped, and their rows enqueued once more", len(v.drop))
	for _, t := range v.drop {
		if err := s.rdb.Del(ctx, ledgerKey(t.API)+"target:"+t.Key).Err(); err != nil {
			return v, err
		}
	}
	s.enqueue(ctx, slices.DeleteFunc(roster(s.wishes), func(w *wish) bool { return !slices.Contains(v.drop, w.target) }))
	v, err = s.judge(ctx, "after the records were dropped")
	for _, t := range v.drop {
		v.violations = append(v.violations, violation{ruleValue, fmt.Sprintf("%s %s is not healed by dropping its record", t.API, t.Key)})
	}
	return v, err
}

// enqueue adds wishes to the plan and asks for them.
func (s *scene) enqueue(ctx context.Context, more []*wish) {
	for i, w := range more {
		w.n = len(s.wishes) + i
		w.options.Key = fmt.Sprintf("heal/%d", w.n)
	}
	s.producer.run(ctx, more, min(healFor, s.duration))
	s.wishes = append(s.wishes, more...)
}

// roster sums up all wishes of a plan as a school's own list would have them. They
// get keys of their own: those of tasks that are gone may still say that they are
// stored.
func roster(wishes []*wish) []*wish {
	last := map[ledger.Target]*wish{}
	var order []ledger.Target
	for _, w := range wishes {
		before, there := last[w.target]
		if !there {
			order = append(order, w.target)
		}
		task := w.task
		if there {
			task = merged(before.task, task)
		}
		last[w.target] = &wish{task: task, target: w.target}
	}
	var again []*wish
	for _, target := range order {
		w := last[target]
		if w.task.Validate(tasks.Limits{}) != nil {
			continue // all that was wished for the group was somebody who does not exist
		}
		w.outcome = tasks.NotStored
		_, w.fields = kinds.Change(w.task, organisation)
		again = append(again, w)
	}
	return again
}

// merged is what is wished for after both: only a group's wishes add up.
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

// edits adds a newer edit to an older one. Nobody who does not exist is carried
// over: the platform would refuse the whole.
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
	delete(in, nobody)
	for _, id := range sortedKeys(in) {
		if in[id] {
			added = append(added, id)
		} else {
			deleted = append(deleted, id)
		}
	}
	return added, deleted
}
