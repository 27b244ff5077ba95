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

// course is a run in which all went well: two names for one pupil, an edit that
// follows another, an ID, a course, and a name that the platform refused.
type course struct {
	wishes []*wish
	ev     *evidence
}

func newCourse(t *testing.T) *course {
	t.Helper()
	c := &course{ev: &evidence{
		tasks: map[string]found{}, letters: map[string]ledger.Letter{}, records: map[ledger.Target]map[string]string{},
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
	c.ev.letters["bad"] = ledger.Letter{
		ID: "bad", Lane: dingtalk + ".nickname", Tenant: dingtalk, Kind: "nickname", Organisation: organisation,
		Type: typename, Payload: payload, Target: "chat/bob", Revision: w.rev,
		Class: "rejected", Code: "41049", Message: "prohibited", RequestID: "r3", Cause: "rejected: prohibited",
		Attempts: map[string]int{"rejected": 1}, First: time.Unix(1, 0), Last: time.Unix(1, 0),
	}
	return c
}

func (c *course) add(t *testing.T, id string, task tasks.Task) *wish {
	t.Helper()
	w := &wish{n: len(c.wishes), task: task, outcome: tasks.Stored, id: id, rev: int64(len(c.wishes) + 1)}
	w.target, w.fields = kinds.Change(task, organisation)
	c.wishes = append(c.wishes, w)
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

func (c *course) letter(change func(*ledger.Letter)) {
	letter := c.ev.letters["bad"]
	change(&letter)
	c.ev.letters["bad"] = letter
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
	v := consult(c.ev, c.wishes, always)
	if len(v.violations) > 0 {
		t.Errorf("violations: %v", v.violations)
	}
	ends := map[string]int{"done, applied": 5, "done, superseded": 1, "dead letter, rejected": 1}
	if diff := cmp.Diff(ends, v.ends); diff != "" {
		t.Errorf("ends (-want +got):\n%s", diff)
	}
	excused := map[string]int{"the newest wish is a dead letter, rejected": 1}
	if diff := cmp.Diff(excused, v.excused); diff != "" {
		t.Errorf("excused (-want +got):\n%s", diff)
	}
}

func TestTheOracleFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		spoil func(*course)
		want  string
	}{
		"an old name stands":        {func(c *course) { c.chat().Members[0].Nick = "old" }, ruleValue},
		"a name that nobody wished": {func(c *course) { c.chat().Members[1].Nick = "stranger"; c.nicked("bob") }, ruleStrange},
		"a course is not synced":    {func(c *course) { c.ev.state.Schools[0].Courses[0].Students[0].Nickname = "" }, ruleValue},
		"nobody has the ID":         {func(c *course) { c.ev.state.Employees[0].DingTalkID = "" }, ruleValue},
		"an edit is missing":        {func(c *course) { c.chat().Members = c.chat().Members[:1] }, ruleMember},
		"edits in the wrong order": {func(c *course) {
			c.chat().Members = append(c.chat().Members, sandbox.Member{UserID: "cat"})
		}, ruleMember},
		"a task vanished":              {func(c *course) { delete(c.ev.tasks, "out") }, ruleLost},
		"a letter vanished":            {func(c *course) { delete(c.ev.letters, "bad") }, ruleLost},
		"a task waits for ever":        {func(c *course) { c.state("new", asynq.TaskStateActive) }, ruleLimbo},
		"a task died without a letter": {func(c *course) { c.state("new", asynq.TaskStateArchived) }, ruleLimbo},
		"the ledger waits for a task":  {func(c *course) { c.ev.open = []string{"task x is noted as open"} }, ruleLimbo},
		"revisions run backwards":      {func(c *course) { c.wishes[1].rev = 0; c.wishes[0].rev = 3 }, ruleOrder},
		"a plain wish is refused": {func(c *course) {
			c.wishes[6].id, c.wishes[6].outcome = "", tasks.Refused
			delete(c.ev.letters, "bad")
		}, rulePlan},
		"a second ID after one that may have been taken": {func(c *course) { c.ev.calls[0].Status, c.ev.calls[0].Code = 0, "" }, ruleSecondID},
		"a second ID after one that was answered busily": {func(c *course) { c.ev.calls[0].Status, c.ev.calls[0].Code = 500, "system.busy" }, ruleSecondID},
		"another ID after the first was taken": {func(c *course) {
			c.ev.calls = append(c.ev.calls, sandbox.Call{
				Number: 4, API: sandbox.APIChangeID, Target: sandbox.Target{User: "ann", WantedID: "third01"}, Status: 400, Code: "have.been.set",
			})
		}, ruleSecondID},
		"two IDs took hold":                {func(c *course) { c.ev.effects = append(c.ev.effects, c.ev.effects[0]) }, ruleEffectID},
		"two calls at once":                {func(c *course) { c.overlap("", 0) }, ruleOverlap},
		"two calls long after one was cut": {func(c *course) { c.overlap("reset before", time.Minute) }, ruleOverlap},
		"a letter without a code":          {func(c *course) { c.letter(func(l *ledger.Letter) { l.Code = "" }) }, ruleLetter},
		"a letter without a message":       {func(c *course) { c.letter(func(l *ledger.Letter) { l.Message = "" }) }, ruleLetter},
		"a letter without a request":       {func(c *course) { c.letter(func(l *ledger.Letter) { l.RequestID = "" }) }, ruleLetter},
		"a letter of another request":      {func(c *course) { c.letter(func(l *ledger.Letter) { l.RequestID = "r9" }) }, ruleLetter},
		"a letter without attempts":        {func(c *course) { c.letter(func(l *ledger.Letter) { l.Attempts = nil }) }, ruleLetter},
		"a letter without its payload":     {func(c *course) { c.letter(func(l *ledger.Letter) { l.Payload = nil }) }, ruleLetter},
		"a letter with another's payload":  {func(c *course) { c.letter(func(l *ledger.Letter) { l.Payload = c.ev.tasks["new"].payload }) }, ruleLetter},
		"a letter without a class":         {func(c *course) { c.letter(func(l *ledger.Letter) { l.Class = "" }) }, ruleLetter},
		"a letter that died before it did": {func(c *course) { c.letter(func(l *ledger.Letter) { l.Last = time.Unix(0, 0) }) }, ruleLetter},
		"a letter of a task that nobody asked for": {func(c *course) {
			c.ev.letters["other"] = c.ev.letters["bad"]
		}, ruleLetter},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCourse(t)
			row.spoil(c)
			if got := rules(consult(c.ev, c.wishes, always)); !slices.Contains(got, row.want) {
				t.Errorf("broken rules %q, want %q among them", got, row.want)
			}
		})
	}
}

// overlap has a call for bob overlap with one that came before it, and perhaps
// met a fault.
func (c *course) overlap(fault string, after time.Duration) {
	c.ev.calls[2].Fault = fault
	next := c.ev.calls[2]
	next.Number, next.Overlapping, next.Fault, next.Time = 4, 1, "", next.Time.Add(after)
	c.ev.calls = append(c.ev.calls, next)
}

// A platform notices a moment later that it talks to nobody.
func TestACallRightAfterOneThatWasCutDoesNotOverlap(t *testing.T) {
	t.Parallel()
	c := newCourse(t)
	c.overlap("reset before", time.Second)
	if v := consult(c.ev, c.wishes, always); len(v.violations) > 0 {
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

// Where Redis may lose what it acknowledged, that is counted and not blamed, and
// what is gone is no wish that a value is held against.
func TestWhatALossyRedisLostIsCounted(t *testing.T) {
	t.Parallel()
	c := newCourse(t)
	delete(c.ev.tasks, "new")
	c.chat().Members[0].Nick = "old"
	v := consult(c.ev, c.wishes, sentinel)
	if len(v.violations) > 0 || len(v.lost) != 1 || v.lost[0] != c.wishes[1] {
		t.Errorf("violations %v, lost %v", v.violations, v.lost)
	}
}

// A single Redis that lost its power may have forgotten what was sent for a
// person; with replicas that is asked of them before.
func TestASecondIDIsCountedWhereRedisForgotTheFirst(t *testing.T) {
	t.Parallel()
	c := newCourse(t)
	c.ev.calls[0].Status, c.ev.calls[0].Code = 0, ""
	if v := consult(c.ev, c.wishes, everysec); len(v.violations) > 0 || v.excused["people who were sent a second ID, as Redis forgot the first"] != 1 {
		t.Errorf("violations %v, excused %v", v.violations, v.excused)
	}
	if got := rules(consult(c.ev, c.wishes, cluster)); !slices.Contains(got, ruleSecondID) {
		t.Errorf("broken rules on a cluster: %q, want %q among them", got, ruleSecondID)
	}
}

// Redis forgot a name that landed, and the newest wish is for the one before it:
// the ledger takes it for unchanged, and a person must drop the record.
func TestAWishForWhatWasBeforeAForgottenWriteIsToldApart(t *testing.T) {
	t.Parallel()
	c := newCourse(t)
	delete(c.ev.tasks, "new")
	c.done(t, "back", tasks.NicknameSync{Tenant: dingtalk, ChatID: "chat", UserID: "ann", Nickname: "old"}, "unchanged")
	v := consult(c.ev, c.wishes, everysec)
	if len(v.violations) > 0 || len(v.drop) != 1 || v.drop[0].Key != "chat/ann" {
		t.Errorf("violations %v, to be dropped %v", v.violations, v.drop)
	}
	if got := rules(consult(c.ev, c.wishes, always)); !slices.Contains(got, ruleValue) {
		t.Errorf("broken rules where nothing may be lost: %q, want %q among them", got, ruleValue)
	}
}

// The same, of a group whose other fields had a call.
func TestAFieldThatWasNotInTheCallIsToldApart(t *testing.T) {
	t.Parallel()
	c := newCourse(t)
	named := func(name, icon string) tasks.GroupUpdate {
		return tasks.GroupUpdate{Tenant: dingtalk, ChatID: "chat", Name: name, Icon: icon}
	}
	c.done(t, "a", named("a", ""), "applied")
	c.add(t, "b", named("b", ""))
	c.chat().Name, c.chat().Icon = "b", "@icon"
	c.done(t, "again", named("a", "@icon"), "applied")
	if v := consult(c.ev, c.wishes, everysec); len(v.violations) > 0 || len(v.drop) != 1 {
		t.Errorf("violations %v, to be dropped %v", v.violations, v.drop)
	}
	c.ev.effects = append(c.ev.effects, sandbox.Effect{
		Number: 2, Time: time.Unix(1000, 0), Target: sandbox.Target{Chat: "chat"}, Changes: []sandbox.Change{{Field: "name", New: "b"}},
	})
	if got := rules(consult(c.ev, c.wishes, everysec)); !slices.Contains(got, ruleValue) {
		t.Errorf("broken rules where a call came after the newest wish: %q, want %q among them", got, ruleValue)
	}
}

// The answer to a task without a key may be lost: it is there or it is not.
func TestAWishOfWhichNothingIsKnownMayBeThereOrNot(t *testing.T) {
	t.Parallel()
	c := newCourse(t)
	c.wishes[1].outcome = tasks.NotKnown
	if v := consult(c.ev, c.wishes, always); len(v.violations) > 0 {
		t.Errorf("it was stored: %v", v.violations)
	}
	delete(c.ev.tasks, "new")
	c.chat().Members[0].Nick = "old"
	if v := consult(c.ev, c.wishes, always); len(v.violations) > 0 {
		t.Errorf("it was not stored: %v", v.violations)
	}
}

// A failover lost it, and kept its record.
func TestATaskThatVanishedBeforeAnybodyCameToItTellsOfNoAttempt(t *testing.T) {
	t.Parallel()
	for class, broken := range map[string]bool{"vanished": false, "busy": true} {
		c := newCourse(t)
		c.letter(func(l *ledger.Letter) {
			l.Class, l.Attempts, l.Code, l.Message, l.RequestID = class, nil, "", "", ""
		})
		if got := slices.Contains(rules(consult(c.ev, c.wishes, cluster)), ruleLetter); got != broken {
			t.Errorf("a letter of class %s without attempts breaks the rule: %t, want %t", class, got, broken)
		}
	}
}

// What an edit did that died otherwise than by a refusal is not known.
func TestMembersOfAnEditThatDiedMayBeInOrOut(t *testing.T) {
	t.Parallel()
	for _, members := range [][]sandbox.Member{{{UserID: "ann", Nick: "new"}, {UserID: "bob"}}, {{UserID: "ann", Nick: "new"}, {UserID: "bob"}, {UserID: "cat"}}} {
		c := newCourse(t)
		delete(c.ev.tasks, "out")
		_, payload, err := kinds.Encode(c.wishes[3].task, 4)
		if err != nil {
			t.Fatal(err)
		}
		letter := c.ev.letters["bad"]
		letter.ID, letter.Kind, letter.Lane, letter.Target = "out", "group", dingtalk+".group", "chat"
		letter.Type, letter.Payload, letter.Revision, letter.Class = kinds.TypeGroupUpdate, payload, 4, "busy"
		c.ev.letters["out"] = letter
		c.chat().Members = members
		v := consult(c.ev, c.wishes, always)
		if len(v.violations) > 0 || v.excused["members touched by an edit that is a dead letter"] != 1 {
			t.Errorf("violations %v, excused %v", v.violations, v.excused)
		}
	}
}
