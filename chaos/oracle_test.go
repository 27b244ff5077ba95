package main

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/sandbox"
	"rollcall/tasks"
)

// course is a run without any error: two names for one student, an edit after another,
// an ID, a course, and a name that the platform refuses.
type course struct {
	changes []*change
	ev      *evidence
}

func newCourse(t *testing.T) *course {
	t.Helper()
	c := &course{ev: &evidence{
		tasks: map[string]found{}, dead: map[string]ledger.DeadLetter{}, records: map[ledger.Target]map[string]string{},
		state: sandbox.OrganisationState{Organisation: sandbox.Organisation{
			Name:      organisation,
			Chats:     []sandbox.Chat{{ID: "chat", Owner: "owner", Members: []sandbox.Member{{UserID: "ann", Nick: "new"}, {UserID: "bob"}}}},
			Employees: []sandbox.Employee{{UserID: "ann", DingTalkID: "spare01"}},
			Schools: []sandbox.School{{Courses: []sandbox.Course{{ID: "7", Students: []sandbox.Student{
				{UID: "1", Name: "x", Nickname: "x"},
			}}}}},
		}},
		calls: []sandbox.Call{
			{Number: 1, API: sandbox.APIChangeID, Target: sandbox.Target{User: "ann", WantedID: "wanted1"}, Status: 400, Code: "incorrect.reserved"},
			{Number: 2, API: sandbox.APIChangeID, Target: sandbox.Target{User: "ann", WantedID: "spare01"}, Status: 200, Code: "ok", Effect: 1},
			{Number: 3, API: sandbox.APIGroupNick, Target: sandbox.Target{Chat: "chat", User: "bob"}, Status: 200, Code: "41049", RequestID: "r3", Time: time.Unix(1000, 0)},
		},
		effects: []sandbox.Effect{{
			Number: 1, Call: 2, API: sandbox.APIChangeID, Target: sandbox.Target{User: "ann", WantedID: "spare01"},
			Changes: []sandbox.Change{{Field: "dingTalkId", New: "spare01"}},
		}},
	}}
	c.done(t, "old", tasks.NicknameSync{Tenant: dingtalk, ChatID: "chat", UserID: "ann", Nickname: "old"}, "superseded")
	c.done(t, "new", tasks.NicknameSync{Tenant: dingtalk, ChatID: "chat", UserID: "ann", Nickname: "new"}, "applied")
	c.done(t, "in", tasks.GroupUpdate{Tenant: dingtalk, ChatID: "chat", AddUserIDs: []string{"bob", "cat"}}, "applied")
	c.done(t, "out", tasks.GroupUpdate{Tenant: dingtalk, ChatID: "chat", DelUserIDs: []string{"cat"}}, "applied")
	c.done(t, "id", tasks.IDChange{Tenant: dingtalk, UserID: "ann", DingTalkID: "wanted1", Alternatives: []string{"spare01"}}, "applied")
	c.done(t, "course", tasks.CourseSync{Tenant: classin, CourseID: "7"}, "applied")
	w := c.add(t, "bad", tasks.NicknameSync{Tenant: dingtalk, ChatID: "chat", UserID: "bob", Nickname: "casino"})
	typename, payload, err := kinds.Encode(w.task, w.rev)
	if err != nil {
		t.Fatal(err)
	}
	c.ev.dead["bad"] = ledger.DeadLetter{
		ID: "bad", Lane: dingtalk + ".nickname", Tenant: dingtalk, Kind: "nickname", Organisation: organisation,
		Type: typename, Payload: payload, Target: "chat/bob", Revision: w.rev,
		Class: "rejected", Code: "41049", Message: "prohibited", RequestID: "r3", Cause: "rejected: prohibited",
		Attempts: map[string]int{"rejected": 1}, First: time.Unix(1, 0), Last: time.Unix(1, 0),
	}
	return c
}

func (c *course) add(t *testing.T, id string, task tasks.Task) *change {
	t.Helper()
	w := &change{n: len(c.changes), task: task, outcome: tasks.Stored, id: id, rev: int64(len(c.changes) + 1)}
	w.target, w.fields = kinds.Change(task, organisation)
	c.changes = append(c.changes, w)
	return w
}

func (c *course) done(t *testing.T, id string, task tasks.Task, outcome string) {
	t.Helper()
	w := c.add(t, id, task)
	_, payload, err := kinds.Encode(task, w.rev)
	if err != nil {
		t.Fatal(err)
	}
	c.ev.tasks[id] = found{state: asynq.TaskStateCompleted, payload: payload, outcome: outcome}
}

func (c *course) chat() *sandbox.Chat { return &c.ev.state.Chats[0] }

func (c *course) dead(change func(*ledger.DeadLetter)) {
	deadLetter := c.ev.dead["bad"]
	change(&deadLetter)
	c.ev.dead["bad"] = deadLetter
}

// rules are those that a verdict finds broken.
func rules(v verdict) []string {
	var broken []string
	for _, x := range v.violations {
		if !slices.Contains(broken, x.rule) {
			broken = append(broken, x.rule)
		}
	}
	return broken
}

func TestTheOracleFindsNothingWhereNothingIsWrong(t *testing.T) {
	t.Parallel()
	c := newCourse(t)
	v := consult(c.ev, c.changes, always)
	if len(v.violations) > 0 {
		t.Errorf("violations: %v", v.violations)
	}
	ends := map[string]int{"done, applied": 5, "done, superseded": 1, "dead letter, rejected": 1}
	if diff := cmp.Diff(ends, v.ends); diff != "" {
		t.Errorf("ends (-want +got):\n%s", diff)
	}
	excused := map[string]int{"the latest change is a dead letter, rejected": 1}
	if diff := cmp.Diff(excused, v.excused); diff != "" {
		t.Errorf("excused (-want +got):\n%s", diff)
	}
}

func TestTheOracleFindsEachViolation(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		spoil func(*course)
		want  string
	}{
		"an old name stands":              {func(c *course) { c.chat().Members[0].Nick = "old" }, ruleValue},
		"a name that no change requested": {func(c *course) { c.chat().Members[1].Nick = "stranger"; c.nicked("bob") }, ruleStrange},
		"a course is not synced":          {func(c *course) { c.ev.state.Schools[0].Courses[0].Students[0].Nickname = "" }, ruleValue},
		"no user has the ID":              {func(c *course) { c.ev.state.Employees[0].DingTalkID = "" }, ruleValue},
		"an edit is missing":              {func(c *course) { c.chat().Members = c.chat().Members[:1] }, ruleMember},
		"edits in the wrong order": {func(c *course) {
			c.chat().Members = append(c.chat().Members, sandbox.Member{UserID: "cat"})
		}, ruleMember},
		"a task vanished":                   {func(c *course) { delete(c.ev.tasks, "out") }, ruleLost},
		"a dead letter vanished":            {func(c *course) { delete(c.ev.dead, "bad") }, ruleLost},
		"a task waits without end":          {func(c *course) { c.state("new", asynq.TaskStateActive) }, ruleLimbo},
		"a task died without a dead letter": {func(c *course) { c.state("new", asynq.TaskStateArchived) }, ruleLimbo},
		"the ledger waits for a task":       {func(c *course) { c.ev.open = []string{"task x is noted as open"} }, ruleLimbo},
		"revisions run backwards":           {func(c *course) { c.changes[1].rev = 0; c.changes[0].rev = 3 }, ruleOrder},
		"a plain change is refused": {func(c *course) {
			c.changes[6].id, c.changes[6].outcome = "", tasks.Refused
			delete(c.ev.dead, "bad")
		}, rulePlan},
		"a change is not stored after all faults": {func(c *course) {
			c.changes[6].id, c.changes[6].outcome, c.changes[6].asked = "", tasks.NotStored, 9
			delete(c.ev.dead, "bad")
		}, rulePlan},
		"a second ID after one that may have been taken": {func(c *course) { c.ev.calls[0].Status, c.ev.calls[0].Code = 0, "" }, ruleSecondID},
		"a second ID after one that was answered busily": {func(c *course) { c.ev.calls[0].Status, c.ev.calls[0].Code = 500, "system.busy" }, ruleSecondID},
		"another ID after the first was taken": {func(c *course) {
			c.ev.calls = append(c.ev.calls, sandbox.Call{
				Number: 4, API: sandbox.APIChangeID, Target: sandbox.Target{User: "ann", WantedID: "third01"}, Status: 400, Code: "have.been.set",
			})
		}, ruleSecondID},
		"two IDs took hold":                            {func(c *course) { c.ev.effects = append(c.ev.effects, c.ev.effects[0]) }, ruleEffectID},
		"two calls at once":                            {func(c *course) { c.overlap("", 0) }, ruleOverlap},
		"two calls long after one was cut":             {func(c *course) { c.overlap("reset before", time.Minute) }, ruleOverlap},
		"a dead letter without a code":                 {func(c *course) { c.dead(func(l *ledger.DeadLetter) { l.Code = "" }) }, ruleDeadLetter},
		"a dead letter without a message":              {func(c *course) { c.dead(func(l *ledger.DeadLetter) { l.Message = "" }) }, ruleDeadLetter},
		"a dead letter without a request":              {func(c *course) { c.dead(func(l *ledger.DeadLetter) { l.RequestID = "" }) }, ruleDeadLetter},
		"a dead letter of another request":             {func(c *course) { c.dead(func(l *ledger.DeadLetter) { l.RequestID = "r9" }) }, ruleDeadLetter},
		"a dead letter without attempts":               {func(c *course) { c.dead(func(l *ledger.DeadLetter) { l.Attempts = nil }) }, ruleDeadLetter},
		"a dead letter without its payload":            {func(c *course) { c.dead(func(l *ledger.DeadLetter) { l.Payload = nil }) }, ruleDeadLetter},
		"a dead letter with another's payload":         {func(c *course) { c.dead(func(l *ledger.DeadLetter) { l.Payload = c.ev.tasks["new"].payload }) }, ruleDeadLetter},
		"a dead letter without a class":                {func(c *course) { c.dead(func(l *ledger.DeadLetter) { l.Class = "" }) }, ruleDeadLetter},
		"a dead letter with a death before the task's": {func(c *course) { c.dead(func(l *ledger.DeadLetter) { l.Last = time.Unix(0, 0) }) }, ruleDeadLetter},
		"a dead letter of a task that was never enqueued": {func(c *course) {
			c.ev.dead["other"] = c.ev.dead["bad"]
		}, ruleDeadLetter},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCourse(t)
			row.spoil(c)
			if got := rules(consult(c.ev, c.changes, always)); !slices.Contains(got, row.want) {
				t.Errorf("broken rules %q, want %q among them", got, row.want)
			}
		})
	}
}

// overlap makes a call for bob overlap with an earlier one, perhaps with a fault.
func (c *course) overlap(fault string, after time.Duration) {
	c.ev.calls[2].Fault = fault
	next := c.ev.calls[2]
	next.Number, next.Overlapping, next.Fault, next.Time = 4, 1, "", next.Time.Add(after)
	c.ev.calls = append(c.ev.calls, next)
}

// A platform notices a moment later that its client has disconnected.
func TestACallRightAfterADisconnectedOneDoesNotOverlap(t *testing.T) {
	t.Parallel()
	c := newCourse(t)
	c.overlap("reset before", time.Second)
	if v := consult(c.ev, c.changes, always); len(v.violations) > 0 {
		t.Errorf("violations: %v", v.violations)
	}
}

func TestEvidenceOfATaskThatEndedWhileItWasReadIsNotSettled(t *testing.T) {
	t.Parallel()
	c := newCourse(t)
	if !c.ev.settled() {
		t.Error("nothing runs, and the evidence is not settled")
	}
	c.state("bad", asynq.TaskStateActive) // its dead letter was read later
	if c.ev.settled() {
		t.Error("a task is active, and the evidence is settled")
	}
}

func TestTokenCallsOfTwoWorkersDoNotOverlap(t *testing.T) {
	t.Parallel()
	c := newCourse(t)
	c.ev.calls = append(c.ev.calls, sandbox.Call{Number: 4, API: sandbox.APIToken, Time: c.ev.calls[2].Time, Overlapping: 1, Status: 200})
	if v := consult(c.ev, c.changes, always); len(v.violations) > 0 {
		t.Errorf("violations: %v", v.violations)
	}
}

func (c *course) nicked(user string) {
	c.ev.effects = append(c.ev.effects, sandbox.Effect{
		API: sandbox.APIGroupNick, Target: sandbox.Target{Chat: "chat", User: user}, Changes: []sandbox.Change{{Field: "nick"}},
	})
}

func (c *course) state(id string, s asynq.TaskState) {
	task := c.ev.tasks[id]
	task.state = s
	c.ev.tasks[id] = task
}

// If Redis may lose acknowledged writes, losses are counted as such, and no value is
// compared with a lost change.
func TestLossesOfALossyRedisAreCounted(t *testing.T) {
	t.Parallel()
	c := newCourse(t)
	delete(c.ev.tasks, "new")
	c.chat().Members[0].Nick = "old"
	v := consult(c.ev, c.changes, sentinel)
	if len(v.violations) > 0 || len(v.lost) != 1 || v.lost[0] != c.changes[1] {
		t.Errorf("violations %v, lost %v", v.violations, v.lost)
	}
}

// A single Redis that lost its power may have lost the record of a send for a user.
// With replicas, the record is confirmed by them before the send.
func TestASecondIDIsExcusedIfRedisLostTheFirst(t *testing.T) {
	t.Parallel()
	c := newCourse(t)
	c.ev.calls[0].Status, c.ev.calls[0].Code = 0, ""
	if v := consult(c.ev, c.changes, everysec); len(v.violations) > 0 || v.excused["users with a second ID, because Redis lost the first"] != 1 {
		t.Errorf("violations %v, excused %v", v.violations, v.excused)
	}
	if got := rules(consult(c.ev, c.changes, cluster)); !slices.Contains(got, ruleSecondID) {
		t.Errorf("broken rules on a cluster: %q, want %q among them", got, ruleSecondID)
	}
}

// Redis lost a name that was applied, and the latest change restores the name before
// it: the ledger decides that it is unchanged, and a person must drop the record.
func TestAChangeBackToTheValueBeforeALostWriteIsExcused(t *testing.T) {
	t.Parallel()
	c := newCourse(t)
	delete(c.ev.tasks, "new")
	c.done(t, "back", tasks.NicknameSync{Tenant: dingtalk, ChatID: "chat", UserID: "ann", Nickname: "old"}, "unchanged")
	v := consult(c.ev, c.changes, everysec)
	if len(v.violations) > 0 || len(v.drop) != 1 || v.drop[0].Key != "chat/ann" {
		t.Errorf("violations %v, to be dropped %v", v.violations, v.drop)
	}
	if got := rules(consult(c.ev, c.changes, always)); !slices.Contains(got, ruleValue) {
		t.Errorf("broken rules where nothing may be lost: %q, want %q among them", got, ruleValue)
	}
}

// The same, of a group whose other fields had a call.
func TestAFieldThatWasNotInTheCallIsExcused(t *testing.T) {
	t.Parallel()
	c := newCourse(t)
	named := func(name, icon string) tasks.GroupUpdate {
		return tasks.GroupUpdate{Tenant: dingtalk, ChatID: "chat", Name: name, Icon: icon}
	}
	c.done(t, "a", named("a", ""), "applied")
	c.add(t, "b", named("b", ""))
	c.chat().Name, c.chat().Icon = "b", "@icon"
	c.done(t, "again", named("a", "@icon"), "applied")
	if v := consult(c.ev, c.changes, everysec); len(v.violations) > 0 || len(v.drop) != 1 {
		t.Errorf("violations %v, to be dropped %v", v.violations, v.drop)
	}
	c.ev.effects = append(c.ev.effects, sandbox.Effect{
		Number: 2, Time: time.Unix(1000, 0), Target: sandbox.Target{Chat: "chat"}, Changes: []sandbox.Change{{Field: "name", New: "b"}},
	})
	if got := rules(consult(c.ev, c.changes, everysec)); !slices.Contains(got, ruleValue) {
		t.Errorf("broken rules with a call after the latest change: %q, want %q among them", got, ruleValue)
	}
}

// The answer to a task without a key may be lost: it is there or it is not.
func TestAChangeWithAnUnknownResultMayExistOrNot(t *testing.T) {
	t.Parallel()
	c := newCourse(t)
	c.changes[1].outcome = tasks.NotKnown
	if v := consult(c.ev, c.changes, always); len(v.violations) > 0 {
		t.Errorf("it was stored: %v", v.violations)
	}
	delete(c.ev.tasks, "new")
	c.chat().Members[0].Nick = "old"
	if v := consult(c.ev, c.changes, always); len(v.violations) > 0 {
		t.Errorf("it was not stored: %v", v.violations)
	}
}

// A failover lost the task and kept its record.
func TestATaskThatVanishedBeforeAnAttemptHasNoAttempts(t *testing.T) {
	t.Parallel()
	for class, broken := range map[string]bool{"vanished": false, "busy": true} {
		c := newCourse(t)
		c.dead(func(l *ledger.DeadLetter) {
			l.Class, l.Attempts, l.Code, l.Message, l.RequestID = class, nil, "", "", ""
		})
		if got := slices.Contains(rules(consult(c.ev, c.changes, cluster)), ruleDeadLetter); got != broken {
			t.Errorf("a dead letter of class %s without attempts breaks the rule: %t, want %t", class, got, broken)
		}
	}
}

// The effect of an edit that died for another reason than a refusal is unknown.
func TestMembersOfADeadEditMayBeInTheChatOrNot(t *testing.T) {
	t.Parallel()
	for _, members := range [][]sandbox.Member{{{UserID: "ann", Nick: "new"}, {UserID: "bob"}}, {{UserID: "ann", Nick: "new"}, {UserID: "bob"}, {UserID: "cat"}}} {
		c := newCourse(t)
		delete(c.ev.tasks, "out")
		_, payload, err := kinds.Encode(c.changes[3].task, 4)
		if err != nil {
			t.Fatal(err)
		}
		deadLetter := c.ev.dead["bad"]
		deadLetter.ID, deadLetter.Kind, deadLetter.Lane, deadLetter.Target = "out", "group", dingtalk+".group", "chat"
		deadLetter.Type, deadLetter.Payload, deadLetter.Revision, deadLetter.Class = kinds.TypeGroupUpdate, payload, 4, "busy"
		c.ev.dead["out"] = deadLetter
		c.chat().Members = members
		v := consult(c.ev, c.changes, always)
		if len(v.violations) > 0 || v.excused["members touched by an edit that is a dead letter"] != 1 {
			t.Errorf("violations %v, excused %v", v.violations, v.excused)
		}
	}
}
