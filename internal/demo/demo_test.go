package demo_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"rollcall/internal/demo"
	"rollcall/internal/sandbox"
	"rollcall/tasks"
)

func before(t *testing.T) demo.Believed {
	t.Helper()
	platforms, err := sandbox.New(sandbox.Config{World: demo.World(time.Now()), Scenario: demo.Scenario()})
	if err != nil {
		t.Fatal(err)
	}
	org, ok := platforms.State().Organisation(demo.Organisation)
	if !ok {
		t.Fatal("the sample organisation is not in its own world")
	}
	return demo.Believes(org.Organisation)
}

func TestTheSampleIsASchool(t *testing.T) {
	t.Parallel()
	counts := map[string]int{}
	names := map[string]bool{}
	for _, r := range demo.Requests() {
		if err := r.Task.Validate(tasks.Limits{}); err != nil {
			t.Errorf("%+v: %v", r.Task, err)
		}
		switch task := r.Task.(type) {
		case tasks.NicknameSync:
			counts["nickname"]++
			counts["chat "+task.ChatID]++
			names[task.Nickname] = true
		case tasks.CourseSync:
			counts["course"]++
		case tasks.GroupUpdate:
			counts["group"]++
		case tasks.IDChange:
			counts["id"]++
		case tasks.StudentSync:
			counts["student"]++
		}
	}
	if counts["nickname"] != 200 || counts["course"] != 8 || counts["group"] < 6 || counts["id"] < 10 || counts["student"] != 3 {
		t.Errorf("the roster holds %v", counts)
	}
	if len(names) < 100 {
		t.Errorf("only %d different nicknames among 200 people", len(names))
	}
}

func applied(task tasks.Task, revision int64) demo.Outcome {
	return demo.Outcome{Task: task, Revision: revision, Result: demo.ResultApplied}
}

func nick(name string) tasks.NicknameSync {
	return tasks.NicknameSync{Tenant: demo.DingTalk, ChatID: "chat7Af3929", UserID: "u001", Nickname: name}
}

const nickKey = "nick chat7Af3929 u001"

// The comparison must be able to fail: each way in which a report and the
// platforms can differ is found.
func TestTheComparisonFindsEveryDisagreement(t *testing.T) {
	t.Parallel()
	start := before(t)
	with := func(key, value string) demo.Believed {
		after := maps.Clone(start)
		after[key] = value
		return after
	}
	for _, row := range []struct {
		name     string
		after    demo.Believed
		outcomes []demo.Outcome
		agrees   bool
	}{
		{"applied and there", with(nickKey, "new"), []demo.Outcome{applied(nick("new"), 1)}, true},
		{"applied and not there", start, []demo.Outcome{applied(nick("new"), 1)}, false},
		{"changed but not reported", with(nickKey, "new"), nil, false},
		{"a dead letter that was applied", with(nickKey, "new"), []demo.Outcome{{Task: nick("new"), Result: demo.ResultDead}}, false},
		{"the newest of two", with(nickKey, "new"), []demo.Outcome{applied(nick("new"), 2), applied(nick("old"), 1)}, true},
		{"the older of two", with(nickKey, "old"), []demo.Outcome{applied(nick("new"), 2), applied(nick("old"), 1)}, false},
		{"unverified, not there", start, []demo.Outcome{{Task: nick("new"), Result: demo.ResultUnverified}}, true},
		{"unverified, there", with(nickKey, "new"), []demo.Outcome{{Task: nick("new"), Result: demo.ResultUnverified}}, true},
		{"unverified, and something else there", with(nickKey, "x"), []demo.Outcome{{Task: nick("new"), Result: demo.ResultUnverified}}, false},
		{"another ID than was taken", with("id u005", "lakeside005"), []demo.Outcome{{
			Task: tasks.IDChange{UserID: "u005", DingTalkID: "lakeside005"}, Result: demo.ResultApplied, Took: "spare00005",
		}}, false},
		{"a student renamed in the console alone", with("student 1446001 console", "new"), []demo.Outcome{
			applied(tasks.StudentSync{StudentUID: "1446001", Name: "new"}, 1),
		}, false},
		{"a member who is still there", start, []demo.Outcome{
			applied(tasks.GroupUpdate{ChatID: "chat7Af3929", DelUserIDs: []string{"u001"}}, 1),
		}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			wrong := demo.Disagreements(start, row.after, row.outcomes)
			if agrees := len(wrong) == 0; agrees != row.agrees {
				t.Errorf("agrees: %t, want %t: %s", agrees, row.agrees, strings.Join(wrong, "; "))
			}
		})
	}
}
