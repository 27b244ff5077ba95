package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/demo"
	"rollcall/internal/hold"
	"rollcall/internal/ledger"
	"rollcall/internal/sandbox"
	"rollcall/tasks"
)

// story is one or several tasks on the whole path, with the ends that are allowed after
// any lost reply.
type story struct {
	name, intro string
	// steps are the commands whose replies are lost: all commands of the first stories,
	// and only the new ones of later stories.
	steps       []step
	before      func(*taskRun)  // before the tasks are enqueued
	requests    []tasks.Request // enqueued in one call
	during      func(*taskRun)  // an action of a person while the tasks run; may be nil
	ends        []string        // allowed ends of each task
	most        int             // of calls allowed
	wrong       func(*taskRun) error
	deadLetters int
	// after uses the same target again, to check the record of it.
	after func(*taskRun)
	// in is the delay of the tasks; 0: none.
	in time.Duration
}

const classroom = "chat7Af3929"

func nicknameOf(user, name string) tasks.NicknameSync {
	return tasks.NicknameSync{Tenant: demo.DingTalk, ChatID: classroom, UserID: user, Nickname: name}
}

func one(task tasks.Task, options tasks.Options) []tasks.Request {
	return []tasks.Request{{Task: task, Options: options}}
}

// carry enqueues a task and waits for its end, which must be one of want.
func (p *taskRun) carry(task tasks.Task, want ...string) {
	p.t.Helper()
	for _, e := range p.settle(p.enqueue(tasks.Request{Task: task})) {
		if got := e.String(); !slices.Contains(want, got) {
			p.t.Errorf("%+v ended as %s, want %v", task, got, want)
		}
	}
}

func (p *taskRun) arm(f sandbox.Fault) {
	p.t.Helper()
	if _, err := p.platforms.Arm(f); err != nil {
		p.t.Fatal(err)
	}
}

func named(user, want string) func(*taskRun) error {
	return func(p *taskRun) error {
		if got, in := p.school().Nick(classroom, user); got != want {
			return fmt.Errorf("%s is called %q (a member: %t), want %q", user, got, in, want)
		}
		return nil
	}
}

func (p *taskRun) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Error(err)
	}
}

func stories() []story {
	return []story{
		nicknameStory("a nickname, with a key", "A member is renamed for the second time.", tasks.Options{Key: "7"}),
		groupStory(), idStory(), rejectedStory(), slowStory(), throttledStory(), heldStory(), laterStory(), lateStory(),
	}
}

func nicknameStory(name, intro string, options tasks.Options) story {
	return story{
		name: name, intro: intro,
		before:   func(p *taskRun) { p.carry(nicknameOf("u001", "old"), "`applied`") },
		requests: one(nicknameOf("u001", "new"), options),
		ends:     []string{"`applied`", "`settled`", "`done`"}, most: 2,
		wrong: named("u001", "new"), steps: nicknameSteps(),
		after: func(p *taskRun) {
			// One more call is allowed if begin.lua ran twice and noted an unknown
			// outcome.
			p.carry(nicknameOf("u001", "new"), "`unchanged`", "`applied`")
			p.carry(nicknameOf("u001", "old"), "`applied`")
			p.must(named("u001", "old")(p))
		},
	}
}

func group(name string) tasks.GroupUpdate {
	return tasks.GroupUpdate{Tenant: demo.DingTalk, ChatID: classroom, Name: name}
}

func groupStory() story {
	task := group("new")
	task.AddUserIDs = []string{"u101"}
	wrong := func(p *taskRun, name string, want bool) error {
		for _, c := range p.school().Chats {
			if c.ID != classroom {
				continue
			}
			in := slices.ContainsFunc(c.Members, func(m sandbox.Member) bool { return m.UserID == "u101" })
			if c.Name != name || in != want {
				return fmt.Errorf("the chat is called %q, u101 is in it: %t; want %q, %t", c.Name, in, name, want)
			}
		}
		return nil
	}
	return story{
		name: "a chat's name and members", intro: "One task renames a chat and adds a member.",
		before: func(p *taskRun) { p.carry(group("old"), "`applied`") }, requests: one(task, tasks.Options{}),
		ends: []string{"`applied`", "`settled`", "`done`"}, most: 2,
		wrong: func(p *taskRun) error { return wrong(p, "new", true) }, steps: groupSteps(),
		after: func(p *taskRun) {
			back := group("old")
			back.DelUserIDs = []string{"u101"}
			p.carry(back, "`applied`")
			p.must(wrong(p, "old", false))
		},
	}
}

func idStory() story {
	task := tasks.IDChange{Tenant: demo.DingTalk, UserID: "u011", DingTalkID: "lakeside005", Alternatives: []string{"lakeside011"}}
	return story{
		name:     "an ID change",
		intro:    "The ID is taken and the alternative is free: two calls, one effect, and no ID is sent twice.",
		requests: one(task, tasks.Options{}), before: func(*taskRun) {}, steps: idSteps(),
		ends: []string{"`applied`", "`settled`", "`done`"}, most: 2,
		wrong: func(p *taskRun) error {
			asked := map[string]int{}
			for _, c := range p.calls() {
				asked[c.Target.WantedID]++
			}
			if len(asked) != 2 || asked["lakeside005"] != 1 || asked["lakeside011"] != 1 {
				return fmt.Errorf("IDs sent, with their counts: %v", asked)
			}
			for _, e := range p.school().Employees {
				if e.UserID == "u011" && e.DingTalkID != "lakeside011" {
					return fmt.Errorf("u011 has the ID %s", e.DingTalkID)
				}
			}
			return nil
		},
		after: func(p *taskRun) {
			before := len(p.calls())
			p.carry(task, "`unchanged`")
			if n := len(p.calls()) - before; n > 0 {
				p.t.Errorf("the change that was applied already cost %d calls", n)
			}
		},
	}
}

func rejectedStory() story {
	return story{
		name:  "a nickname that is rejected",
		intro: "The platform is busy during one attempt and rejects the name in the next: one dead letter, in rollcall's record and in asynq's archive.",
		before: func(p *taskRun) {
			p.carry(nicknameOf("u007", "old"), "`applied`")
			p.arm(sandbox.Fault{API: sandbox.APIGroupNick, Kind: sandbox.FaultAnswer, Code: "400001", First: 3})
		},
		requests: one(nicknameOf("u007", "赌博"), tasks.Options{}),
		ends:     []string{"dead letter `rejected`"}, most: 5, deadLetters: 1,
		wrong: named("u007", "old"), steps: rejectedSteps(),
		after: func(p *taskRun) {
			p.carry(nicknameOf("u007", "new"), "`applied`")
			p.must(named("u007", "new")(p))
		},
	}
}

func slowStory() story {
	s := nicknameStory("a slow platform", "The call takes six seconds, so that the lease of the target and asynq's lease are renewed.", tasks.Options{})
	before := s.before
	s.before = func(p *taskRun) {
		before(p)
		p.arm(sandbox.Fault{API: sandbox.APIGroupNick, Kind: sandbox.FaultLatency, Latency: 6500 * time.Millisecond, First: 1})
	}
	s.steps = slowSteps()
	return s
}

func throttledStory() story {
	s := nicknameStory("a call that is refused for its rate", "The lane pauses for all workers, and the call is repeated.", tasks.Options{})
	before := s.before
	s.before = func(p *taskRun) {
		before(p)
		p.arm(sandbox.Fault{API: sandbox.APIGroupNick, Kind: sandbox.FaultAnswer, Code: "90018", First: 1})
	}
	s.steps, s.most = throttledSteps(), 3
	return s
}

func heldStory() story {
	s := nicknameStory("a lane that is put on hold", "A permission is missing for a moment. A probe with one task ends the hold.", tasks.Options{})
	before := s.before
	s.before = func(p *taskRun) {
		before(p)
		p.arm(sandbox.Fault{API: sandbox.APIGroupNick, Kind: sandbox.FaultAnswer, Code: "60011", First: 1})
	}
	s.steps, s.most, s.during = heldSteps(), 3, probe
	return s
}

// probe requests a probe of the lane's hold, as an operator does who has fixed the cause.
func probe(p *taskRun) {
	p.t.Helper()
	holds := hold.NewStore(p.rdb)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for {
		err := holds.Refresh(p.t.Context())
		for _, h := range holds.All() {
			done, failed := holds.ProbeNow(p.t.Context(), h, time.Now())
			if err = errors.Join(err, failed); done {
				return
			}
		}
		if err != nil {
			p.t.Fatal(err)
		}
		select {
		case <-late:
			p.t.Fatal("the lane is not on hold")
		case <-tick.C:
		}
	}
}

func laterStory() story {
	s := nicknameStory("a scheduled batch", "Two nicknames are enqueued together, to run in two seconds.", tasks.Options{})
	s.requests = nil
	for _, user := range []string{"u001", "u013"} {
		s.requests = append(s.requests, tasks.Request{Task: nicknameOf(user, "new")})
	}
	s.steps, s.most, s.in = laterSteps(), 3, 2*time.Second
	return s
}

func lateStory() story {
	s := nicknameStory("a value that is sent again",
		"The first call for a nickname is cut off, so that it may land late. The worker repeats it, and sends the name once more when nothing can land any more.", tasks.Options{})
	before := s.before
	s.before = func(p *taskRun) {
		before(p)
		p.arm(sandbox.Fault{API: sandbox.APIGroupNick, Kind: sandbox.FaultReset, First: 1})
	}
	s.steps, s.most, s.during = lateSteps(), 6, resent
	return s
}

// resent makes the time pass in which a request may land, until nothing is left to be sent
// again.
func resent(p *taskRun) {
	p.t.Helper()
	target := ledger.Target{Organisation: "lakeside", API: "nickname", Key: classroom + "/u001"}
	record := ledger.New(p.rdb)
	keys := "rollcall:{lakeside/nickname}:"
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for begun := false; ; {
		at, err := record.ResendAt(p.t.Context(), target, demo.DingTalk)
		p.must(err)
		switch {
		case begun && at.IsZero():
			return
		case at.After(time.Now()):
			begun = true
			late := time.Now().Add(-time.Hour).Unix()
			p.must(errors.Join(
				p.rdb.HSet(p.t.Context(), keys+"target:"+target.Key, "q:nickname", late).Err(),
				p.rdb.ZAddXX(p.t.Context(), keys+"late:"+demo.DingTalk, redis.Z{Score: float64(late), Member: target.Key}).Err()))
		}
		select {
		case <-end:
			p.t.Fatalf("it is not sent again:\n%s", p.log)
		case <-tick.C:
		}
	}
}
