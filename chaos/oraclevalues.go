package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/ledger"
	"rollcall/internal/sandbox"
	"rollcall/tasks"
)

// target is a field of a target.
type fieldOf struct{ api, key, field string }

// believed returns the values at the platforms, with the names that changes use. A
// field that was never set is absent.
func believed(state sandbox.OrganisationState) map[fieldOf]string {
	b := map[fieldOf]string{}
	options := map[string]string{}
	for _, name := range []string{
		"mention_all_authority", "show_history_type", "validation_type", "searchable", "chat_banned_type", "management_type",
	} {
		options[camel(name)] = name
	}
	for _, c := range state.Chats {
		group := string(tasks.KindGroup)
		b[fieldOf{group, c.ID, "name"}] = c.Name
		b[fieldOf{group, c.ID, "icon"}] = c.Icon
		kind := c.OwnerType
		if kind == "" {
			kind = tasks.OwnerEmployee
		}
		b[fieldOf{group, c.ID, "owner"}] = kind + ":" + c.Owner
		for name, value := range c.Options {
			b[fieldOf{group, c.ID, "options." + options[name]}] = strconv.Itoa(value)
		}
		for _, m := range c.Members {
			b[fieldOf{string(tasks.KindNickname), c.ID + "/" + m.UserID, "nickname"}] = m.Nick
		}
	}
	for _, e := range state.Employees {
		b[fieldOf{string(tasks.KindID), e.UserID, "id"}] = e.DingTalkID
	}
	for _, s := range state.Schools {
		for _, c := range s.Courses {
			as := "as in the console"
			for _, student := range c.Students {
				if !student.Deleted && student.Nickname != student.Name {
					as = "not as in the console"
				}
			}
			b[fieldOf{string(tasks.KindCourse), c.ID, "names"}] = as
		}
	}
	return b
}

// camel spells mention_all_authority as the platform does.
func camel(name string) string {
	words := strings.Split(name, "_")
	for i, word := range words[1:] {
		words[i+1] = strings.ToUpper(word[:1]) + word[1:]
	}
	return strings.Join(words, "")
}

// values compares a target's values at the platform with the latest change of each of
// its fields.
func (o *oracle) values(target ledger.Target, of []*change, beliefs map[fieldOf]string) {
	requested := map[string][]*change{} // changes by field, oldest first
	for _, w := range of {
		if f := o.results[w]; f.what == never || f.what == gone {
			continue
		}
		for _, field := range w.fields {
			if field.Mode != ledger.Edit {
				requested[field.Name] = append(requested[field.Name], w)
			}
		}
	}
	for field, changes := range requested {
		o.value(target, field, changes, beliefs[fieldOf{target.API, target.Key, field}])
	}
}

func (o *oracle) value(target ledger.Target, field string, changes []*change, holds string) {
	latest := changes[len(changes)-1]
	if slices.Contains(takes(latest, field), holds) || o.alternative(latest, changes, holds) {
		return
	}
	text := fmt.Sprintf("%s %s: %s holds %q, and the newest is %s, which ended as %s%s",
		target.API, target.Key, field, holds, latest, o.results[latest].word, o.lastChanges(changes))
	switch f := o.results[latest]; {
	case f.what == dead:
		o.excused["the latest change is a dead letter, "+f.word]++
	case f.what == open:
		o.excused["the latest change is still "+f.word]++
	case strings.Contains(f.word, "unverified"), o.unknown(target, field) && (!o.late || !resendable(target, field)):
		o.excused["unknown outcome, and reported as such"]++
	case o.unsent(latest, field) && o.forgotten(target, field, holds):
		o.excused["a write that Redis lost, and a change back to the value before it"]++
		o.drop = append(o.drop, target)
	default:
		o.blame(ruleValue, "%s", text)
		return
	}
	// Regardless of the latest change, no other client writes there.
	for _, w := range o.targets[target] {
		if slices.Contains(takes(w, field), holds) {
			return
		}
	}
	if o.touched(target, field, time.Time{}) {
		o.blame(ruleStrange, "%s", text)
	}
}

// unsent reports whether a change was considered done without a call for a field. A
// group's change may have had a call for its other fields.
func (o *oracle) unsent(w *change, field string) bool {
	switch word := o.results[w].word; {
	case word == "unchanged":
		return true
	case w.target.API != string(tasks.KindGroup) || word != "applied" || w.rev == 0:
		return false
	}
	return !o.touched(w.target, field, time.UnixMicro(w.rev))
}

// forgotten reports whether a value comes from a change that Redis may have lost, fully
// or in part. If the roster then restores the earlier value, the ledger decides that it
// is unchanged: a person must drop the record (docs/guarantees.md).
func (o *oracle) forgotten(target ledger.Target, field, holds string) bool {
	return o.lossy && slices.ContainsFunc(o.targets[target], func(w *change) bool { return slices.Contains(takes(w, field), holds) })
}

// alternative reports whether a user has an alternative of an earlier change to the
// same ID. That change is done, and so is one that repeats it with other alternatives
// (docs/guarantees.md).
func (o *oracle) alternative(latest *change, changes []*change, holds string) bool {
	again, ok := latest.task.(tasks.IDChange)
	return ok && o.results[latest].word == "unchanged" && slices.ContainsFunc(changes, func(w *change) bool {
		before, _ := w.task.(tasks.IDChange)
		return o.results[w].what == done && before.DingTalkID == again.DingTalkID && slices.Contains(before.Alternatives, holds)
	})
}

// takes returns the values that satisfy a change of a field.
func takes(w *change, field string) []string {
	switch t := w.task.(type) {
	case tasks.IDChange:
		return append([]string{t.DingTalkID}, t.Alternatives...)
	case tasks.CourseSync:
		return []string{"as in the console"}
	}
	for _, f := range w.fields {
		if f.Name == field {
			return []string{f.Value}
		}
	}
	return nil
}

// touched reports whether any call changed a field since a time.
func (o *oracle) touched(target ledger.Target, field string, since time.Time) bool {
	for _, e := range o.effects {
		if e.Time.Before(since) {
			continue
		}
		for _, c := range e.Changes {
			switch target.API {
			case string(tasks.KindNickname):
				if c.Field == "nick" && e.Target.Chat+"/"+e.Target.User == target.Key {
					return true
				}
			case string(tasks.KindGroup):
				if e.Target.Chat == target.Key && (c.Field == field || "options."+c.Field == "options.managementOptions."+camel(strings.TrimPrefix(field, "options."))) {
					return true
				}
			case string(tasks.KindID):
				if c.Field == "dingTalkId" && e.Target.User == target.Key {
					return true
				}
			}
		}
	}
	return false
}

// lastChanges returns the last changes of a field, for the analysis of a violation.
func (o *oracle) lastChanges(changes []*change) string {
	var b strings.Builder
	for _, w := range changes[max(0, len(changes)-4):] {
		fmt.Fprintf(&b, "\n      %s: %s", w, o.results[w].word)
	}
	return b.String()
}

// orders is whether a user is expected in a chat. Both: unknown.
type orders struct{ in, out bool }

// edited calls do for everybody whom an edit names.
func edited(t tasks.GroupUpdate, do func(id string, is orders)) {
	for _, list := range []struct {
		ids []string
		is  orders
	}{
		{t.AddUserIDs, orders{in: true}},
		{t.AddExtIDs, orders{in: true}},
		{t.DelUserIDs, orders{out: true}},
		{t.DelExtIDs, orders{out: true}},
	} {
		for _, id := range list.ids {
			do(id, list.is)
		}
	}
}

// members compares the members of a chat with all its edits, in order. The effect of an
// edit that is a dead letter is unknown, unless the platform refused it.
func (o *oracle) members(target ledger.Target, of []*change) {
	could := map[string]orders{}
	said := map[string][]*change{}
	for _, w := range of {
		t, _ := w.task.(tasks.GroupUpdate)
		f := o.results[w]
		// One of several calls may have been applied before another was refused.
		refused := f.what == dead && f.word == "rejected" && len(t.AddUserIDs) <= 40
		if f.what == never || f.what == gone || refused {
			continue
		}
		edited(t, func(id string, is orders) {
			before, known := could[id]
			if !known {
				before = orders{out: true} // initially no edited user is a member
			}
			if f.what != done {
				is = orders{is.in || before.in, is.out || before.out}
			}
			could[id] = is
			said[id] = append(said[id], w)
		})
	}
	is := present(o.state, target.Key)
	for id, can := range could {
		switch {
		case can.in && can.out:
			o.excused["members touched by an edit that is a dead letter"]++
		case can.in != is[id] && o.late && o.mayBeOverwritten(target, "members"):
			o.excused["members that a late request may have changed, and reported as such"]++
		case can.in != is[id]:
			o.blame(ruleMember, "%s: %s is a member: %t, and should be: %t%s", target.Key, id, is[id], can.in, o.lastChanges(said[id]))
		}
	}
}

// present are all members of a chat, from inside and outside.
func present(state sandbox.OrganisationState, chat string) map[string]bool {
	is := map[string]bool{}
	for _, c := range state.Chats {
		if c.ID != chat {
			continue
		}
		for _, m := range c.Members {
			is[m.UserID] = true
		}
		for _, id := range c.Externals {
			is[id] = true
		}
	}
	return is
}
