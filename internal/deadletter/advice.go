package deadletter

import (
	"maps"
	"slices"

	"rollcall/internal/ledger"
)

// Unverified is the class of an ID change that may or may not have been applied.
const Unverified = "unverified"

// advice says what to do about letters of a class.
var advice = map[string]string{
	"busy":            "the platform or the network was down for hours: see that it is back, then replay them",
	"partial":         "some members were changed and others not: look at the course, then replay what matters",
	"unlisted":        "no table knows the answer: report it with its code; replay one, and the others if it goes through",
	"panic":           "a defect of rollcall: report it with the stack from the log; replay them with a version that mends it",
	"poison":          "workers died with it, three in a row: find out why from their logs; replay one after another, the one that kills again is to blame",
	"rejected":        "the task is wrong: correct it with replay --set, or correct the roster and discard the letter",
	Unverified:        "an ID change that may have been applied: look the person up, then say rollcall ids confirm or rollcall ids reject",
	"malformed":       "no task can be read out of it: find out who wrote it; replay it with a task from --task, or discard it",
	"archived":        "asynq gave up by itself, or somebody archived them: see why; replay what still matters",
	"vanished":        "deleted in the web UI, or lost by a failover or a restored Redis: replay what still matters, discard the rest",
	ledger.Unreadable: "written by a newer version: use that one",
}

// Advice returns what to do about the dead letters of a class if the platform's table
// has no advice for their code. Empty for a class without dead letters.
func Advice(class string) string { return advice[class] }

// Classes lists the classes that dead letters can have, in alphabetical order.
func Classes() []string { return slices.Sorted(maps.Keys(advice)) }
