package night_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"rollcall/internal/ledger"
	"rollcall/internal/night"
	"rollcall/internal/redistest"
)

// ofUser is what is forgotten of a user.
func ofUser(id string) night.Subject {
	return night.Subject{
		ID:     id,
		Member: func(_, _, user string) bool { return user == id },
		Target: func(t ledger.Target) bool { return strings.HasSuffix(t.Key, "/"+id) },
	}
}

// kept is all that schedules keep, as text.
func (r *rig) kept() string {
	r.t.Helper()
	var all strings.Builder
	for _, name := range []string{"absent", "carried", "refused", "reports"} {
		fields, err := r.rdb.HGetAll(r.t.Context(), "rollcall:{night:nightly}:"+name).Result()
		if err != nil {
			r.t.Fatal(err)
		}
		for field, value := range fields {
			all.WriteString(name + " " + field + " " + value + "\n")
		}
	}
	for _, name := range []string{"base", "open"} {
		all.WriteString(r.rdb.Get(r.t.Context(), "rollcall:{night:nightly}:"+name).Val() + "\n")
	}
	return all.String()
}

func TestWhatSchedulesKeepOfAPersonIsForgotten(t *testing.T) {
	t.Parallel()
	long(t)
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		school := class("chat1", 1, 12)
		r := newRig(t, s, school)
		r.night.Absence = night.Absence{Nights: 2, Chats: []string{"chat1"}}
		r.roll.members = rename(school, "u1", "forbidden") // refused
		r.work()
		r.whole(1)
		r.roll.members = without(r.roll.members, "u1", "u2")
		r.whole(2) // both are missing
		report, err := json.Marshal(night.Report{
			Schedule: "nightly", Tick: nightOf(1), State: night.StateDone, Problems: []string{"line 2: u1 has no chat", "line 9: u11 has no chat"},
			Why: "u1 is nowhere", Decide: []string{"shrunk: u1 and others are missing"},
		})
		if err != nil {
			t.Fatal(err)
		}
		r.rdb.HSet(t.Context(), "rollcall:{night:nightly}:reports", nightOf(1).Format("2006-01-02T15:04:05Z"), report)
		r.rdb.HSet(t.Context(), "rollcall:{night:nightly}:carried", "lakeside/nickname/chat1/u1", `"2026-11-01T18:30:00Z"`)

		// One entry of those who are missing, one of refused values, one that waits, three texts.
		if n, err := r.nights.Mention(t.Context(), ofUser("u1")); n != 6 || err != nil {
			t.Fatalf("%d notes are counted, %v; want 6:\n%s", n, err, r.kept())
		}
		if n, err := r.nights.Forget(t.Context(), ofUser("u1")); n != 6 || err != nil {
			t.Fatalf("%d notes are removed, %v", n, err)
		}
		if n, err := r.nights.Mention(t.Context(), ofUser("u1")); n != 0 || err != nil {
			t.Errorf("%d notes are left, %v", n, err)
		}
		text := r.kept()
		if strings.Contains(text, "/u1 ") || strings.Contains(text, "\tu1 ") || strings.Contains(text, "u1 is") || strings.Contains(text, "u1 has") {
			t.Errorf("the person is in:\n%s", text)
		}
		if !strings.Contains(text, "u11 has no chat") || !strings.Contains(text, "\tu2 ") || !strings.Contains(text, `"decide":["shrunk"]`) {
			t.Errorf("more than the person was removed:\n%s", text)
		}

		// Members of the last roster are forgotten, too; the chat's other members stay. The
		// person who was missing is not removed from the chat.
		if n, err := r.nights.Forget(t.Context(), ofUser("u3")); n != 1 || err != nil {
			t.Errorf("%d notes of somebody in the roster are removed, %v; want 1", n, err)
		}
		r.roll.members = without(r.roll.members, "u3")
		if got := r.whole(3); got.Missing != 0 || got.Removed != 1 {
			t.Errorf("the next night is %+v; want u2 removed, and no one missing", got)
		}
		if _, there := r.platform()["chat1/u1"]; !there {
			t.Error("somebody who was forgotten was removed from the chat")
		}
	})
}

func TestAChatIsForgotten(t *testing.T) {
	t.Parallel()
	long(t)
	school := append(class("chat1", 1, 3), class("chat2", 4, 6)...)
	r := newRig(t, redistest.One(t), school)
	r.work()
	r.whole(1)
	of := night.Subject{
		ID:     "chat1",
		Member: func(_, chat, _ string) bool { return chat == "chat1" },
		Target: func(t ledger.Target) bool { return strings.HasPrefix(t.Key, "chat1/") },
	}
	if n, err := r.nights.Forget(t.Context(), of); n != 4 || err != nil { // three members, and their number
		t.Errorf("%d notes are removed, %v; want 4", n, err)
	}
	if text := r.kept(); strings.Contains(text, "chat1") || !strings.Contains(text, "chat2") {
		t.Errorf("kept:\n%s", text)
	}
	r.roll.members = school[3:]
	if got := r.whole(2); got.Missing != 0 {
		t.Errorf("the night without the chat is %+v", got)
	}
}

// A key of another type is named with what to do.
func TestADamagedKeyOfAScheduleIsNamedWhenSomebodyIsForgotten(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), class("chat1", 1, 2))
	r.rdb.SAdd(t.Context(), "rollcall:nights:open", "nightly")
	for key, kind := range night.Keys("nightly") {
		if kind == "hash" {
			r.rdb.Set(t.Context(), key, "oops", 0)
		} else {
			r.rdb.HSet(t.Context(), key, "a", "b")
		}
		if _, err := r.nights.Mention(t.Context(), ofUser("u1")); err == nil || !strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), "rollcall repair") {
			t.Errorf("%s: %v", key, err)
		}
		r.rdb.Del(t.Context(), key)
	}
	if _, err := r.nights.Mention(t.Context(), ofUser("u1")); err != nil {
		t.Error(errors.Unwrap(err))
	}
}
