package main

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"rollcall/internal/sandbox"
	"rollcall/tasks"
)

func TestADamageIsAViolationIfItWasReadAndNotNamedInTime(t *testing.T) {
	t.Parallel()
	at := time.Unix(1000, 0)
	after := func(s int) time.Time { return at.Add(time.Duration(s) * time.Second) }
	key := spoiled{key: "asynq:{reef-dt.group}:retry", class: "asynq:{reef-dt.group}:retry", manner: otherType}
	excused := spoiled{key: "rollcall:{reef/group}:ended:x", class: "rollcall:{reef/group}:ended:*", manner: otherType}
	for name, c := range map[string]struct {
		mark mark
		want bool
	}{
		"named in time":       {mark{spoiled: key, at: at, read: after(5), named: after(20)}, false},
		"named late":          {mark{spoiled: key, at: at, read: after(5), named: after(38)}, true},
		"read and not named":  {mark{spoiled: key, at: at, read: after(5)}, true},
		"not read":            {mark{spoiled: key, at: at}, false},
		"of no use to anyone": {mark{spoiled: excused, at: at, read: after(5)}, false},
	} {
		if got := c.mark.unnamed() != nil; got != c.want {
			t.Errorf("%s: a violation: %t", name, got)
		}
	}
}

// Only a line with all words of one list names a damage.
func TestALineNamesADamageByItsKeyOrByItsTarget(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		d    spoiled
		line string
		want bool
	}{
		{spoiled{key: "asynq:{reef-dt.group}:retry"}, `"key":"asynq:{reef-dt.group}:retry"`, true},
		{spoiled{key: "asynq:{reef-dt.group}:retry"}, `"key":"asynq:{reef-dt.group}:lease"`, false},
		{spoiled{key: "rollcall:{reef/group}:target:c1"}, `"key":"rollcall:{reef/group}:target:…","target":"c1"`, true},
		{spoiled{key: "rollcall:{reef/group}:target:c1"}, `"key":"rollcall:{reef/group}:target:…","target":"c2"`, false},
		{spoiled{key: "asynq:{reef-dt.group}:t:id1"}, `"task":"id1"`, true},
		{spoiled{key: "asynq:{q}:pending", kind: "list", entry: "half", was: "half of it"}, `"task":"half of it"`, true},
		{spoiled{key: "rollcall:{reef/group}:tasks", kind: "hash", entry: "id1"}, `"key":"rollcall:{reef/group}:tasks","entry":"id2"`, false},
		{spoiled{key: "rollcall:{reef/group}:tasks", kind: "hash", entry: "id1"}, `"key":"rollcall:{reef/group}:tasks","entry":"id1"`, true},
	} {
		if got := c.d.namedBy(c.line); got != c.want {
			t.Errorf("%+v is named by %s: %t", c.d, c.line, got)
		}
	}
}

func TestAValueIsFarAheadByAYearOrImpossible(t *testing.T) {
	t.Parallel()
	now := time.Now()
	year := now.AddDate(1, 0, 0)
	r, seen := rand.New(rand.NewPCG(1, 1)), map[string]bool{}
	for _, value := range []int64{now.Unix(), now.UnixMilli(), now.UnixMicro(), 7} {
		for range 50 {
			got := far(r, strconv.FormatInt(value, 10))
			seen[got] = true
			if slices.Contains(impossible, got) {
				continue
			}
			n, err := strconv.ParseInt(got, 10, 64)
			unit := map[int64]int64{now.UnixMilli(): year.UnixMilli(), now.UnixMicro(): year.UnixMicro()}[value]
			if unit == 0 {
				unit = year.Unix()
			}
			if err != nil || n < unit*99/100 || n > unit*101/100 {
				t.Errorf("%d becomes %s, want about %d", value, got, unit)
			}
		}
	}
	for _, value := range impossible {
		if !seen[value] {
			t.Errorf("no value became %s", value)
		}
	}
}

func TestKeysOfOneKindAreOneClass(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"asynq:{reef-dt.id.urgent}:t:0b1c":                  "asynq:{reef-dt.id}:t:*",
		"asynq:{reef-dt.id}:processed:2026-11-29":           "asynq:{reef-dt.id}:processed:*",
		"rollcall:{reef/nickname}:target:c1/u1":             "rollcall:{reef/nickname}:target:*",
		"rollcall:{reef/nickname}:run:reef-dt/night":        "rollcall:{reef/nickname}:run:*",
		"rollcall:{reef-dt.id}:dead:causes:rejected|locked": "rollcall:{reef-dt.id}:dead:causes:*",
		"rollcall:{reef}:lane:reef-dt.id":                   "rollcall:{reef}:lane:reef-dt.id",
		"rollcall:{run:rabc}:run":                           "rollcall:{run:*}:run",
		"rollcall:{run:rabc}:rows:12":                       "rollcall:{run:*}:rows:*",
		"asynq:{rollcall.runs}:t:rabc":                      "asynq:{rollcall.runs}:t:*",
	} {
		if got := classOf(key); got != want {
			t.Errorf("%s is of class %s, want %s", key, got, want)
		}
	}
}

func TestThePaceIsComparedWithTheTwinInOneSpan(t *testing.T) {
	t.Parallel()
	at := time.Unix(1000, 0)
	calls := func(n int, organisation, api string) (all []sandbox.Call) {
		for i := range n {
			all = append(all, sandbox.Call{Organisation: organisation, API: api, Time: at.Add(time.Duration(i) * time.Second)})
		}
		return all
	}
	during := span{at.Add(10 * time.Second), at.Add(30 * time.Second)}
	got := paces(append(calls(25, paced, "nick"), calls(99, victim, "nick")...), calls(100, paced, "nick"), paced, during)
	if len(got) != 1 || got[0].api != "nick" || got[0].twin < 0.99 || got[0].ratio < 0.74 || got[0].ratio > 0.76 {
		t.Errorf("%+v, want 15 of 20 calls", got)
	}
}

// All that a feeder draws is valid, and no target of a saturated lane has two tasks of its
// backlog.
func TestTheTasksOfASideAreValidAndOneATarget(t *testing.T) {
	t.Parallel()
	f := &feeder{side: newSide(victim, "1000011")}
	if _, err := sandbox.New(sandbox.Config{World: sandbox.World{Organisations: []sandbox.Organisation{f.organisation()}}}); err != nil {
		t.Fatal(err)
	}
	for _, draw := range []func() tasks.Task{f.nickname, f.group, f.course, f.sometimes} {
		seen := map[any]bool{}
		for range backlogKept {
			task := draw()
			if err := task.Validate(tasks.Limits{}); err != nil {
				t.Errorf("%+v: %v", task, err)
			}
			switch at := task.(type) {
			case tasks.GroupUpdate:
				if at.Name != "" && seen[at.ChatID] {
					t.Errorf("%s has two tasks", at.ChatID)
				}
				seen[at.ChatID] = true
			case tasks.CourseSync:
				if seen[at.CourseID] {
					t.Errorf("%s has two tasks", at.CourseID)
				}
				seen[at.CourseID] = true
			}
		}
	}
}
