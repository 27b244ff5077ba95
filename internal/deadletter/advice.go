package deadletter

import (
	"maps"
	"slices"
	"strings"

	"rollcall/internal/ledger"
	"rollcall/internal/logging"
	"rollcall/tasks"
)

// advice says what to do about letters of a class.
var advice = map[string]string{
	"busy":            "the platform or the network was down for hours: see that it is back, then replay them",
	"partial":         "some members were changed and others not: look at the course, then replay what matters",
	"unlisted":        "no table knows the answer: report it with its code; replay one, and the others if it goes through",
	"panic":           "a defect of rollcall: report it with the stack from the log; replay them with a version that mends it",
	"poison":          "workers died with it, three in a row: find out why from their logs; replay one after another, the one that kills again is to blame",
	"rejected":        "the task is wrong: correct it with replay --set, or correct the roster and discard the letter",
	"unverified":      "an ID change that may have been applied: look the person up, then say enqueue id confirm or enqueue id reject",
	"malformed":       "no task can be read out of it: find out who wrote it; replay it with a task from --task, or discard it",
	"archived":        "asynq gave up by itself, or somebody archived them: see why; replay what still matters",
	"vanished":        "deleted in the web UI, or lost by a failover or a restored Redis: replay what still matters, discard the rest",
	ledger.Unreadable: "written by a newer version: use that one",
}

// Advice says what to do about letters of a class, where the platform's table
// says nothing of their code. Empty for a class that kills nothing.
func Advice(class string) string { return advice[class] }

// Classes lists the classes that letters have, in alphabetical order.
func Classes() []string { return slices.Sorted(maps.Keys(advice)) }

// Masked returns a task with the names and ids of people masked. Those of chats,
// courses and tenants stay.
func Masked(task tasks.Task) tasks.Task {
	switch t := task.(type) {
	case tasks.NicknameSync:
		t.UserID, t.Nickname = logging.Mask(t.UserID), logging.Mask(t.Nickname)
		return t
	case tasks.GroupUpdate:
		t.Name, t.Owner = logging.Mask(t.Name), logging.Mask(t.Owner)
		t.AddUserIDs, t.DelUserIDs = maskedAll(t.AddUserIDs), maskedAll(t.DelUserIDs)
		t.AddExtIDs, t.DelExtIDs = maskedAll(t.AddExtIDs), maskedAll(t.DelExtIDs)
		return t
	case tasks.IDChange:
		t.UserID, t.DingTalkID = logging.Mask(t.UserID), logging.Mask(t.DingTalkID)
		t.Alternatives = maskedAll(t.Alternatives)
		return t
	}
	return task
}

func maskedAll(ids []string) []string {
	var out []string
	for _, id := range ids {
		out = append(out, logging.Mask(id))
	}
	return out
}

// MaskedTarget names a letter's target without naming a person.
func MaskedTarget(letter ledger.Letter) string {
	return MaskedKey(tasks.Kind(letter.Kind), letter.Target)
}

// MaskedKey is the key of a target of a kind without the name of a person.
func MaskedKey(kind tasks.Kind, key string) string {
	switch kind {
	case tasks.KindGroup, tasks.KindCourse:
		return key
	case tasks.KindNickname:
		if chat, user, ok := strings.Cut(key, "/"); ok {
			return chat + "/" + logging.Mask(user)
		}
	case tasks.KindID:
	}
	return logging.Mask(key)
}

// MaskedValue is the value of a field of a kind, by the ledger's name of it,
// without the name of a person.
func MaskedValue(kind tasks.Kind, field, value string) string {
	if kind == tasks.KindGroup && field != "name" && field != "owner" || value == "" {
		return value
	}
	return logging.Mask(value)
}
