package handler_test

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/sandbox"
	"rollcall/tasks"
)

// finish runs everything to its end.
func (w *world) finish() {
	for len(w.still) > 0 {
		w.resume(w.still[0], goOn)
	}
	for len(w.late) > 0 {
		w.land(w.late[0])
	}
	for len(w.planned) > 0 {
		w.feeds(w.planned[0], stores)
	}
	w.clock(15 * time.Minute)
	w.drain()
	w.resendAll()
}

func (w *world) drain() {
	for range 30 {
		left := false
		w.sweep()
		for _, s := range w.tasks {
			if s.waits() {
				w.deliver(s, plan{})
				left = left || s.waits()
			}
		}
		if !left {
			return
		}
		w.clock(time.Minute)
	}
	w.fatalf("a task never ends")
}

// sweep closes the records of dead edits, as the lane's sweep does: an attempt that was
// frozen while its task died, and was replayed since, may have opened one again.
func (w *world) sweep() {
	target := ledger.Target{Organisation: school, API: string(tasks.KindGroup), Key: "chat1"}
	open, err := w.front.mini.HKeys("rollcall:{" + school + "/group}:tasks")
	if err != nil {
		return // there are none
	}
	for _, id := range open {
		if slices.ContainsFunc(w.tasks, func(s *stored) bool { return s.id == id && s.waits() }) {
			continue
		}
		w.log("the sweep ends %s", id)
		if err := w.ledger.Close(context.Background(), target, id, ledger.Row{}); err != nil {
			w.fatalf("%v", err)
		}
	}
}

// compare compares the platform with the model.
func (w *world) compare() {
	for _, p := range w.model.positions() {
		target, field := w.at(p)
		if field == "names" {
			w.compareCourse(p)
			continue
		}
		latest := w.model.latest(p)
		want, bound := latest.value, !latest.dead
		got, unknown := w.believes(target, field), w.hasUnknown(target, field)
		switch {
		case unknown && w.healed == 0 && w.landed[p]: // and reported as such
		case unknown && w.healed == 2:
			w.fatalf("%s: unknown outcome after two undisturbed changes", p)
		case bound && got != want:
			w.fatalf("%s: the platform has %q, the latest change is %q, and the ledger records no unknown outcome", p, got, want)
		case !unknown && w.field(target, "r:"+field) != "" && got != w.field(target, "v:"+field):
			w.fatalf("%s: the platform has %q, the ledger %q, and no unknown outcome", p, got, w.field(target, "v:"+field))
		}
	}
	w.compareMembers()
	w.compareIDs()
	if w.healed < 2 {
		w.heal()
	}
}

// at returns the target and the field of a position.
func (w *world) at(position string) (ledger.Target, string) {
	parts := strings.Fields(position)
	return ledger.Target{Organisation: school, API: parts[0], Key: parts[1]}, parts[2]
}

func (w *world) compareMembers() {
	target := ledger.Target{Organisation: school, API: string(tasks.KindGroup), Key: "chat1"}
	if now := w.members(); (w.healed > 0 || !w.hasUnknown(target, "members") || !w.landed[position(target, "members")]) && !membersMayBe([]string{"ann", "bob"}, now, w.model.edits) {
		w.fatalf("the members are %v, which does not follow from the edits, and the ledger records no unknown outcome", now)
	}
}

// compareIDs checks that an ID that the ledger calls applied is the ID that the
// platform has, or that its outcome is unknown.
func (w *world) compareIDs() {
	org, _ := w.box.State().Organisation(school)
	for _, e := range org.Employees {
		target := ledger.Target{Organisation: school, API: string(tasks.KindID), Key: e.UserID}
		if known := w.field(target, "v:id"); known != e.DingTalkID && !w.hasUnknown(target, "id") {
			w.fatalf("the ID of %s is %q, the ledger has %q and no unknown outcome", e.UserID, e.DingTalkID, known)
		}
	}
	changed := map[string]int{}
	for _, e := range w.box.Effects() {
		if e.API == sandbox.APIChangeID {
			changed[e.Target.User]++
		}
	}
	for who, n := range changed {
		if n > 1 {
			w.fatalf("the ID of %s was changed %d times", who, n)
		}
	}
}

// compareCourse checks that a course name was copied after the latest change. The names
// are not ours, so nothing else can be checked.
func (w *world) compareCourse(p string) {
	latest := w.model.latest(p)
	copied := false
	for _, e := range w.box.Effects() {
		copied = copied || e.Number > int64(latest.before) && e.API == sandbox.APIClassNick
	}
	if !copied && !latest.dead {
		w.fatalf("%s: nothing was copied after the latest change", p)
	}
}

// heal enqueues the latest values once more, and the members as they should be. After
// that no value is wrong, and after a second time no outcome is unknown.
func (w *world) heal() {
	w.healed++
	w.clock(2 * landsWithin)
	w.log("once more:")
	seen := map[string]bool{}
	var again []tasks.Task
	for _, s := range slices.Backward(w.tasks) {
		target, fields := kinds.Change(s.task, school)
		fresh := false
		for _, f := range fields {
			p := position(target, f.Name)
			fresh = fresh || !seen[p] && f.Mode != ledger.Once && f.Mode != ledger.Edit
			seen[p] = true
		}
		if fresh {
			again = append(again, s.task)
		}
	}
	for _, task := range slices.Backward(again) {
		w.enqueue(task, stores)
	}
	if len(w.model.edits) > 0 {
		w.enqueue(tasks.GroupUpdate{Tenant: dt, ChatID: "chat1", AddUserIDs: []string{"cat"}, DelUserIDs: []string{"dan"}}, stores)
	}
	w.drain()
	w.compare()
}

func (w *world) believes(t ledger.Target, field string) string {
	org, _ := w.box.State().Organisation(school)
	chat := org.Chats[0]
	switch field {
	case "nickname":
		member, _ := url.PathUnescape(strings.TrimPrefix(t.Key, chat.ID+"/"))
		nick, _ := org.Nick(chat.ID, member)
		return nick
	case "name":
		return chat.Name
	case "icon":
		return chat.Icon
	case "options.searchable":
		if v, set := chat.Options["searchable"]; set {
			return strconv.Itoa(v)
		}
		return ""
	}
	panic("no field " + field)
}

func (w *world) members() []string {
	org, _ := w.box.State().Organisation(school)
	var ids []string
	for _, m := range org.Chats[0].Members {
		ids = append(ids, m.UserID)
	}
	slices.Sort(ids)
	return ids
}

func (w *world) field(t ledger.Target, name string) string {
	return w.front.mini.HGet("rollcall:{"+t.Organisation+"/"+t.API+"}:target:"+t.Key, name)
}

// doubted reports whether the ledger records that the platform may hold another value
// of a field.
func (w *world) hasUnknown(t ledger.Target, field string) bool {
	return w.field(t, "d:"+field) != "" || w.field(t, "q:"+field) != ""
}
