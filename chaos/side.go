package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
	"rollcall/internal/enqueue"
	"rollcall/internal/registry"
	"rollcall/internal/sandbox"
	"rollcall/tasks"
)

// side is an organisation that the plan does not know. Its tasks are drawn without end,
// and all its names begin with its own, so that the oracle does not see them.
type side struct {
	name    string
	chats   []string
	pupils  []string // in every chat
	people  []string // each can get one ID
	courses []string
	sid     string
}

func newSide(name, sid string) side {
	names := func(prefix string, n int) []string {
		all := make([]string, n)
		for i := range all {
			all[i] = fmt.Sprintf("%s-%s%04d", name, prefix, i)
		}
		return all
	}
	s := side{name: name, sid: sid, chats: names("chat", 240), pupils: names("pupil", 8), people: names("person", 500)}
	for i := range 300 {
		s.courses = append(s.courses, fmt.Sprintf("%s%03d", sid[len(sid)-2:], i))
	}
	return s
}

func (s side) dingtalk() string { return s.name + "-dt" }
func (s side) classin() string  { return s.name + "-ci" }
func (s side) appKey() string   { return "ding" + s.name }

// queue is the name of a lane, which is that of its queue.
func (s side) queue(kind tasks.Kind) string {
	if kind == tasks.KindCourse {
		return registry.Queue(s.classin(), kind, false)
	}
	return registry.Queue(s.dingtalk(), kind, false)
}

func (s side) organisation() sandbox.Organisation {
	o := sandbox.Organisation{Name: s.name, Quota: -1, Apps: []sandbox.App{{Key: s.appKey(), Secret: "secret"}}}
	for _, id := range append(append([]string{}, s.pupils...), s.people...) {
		o.Employees = append(o.Employees, sandbox.Employee{UserID: id, Name: id, EnterpriseAccount: true})
	}
	for _, id := range s.chats {
		chat := sandbox.Chat{ID: id, Name: "?", Owner: s.pupils[0]}
		for _, user := range s.pupils {
			chat.Members = append(chat.Members, sandbox.Member{UserID: user})
		}
		o.Chats = append(o.Chats, chat)
	}
	school := sandbox.School{SID: s.sid, Secret: "secret"}
	for _, id := range s.courses {
		school.Courses = append(school.Courses, sandbox.Course{ID: id, Students: []sandbox.Student{{UID: "1", Name: "student"}}})
	}
	o.Schools = []sandbox.School{school}
	return o
}

// backlogKept is how many tasks of a saturated lane are pending: those of some seconds, and
// fewer than it has targets.
const backlogKept = 80

// feeder enqueues the tasks of a side. It expects no success: keys of the side may be
// damaged.
type feeder struct {
	side

	client *enqueue.Client
	rdb    redis.UniversalClient
	n      int  // of the tasks so far; used by one goroutine
	steady bool // all tasks are for now, and none is urgent
	stored atomic.Int64
	failed atomic.Int64
}

func (f *feeder) number() int {
	f.n++
	return f.n
}

func (f *feeder) nickname() tasks.Task {
	n := f.number()
	return tasks.NicknameSync{
		Tenant: f.dingtalk(), ChatID: f.chats[n%len(f.chats)], UserID: f.pupils[n/len(f.chats)%len(f.pupils)], Nickname: fmt.Sprintf("名%d", n),
	}
}

func (f *feeder) group() tasks.Task {
	n := f.number()
	return tasks.GroupUpdate{Tenant: f.dingtalk(), ChatID: f.chats[n%len(f.chats)], Name: fmt.Sprintf("班%d", n)}
}

func (f *feeder) course() tasks.Task {
	return tasks.CourseSync{Tenant: f.classin(), CourseID: f.courses[f.number()%len(f.courses)]}
}

// sometimes draws what the other methods do not: an edit of members, an ID, a name that
// the platform refuses.
func (f *feeder) sometimes() tasks.Task {
	n := f.number()
	chat, pupil := f.chats[n%len(f.chats)], f.pupils[1+n%(len(f.pupils)-1)]
	switch n % 4 {
	case 0:
		return tasks.GroupUpdate{Tenant: f.dingtalk(), ChatID: chat, DelUserIDs: []string{pupil}}
	case 1:
		return tasks.GroupUpdate{Tenant: f.dingtalk(), ChatID: chat, AddUserIDs: []string{pupil}}
	case 2:
		// The last people are left for the check at the end.
		person := f.people[n%(len(f.people)-final)]
		return tasks.IDChange{Tenant: f.dingtalk(), UserID: person, DingTalkID: fmt.Sprintf("%s%05d", f.name, n)}
	}
	return tasks.NicknameSync{Tenant: f.dingtalk(), ChatID: chat, UserID: pupil, Nickname: fmt.Sprintf("%s %d", prohibited, n)}
}

// saturate keeps more tasks pending than the lanes can send, until ctx ends. Each target
// has one of them at most: others would be superseded.
func saturate(ctx context.Context, feeders map[tasks.Kind]*feeder) {
	var lanes sync.WaitGroup
	for kind, f := range feeders {
		f.steady = true
		lanes.Go(func() {
			draw := map[tasks.Kind]func() tasks.Task{tasks.KindNickname: f.nickname, tasks.KindGroup: f.group, tasks.KindCourse: f.course}[kind]
			for ctx.Err() == nil {
				pending, err := f.rdb.LLen(ctx, backlog.Key(f.queue(kind), "pending")).Result()
				if lack := backlogKept - int(pending); err == nil && lack > 0 {
					f.enqueue(ctx, lack, draw)
				}
				pause(ctx, 100*time.Millisecond)
			}
		})
	}
	lanes.Wait()
}

// trickle enqueues a few tasks of every form a second, until ctx ends.
func (f *feeder) trickle(ctx context.Context) {
	for ctx.Err() == nil {
		f.enqueue(ctx, 4, f.nickname)
		f.enqueue(ctx, 2, f.group)
		f.enqueue(ctx, 1, f.course)
		f.enqueue(ctx, 2, f.sometimes)
		pause(ctx, 500*time.Millisecond)
	}
}

func (f *feeder) enqueue(ctx context.Context, n int, draw func() tasks.Task) {
	requests := make([]tasks.Request, n)
	for i := range requests {
		requests[i].Task = draw()
		o := &requests[i].Options
		switch number := f.n; {
		case f.steady:
		case number%10 == 0:
			o.Urgent = true
		case number%10 == 1:
			o.At = time.Now().Add(time.Duration(2+number%40) * time.Second)
		case number%10 == 2:
			o.Run = "night"
		}
	}
	f.results(f.client.EnqueueAll(ctx, requests))
}

func (f *feeder) results(results []tasks.Result) {
	for _, r := range results {
		if r.Outcome == tasks.Stored {
			f.stored.Add(1)
		} else {
			f.failed.Add(1)
		}
	}
}
