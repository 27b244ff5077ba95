package handler_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/tasks"
)

// Two halves run in parallel. For 10,000 sequences: -rapid.checks=5000.
//
// The test found each of these manual changes, after so many sequences in the half that
// found it first. The number varies from run to run; above 100 it may exceed the
// sequences of make test.
//
//	  10  begin.lua ignores the latest change
//	  74  begin.lua ignores the applied value
//	   1  begin.lua: an equal revision supersedes
//	 499  begin.lua: unchanged in spite of an unknown outcome
//	   7  begin.lua: unchanged though a request may still take effect
//	1103  begin.lua lets edits run out of order
//	   2  begin.lua does not recognise a settled course
//	   1  begin.lua records no unknown outcome
//	   6  begin.lua ignores the lock of an ID
//	 113  begin.lua sends an ID that waits for a person
//	  37  begin.lua sends a value again though a later change is known
//	   6  send.lua ignores the owner
//	 390  settle.lua ignores the owner
//	   1  settle.lua keeps the unknown outcome
//	 268  settle.lua does not record that a request may still take effect
//	 120  mark.go: a clean refusal clears an earlier unknown outcome
//	 313  handler.go: no second check when the slot came late
//	   1  revise.lua uses only the clock
//	 292  stored.lua records an older change as the latest
//	   1  intend.lua records no unknown outcome
//	   4  id.go: an alternative after an unclear answer
//	   2  id.go sends another ID than the one with the unknown outcome, and intend.lua allows it
//	  22  id.go sends an ID with an unknown outcome again at once
//	 232  id.go sends it a fourth time
func TestThePlatformEndsUpWithTheLatestChanges(t *testing.T) {
	t.Parallel()
	for _, share := range []string{"one half", "other half"} {
		t.Run(share, func(t *testing.T) {
			t.Parallel()
			s := redistest.Mini(t)
			f := newFront(t, s.Mini, s.Client(t))
			rapid.Check(t, func(t *rapid.T) {
				w := newWorld(t, f)
				t.Repeat(w.steps())
				w.finish()
				w.check()
				w.compare()
			})
		})
	}
}

// Two of the IDs are taken.
var modelIDs = []string{"person01", "zhangsan01", "person02", "zhangsan02"}

// kindsOf draws the kinds of a sequence: tasks of one kind conflict more often.
func kindsOf(t *rapid.T) []string {
	all := []string{"nickname", "group", "members", "id", "course"}
	if one := rapid.IntRange(0, len(all)).Draw(t, "about"); one < len(all) {
		return all[one : one+1]
	}
	return all
}

func drawTask(t *rapid.T, subjects []string) tasks.Task {
	value := rapid.SampledFrom([]string{"A", "B", "C"})
	switch rapid.SampledFrom(subjects).Draw(t, "kind") {
	case "nickname":
		return tasks.NicknameSync{Tenant: dt, ChatID: "chat1", UserID: "ann", Nickname: value.Draw(t, "nickname")}
	case "course":
		return course
	case "id":
		ids := rapid.Permutation(modelIDs).Draw(t, "ids")[:rapid.IntRange(1, 3).Draw(t, "candidates")]
		return change(rapid.SampledFrom([]string{"ann", "eve"}).Draw(t, "who"), ids[0], ids[1:]...)
	case "members":
		g := tasks.GroupUpdate{Tenant: dt, ChatID: "chat1"}
		who := rapid.SampledFrom([]string{"cat", "dan"}).Draw(t, "member")
		if rapid.Bool().Draw(t, "joins") {
			g.AddUserIDs = []string{who}
		} else {
			g.DelUserIDs = []string{who}
		}
		if rapid.IntRange(0, 3).Draw(t, "with") == 3 {
			g.Name = value.Draw(t, "name")
		}
		return g
	}
	g := tasks.GroupUpdate{Tenant: dt, ChatID: "chat1"}
	parts := rapid.IntRange(1, 7).Draw(t, "parts")
	if parts&1 != 0 {
		g.Name = value.Draw(t, "name")
	}
	if parts&2 != 0 {
		g.Icon = "@" + value.Draw(t, "icon")
	}
	if parts&4 != 0 {
		g.Options.Searchable = new(rapid.IntRange(0, 1).Draw(t, "searchable"))
	}
	return g
}

func drawPlan(t *rapid.T) plan {
	var p plan
	switch rapid.SampledFrom([]string{"fine", "platform", "redis", "slot", "both"}).Draw(t, "goes wrong") {
	case "platform":
		p.atPlatform(t)
	case "redis":
		p.atRedis(t)
	case "slot":
		p.atSlot = rapid.SampledFrom([]fault{refuse, passed, slow, pause, crash, crashAfter}).Draw(t, "at the slot")
	case "both":
		p.atPlatform(t)
		p.atRedis(t)
	}
	return p
}

func (p *plan) atPlatform(t *rapid.T) {
	p.exchange = rapid.SampledFrom([]int{1, 1, 1, 2}).Draw(t, "exchange")
	p.atExchange = rapid.SampledFrom(platformFaults).Draw(t, "at the platform")
}

func (p *plan) atRedis(t *rapid.T) {
	p.command = rapid.IntRange(1, 5).Draw(t, "command")
	p.atCommand = rapid.SampledFrom([]fault{crash, crashAfter, lost, twice, pause}).Draw(t, "at Redis")
}

var platformFaults = []fault{pauseAfter, pause, refuse, busy, busyDone, outage, fast, odd, reset, timeout, pause, pauseAfter, late, resetLate}

func (p plan) String() string {
	text := "no fault"
	if p.exchange > 0 {
		text = fmt.Sprintf("exchange %d: %s", p.exchange, p.atExchange)
	}
	if p.command > 0 {
		text += fmt.Sprintf(", command %d: %s", p.command, p.atCommand)
	}
	if p.atSlot != "" {
		text += ", slot: " + string(p.atSlot)
	}
	return text
}

// pick draws one of the tasks that fit; without one the step is skipped.
func (w *world) pick(t *rapid.T, fits func(*stored) bool) *stored {
	var some []*stored
	for _, s := range w.tasks {
		if fits(s) {
			some = append(some, s)
		}
	}
	if len(some) == 0 {
		t.Skip("no such task")
	}
	return some[rapid.IntRange(0, len(some)-1).Draw(t, "task")]
}

func (w *world) steps() map[string]func(*rapid.T) {
	subjects := kindsOf(w.t)
	deliver := func(t *rapid.T) { w.deliver(w.pick(t, (*stored).waits), drawPlan(t)) }
	return map[string]func(*rapid.T){
		"": func(*rapid.T) { w.check() },
		"enqueue": func(t *rapid.T) {
			task := drawTask(t, subjects)
			w.enqueue(task, rapid.SampledFrom([]string{stores, stores, stores, doesNotRecord, doesNotStore}).Draw(t, "the producer"))
		},
		"run": func(t *rapid.T) { w.plans(t, subjects) },
		"feed": func(t *rapid.T) {
			if len(w.planned) == 0 {
				t.Skip("no row waits")
			}
			s := w.planned[rapid.IntRange(0, len(w.planned)-1).Draw(t, "row")]
			w.feeds(s, rapid.SampledFrom([]string{stores, stores, doesNotRecord, doesNotStore}).Draw(t, "the feeder"))
		},
		"deliver": deliver, "deliver again": deliver, "deliver once more": deliver,
		"redeliver": func(t *rapid.T) { // asynq's own "done" was lost
			w.deliver(w.pick(t, func(s *stored) bool { return s.done }), drawPlan(t))
		},
		"resume": func(t *rapid.T) {
			if len(w.still) == 0 {
				t.Skip("no attempt is paused")
			}
			a := w.still[rapid.IntRange(0, len(w.still)-1).Draw(t, "who")]
			w.resume(a, rapid.SampledFrom([]string{goOn, goTimeout, goCrash}).Draw(t, "how"))
		},
		"clock": func(t *rapid.T) {
			d := rapid.SampledFrom([]time.Duration{
				time.Second, 30 * time.Second, 3 * time.Minute, 6 * time.Minute, 0, 31 * 24 * time.Hour,
			}).Draw(t, "time passes")
			if d > 0 && w.now.Add(d).Before(w.started.AddDate(0, 4, 0)) {
				w.landAll(d)
				w.log("%s pass", d)
				w.clock(d)
				return
			}
			jump := time.Duration(rapid.IntRange(-300, 300).Draw(t, "Redis' clock jumps")) * time.Second
			w.landAll(jump)
			w.log("Redis' clock jumps by %s", jump)
			w.jump(jump)
		},
		"land": func(t *rapid.T) {
			if len(w.late) == 0 {
				t.Skip("no attempt is running")
			}
			w.land(w.late[rapid.IntRange(0, len(w.late)-1).Draw(t, "which")])
		},
		"give up": func(t *rapid.T) {
			s := w.pick(t, func(s *stored) bool { return s.waits() && !w.standsAt(s) })
			w.log("%s is dead: its attempts are spent", s.id)
			w.archive(s)
		},
		"send again": func(t *rapid.T) {
			s := w.due(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "which") })
			if s == nil {
				t.Skip("nothing is sent again")
			}
			w.resend(s, drawPlan(t))
		},
		"look": func(t *rapid.T) { w.look(t, rapid.SampledFrom([]string{"ann", "eve"}).Draw(t, "person")) },
		"overtake": func(t *rapid.T) { // another attempt starts at a target whose worker is frozen
			if len(w.still) == 0 {
				t.Skip("no attempt is paused")
			}
			a := w.still[rapid.IntRange(0, len(w.still)-1).Draw(t, "whom")]
			target, _ := kinds.Change(a.task.task, school)
			other := w.pick(t, func(s *stored) bool {
				at, _ := kinds.Change(s.task, school)
				return s.waits() && at == target
			})
			w.landAll(30 * time.Second)
			w.clock(30 * time.Second)
			w.deliver(other, drawPlan(t))
		},
		"replay": func(t *rapid.T) {
			w.replay(w.pick(t, func(s *stored) bool { return s.dead }))
		},
	}
}

// look is what a person does about an ID that was given up to them: once no attempt is
// running, they check the platform and settle the outcome.
func (w *world) look(t *rapid.T, who string) {
	target := ledger.Target{Organisation: school, API: string(tasks.KindID), Key: who}
	at := func(a *attempt) bool { task, ok := a.task.task.(tasks.IDChange); return ok && task.UserID == who }
	underway := slices.ContainsFunc(w.still, at) || slices.ContainsFunc(w.late, func(l *landing) bool { return at(l.by) })
	parts := strings.SplitN(w.field(target, "i:id"), " ", 5)
	if underway || len(parts) < 5 || !strings.HasSuffix(w.field(target, "l:id"), ledger.LockUnverified) {
		t.Skip("no ID to settle")
	}
	org, _ := w.box.State().Organisation(school)
	p, say, settle := w.model.person(who), "confirmed", w.ledger.Confirm
	for _, e := range org.Employees {
		if e.UserID == who && e.DingTalkID != parts[4] {
			say, settle = "rejected", w.ledger.Reject
		}
	}
	if _, _, err := settle(context.Background(), target, "id", "ops"); err != nil {
		w.fatalf("%s of %s is %s: %v", parts[4], who, say, err)
	}
	w.log("%s of %s is %s", parts[4], who, say)
	if *p = (person{locked: p.at.AddDate(0, 11, 0)}); say == "rejected" {
		*p = person{}
	}
}

func (w *world) standsAt(s *stored) bool {
	return slices.ContainsFunc(w.still, func(a *attempt) bool { return a.task == s })
}
