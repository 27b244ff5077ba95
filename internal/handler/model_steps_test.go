package handler_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"pgregory.net/rapid"

	"rollcall/internal/handler"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/sandbox"
	"rollcall/internal/secret"
	"rollcall/providers"
	"rollcall/providers/classin"
	"rollcall/providers/dingtalk"
	"rollcall/tasks"
)

// landsWithin is how long after it was sent a request may still reach the
// platform, by Redis' clock: the guarantee is given for that long.
const landsWithin = 5 * time.Minute

// stored is a task in its queue.
type stored struct {
	deed

	id      string
	task    tasks.Task
	typ     string
	payload []byte
	done    bool
	marked  bool
	replays int
}

func (s *stored) waits() bool { return !s.done && !s.dead }

// world is one sequence.
type world struct {
	t       *rapid.T
	front   *front
	box     *sandbox.Sandbox
	ledger  *ledger.Ledger
	handle  map[string]handler.Func // by type
	model   *model
	tasks   []*stored
	now     time.Time
	skew    time.Duration // of Redis' clock
	running *attempt
	still   []*attempt
	healed  int // wishes since, that nothing disturbed

	mu     sync.Mutex // the front's goroutines and the driver take turns, and the race detector cannot see it
	late   []*landing
	trace  []string
	broken error
}

func newWorld(t *rapid.T, f *front) *world {
	w := &world{t: t, front: f, model: newModel(), now: time.Now()}
	f.mini.FlushAll()
	w.clock(0)
	box, err := sandbox.New(sandbox.Config{
		World: modelVillage(w.now), Clock: func() time.Time { return w.now },
		Limits: sandbox.Limits{MonthlyQuota: -1, Address: sandbox.Window{Calls: -1}, Windows: map[string][]sandbox.Window{
			sandbox.APIToken: {}, sandbox.APIGroupNick: {}, sandbox.APIGroupUpdate: {}, sandbox.APIChangeID: {}, sandbox.APIClassNick: {},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.box = box
	f.mu.Lock()
	f.world = w
	f.mu.Unlock()
	ding, err := dingtalk.New(dingtalk.Config{
		Tenant: dt, AppKey: "app", AppSecret: secret.New("app-secret"),
		API: f.server.URL, OAPI: f.server.URL, Quick: time.Microsecond,
		Now: func() time.Time { return w.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	class, err := classin.New(classin.Config{
		Tenant: ci, SID: "1001", Secret: secret.New("school-secret"), BaseURL: f.server.URL, Quick: time.Microsecond,
		Now: func() time.Time { return w.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for len(w.still) > 0 {
			w.resume(w.still[0], goCrash)
		}
		ding.Close()
		class.Close()
		box.Close()
	})
	if err := ding.CheckToken(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.ledger = ledger.New(f.rdb)
	env := handler.Env{
		Organisation: school, Tenant: dt, Ledger: w.ledger, Deadline: time.Hour, Pacer: modelPacer{},
		Now: func() time.Time { return w.now },
	}
	w.handle = map[string]handler.Func{
		tasks.TypeNicknameSync: handler.Nickname(env, ding), tasks.TypeGroupUpdate: handler.Group(env, ding),
		tasks.TypeIDChange: handler.ID(env, ding), tasks.TypeCourseSync: handler.Course(env, class),
	}
	return w
}

// modelVillage is small, so that tasks meet at its targets.
func modelVillage(now time.Time) sandbox.World {
	v := village()
	o := &v.Organisations[0]
	o.Employees = append(o.Employees, sandbox.Employee{UserID: "dan"},
		sandbox.Employee{UserID: "eve", EnterpriseAccount: true, IDSetAt: now.AddDate(0, -11, -15)})
	return v
}

func (w *world) redisNow() time.Time { return w.now.Add(w.skew) }

// clock moves the time on.
func (w *world) clock(d time.Duration) {
	w.now = w.now.Add(d)
	w.front.mini.SetTime(w.redisNow())
	if d > 0 {
		w.front.mini.FastForward(d)
	}
}

func (w *world) log(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

// violated notes what must not be; the driver fails the sequence for it.
func (w *world) violated(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken == nil {
		w.broken = fmt.Errorf(format, args...)
	}
}

func (w *world) fatalf(format string, args ...any) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.t.Fatalf("%s\n%s", fmt.Sprintf(format, args...), strings.Join(w.trace, "\n"))
}

func (w *world) check() {
	w.mu.Lock()
	err := w.broken
	w.mu.Unlock()
	if err != nil {
		w.fatalf("%v", err)
	}
}

// What the producer does of its three writes.
const (
	stores       = "stores"
	doesNotMark  = "dies before it marks the wish"
	doesNotStore = "dies before it stores the task"
)

// enqueue is the producer: a revision, the task, the mark.
func (w *world) enqueue(task tasks.Task, how string) *stored {
	target, fields := task.Wish(school)
	id := "t" + strconv.Itoa(len(w.tasks)+1)
	wish := ledger.Wish{Target: target, Fields: fields, TaskID: id}
	revised := w.ledger.Revise(context.Background(), wish)[0]
	rev, err := revised.Revision, revised.Err
	if err == nil {
		err = w.model.revised(target.API+" "+target.Key, rev)
	}
	if err != nil {
		w.fatalf("take a revision: %v", err)
	}
	if how == doesNotStore {
		w.log("a producer %s: %s", how, wishOf(task))
		return nil
	}
	typ, payload, err := tasks.Encode(task, rev)
	if err != nil {
		w.fatalf("%v", err)
	}
	s := &stored{deed: deed{rev: rev, before: len(w.box.Effects())}, id: id, task: task, typ: typ, payload: payload}
	w.tasks = append(w.tasks, s)
	for _, f := range fields {
		if f.Mode == ledger.Value || f.Mode == ledger.Effect {
			p := place(target, f.Name)
			w.model.wishes[p] = append(w.model.wishes[p], newWish(s, f.Value))
		}
	}
	if g, ok := task.(tasks.GroupUpdate); ok && len(g.AddUserIDs)+len(g.DelUserIDs) > 0 {
		w.model.edits = append(w.model.edits, edit{&s.deed, g.AddUserIDs, g.DelUserIDs})
	}
	w.log("a producer %s: %s is %s at %d", how, s.id, wishOf(task), rev)
	if how == stores {
		w.mark(s)
	}
	return s
}

// mark opens the task's record, and marks the newest wishes.
func (w *world) mark(s *stored) {
	target, fields := s.task.Wish(school)
	open := ledger.Open{
		Wish: ledger.Wish{Target: target, Fields: fields, TaskID: s.id}, Revision: s.rev,
		Queue: "q", Type: s.typ, Payload: s.payload,
	}
	if err := w.ledger.Stored(context.Background(), open); err != nil {
		w.fatalf("%v", err)
	}
	s.marked = true
}

func newWish(s *stored, value string) wish { return wish{&s.deed, value} }

func place(t ledger.Target, field string) string { return t.API + " " + t.Key + " " + field }

// wishOf is a task in a few words.
func wishOf(task tasks.Task) string {
	target, fields := task.Wish(school)
	var parts []string
	for _, f := range fields {
		parts = append(parts, place(target, f.Name)+"="+f.Value)
	}
	if g, ok := task.(tasks.GroupUpdate); ok {
		parts = append(parts, fmt.Sprintf("+%v -%v", g.AddUserIDs, g.DelUserIDs))
	}
	return strings.Join(parts, ", ")
}

// The ways in which an attempt that stands still goes on.
const (
	goOn      = "goes on"
	goCrash   = "crashes"
	goTimeout = "times out" // in an exchange; elsewhere it goes on
)

// deliver runs an attempt until it ends or stands still.
func (w *world) deliver(s *stored, p plan) {
	ctx, cancel := context.WithCancel(context.Background())
	a := &attempt{
		task: s, giveUp: cancel, plan: p, world: w, finished: s.done, newest: map[string]int64{},
		stands: make(chan string), goOn: make(chan string), ended: make(chan ended, 1),
	}
	a.ctx = context.WithValue(ctx, attemptKey{}, a)
	target, fields := s.task.Wish(school)
	for _, f := range fields {
		a.finished = a.finished && !w.doubted(target, f.Name)
		a.newest[f.Name], _ = strconv.ParseInt(w.field(target, "n:"+f.Name), 10, 64)
	}
	w.log("deliver %s: %s", s.id, p)
	w.running = a
	go func() {
		e := ended{crashed: true}
		defer func() { a.ended <- e }()
		report, err := w.handle[s.typ](a.ctx, handler.Delivery{TaskID: s.id, Type: s.typ, Payload: s.payload})
		e = ended{report: report, err: err}
	}()
	w.wait(a)
}

func (w *world) wait(a *attempt) {
	select {
	case a.place = <-a.stands:
		w.log("  %s stands still %s", a.task.id, a.place)
		w.still = append(w.still, a)
	case e := <-a.ended:
		a.giveUp()
		w.ended(a, e)
	}
	w.running = nil
}

func (w *world) resume(a *attempt, how string) {
	w.still = slices.DeleteFunc(w.still, func(b *attempt) bool { return a == b })
	w.log("%s %s", a.task.id, how)
	w.clock(time.Second) // who stands still does so for a while
	w.running = a
	a.goOn <- how
	w.wait(a)
}

// ended is what the lane makes of the end of an attempt.
func (w *world) ended(a *attempt, e ended) {
	s := a.task
	w.model.told(a, !e.crashed && (e.err == nil || isDead(e.err)))
	switch {
	case e.crashed:
		w.log("  %s crashed", s.id)
	case e.err == nil:
		w.log("  %s ended as %s", s.id, e.report.Outcome)
		s.done, s.dead = true, false
	case isDead(e.err) && !s.done:
		w.log("  %s is dead: %v", s.id, e.err)
		w.bury(s)
	default:
		w.log("  %s: %v", s.id, e.err)
	}
}

// told takes in what the platform said of an ID. Whether that was written down is
// certain, or not.
func (m *model) told(a *attempt, certain bool) {
	t, ok := a.task.task.(tasks.IDChange)
	if !ok || a.answer == "" || m.person(t.UserID).learn(a.answer, certain, a.world.redisNow()) {
		a.answer = ""
	}
}

// isDead is internal/lane's judgement, as far as it does not count attempts.
func isDead(err error) bool {
	if _, again := errors.AsType[*handler.AgainError](err); again || errors.Is(err, ledger.ErrStale) {
		return false
	}
	e, ok := errors.AsType[*providers.Error](err)
	return ok && (e.Kind == providers.Rejected || e.Kind == providers.Ambiguous)
}

// bury is what the lane does when a task is dead.
func (w *world) bury(s *stored) {
	s.dead = true
	target, _ := s.task.Wish(school)
	if err := w.ledger.Close(context.Background(), target, s.id, ledger.Row{}); err != nil {
		w.fatalf("%v", err)
	}
}

// replay stores a dead task again, as it was.
func (w *world) replay(s *stored) {
	w.log("%s is replayed", s.id)
	s.dead, s.loose = false, true
	s.replays++
	s.id = fmt.Sprintf("%s~%d", strings.Split(s.id, "~")[0], s.replays)
	w.mark(s)
}

// aside keeps a request from the platform until it lands.
func (w *world) aside(l *landing) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.late = append(w.late, l)
}

// land lets a request arrive that its sender has given up.
func (w *world) land(l *landing) {
	w.late = slices.DeleteFunc(w.late, func(m *landing) bool { return m == l })
	recorder := httptest.NewRecorder()
	w.carryOut(recorder, l.request, l.by)
	w.log("%s of %s lands late: %d %s", l.what, l.by.task.id, recorder.Code, recorder.Body)
}

// landAll lets all land that must within d from now. Who stands still before the
// platform acts has given up by then.
func (w *world) landAll(d time.Duration) {
	due := func(sent time.Time) bool { return sent.Add(landsWithin).Before(w.redisNow().Add(d)) }
	for {
		i := slices.IndexFunc(w.still, func(a *attempt) bool { return a.place == beforeExchange && due(a.sentAt) })
		if i < 0 {
			break
		}
		w.resume(w.still[i], goTimeout)
	}
	for _, l := range slices.Clone(w.late) {
		if due(l.sent) {
			w.land(l)
		}
	}
}

// left looks at a request that is leaving.
func (w *world) left(l *landing, body []byte) {
	l.by.sentAt = l.sent
	target, fields := l.by.task.task.Wish(school)
	var sent []ledger.Field
	for _, f := range fields {
		if l.carries(f.Name, body) {
			sent = append(sent, f)
		}
	}
	w.log("  %s sends %s", l.by.task.id, l.what)
	if l.by.finished && l.by.place == "" {
		w.violated("%s is sent again, and was done", l.by.task.id)
	}
	for _, f := range sent {
		if !w.doubted(target, f.Name) {
			w.violated("%s sends %s, which is not in doubt", l.by.task.id, f.Name)
		}
		if f.Mode != ledger.Edit && l.by.newest[f.Name] > l.by.task.rev {
			w.violated("%s sends %s, and a newer wish was known", l.by.task.id, f.Name)
		}
	}
	if t, ok := l.by.task.task.(tasks.IDChange); ok {
		var order struct {
			ID string `json:"dingtalkId"`
		}
		if err := json.Unmarshal(body, &order, json.MatchCaseInsensitiveNames(true)); err != nil {
			w.violated("%s: %v", body, err)
		}
		if err := w.model.person(t.UserID).send(order.ID, w.redisNow()); err != nil {
			w.violated("%s of %s: %v", l.by.task.id, t.UserID, err)
		}
	}
}

// carries tells whether a field is part of the request.
func (l *landing) carries(field string, body []byte) bool {
	if l.api() != sandbox.APIGroupUpdate {
		return true
	}
	var parts map[string]any
	if err := json.Unmarshal(body, &parts); err != nil {
		panic(err)
	}
	names := map[string][]string{
		"members": {"add_useridlist", "del_useridlist"}, "options.searchable": {"managementOptions"},
		"name": {"name"}, "icon": {"icon"},
	}
	return slices.ContainsFunc(names[field], func(name string) bool { _, there := parts[name]; return there })
}

func (w *world) field(t ledger.Target, name string) string {
	return w.front.mini.HGet("rollcall:{"+t.Organisation+"/"+t.API+"}:target:"+t.Key, name)
}

// doubted tells whether the ledger says of a field that the platform may hold
// something else.
func (w *world) doubted(t ledger.Target, field string) bool {
	return w.field(t, "d:"+field) != "" || w.field(t, "q:"+field) != ""
}

// ---- the platform's belief

func (w *world) believes(t ledger.Target, field string) string {
	org, _ := w.box.State().Organisation(school)
	chat := org.Chats[0]
	switch field {
	case "nickname":
		member, _ := url.PathUnescape(strings.TrimPrefix(t.Key, chat.ID+"/"))
		nick, _ := org.Nick(chat.ID, member)
		return nick
	case "name":
		return chat.Name
	case "icon":
		return chat.Icon
	case "options.searchable":
		if v, set := chat.Options["searchable"]; set {
			return strconv.Itoa(v)
		}
		return ""
	}
	panic("no field " + field)
}

func (w *world) members() []string {
	org, _ := w.box.State().Organisation(school)
	var ids []string
	for _, m := range org.Chats[0].Members {
		ids = append(ids, m.UserID)
	}
	slices.Sort(ids)
	return ids
}

// ---- the steps

// Two of the IDs are taken.
var modelIDs = []string{"person01", "zhangsan01", "person02", "zhangsan02"}

// kindsOf draws what a sequence is about: tasks of one kind meet more often.
func kindsOf(t *rapid.T) []string {
	all := []string{"nickname", "group", "members", "id", "course"}
	if one := rapid.IntRange(0, len(all)).Draw(t, "about"); one < len(all) {
		return all[one : one+1]
	}
	return all
}

func drawTask(t *rapid.T, kinds []string) tasks.Task {
	value := rapid.SampledFrom([]string{"A", "B", "C"})
	switch rapid.SampledFrom(kinds).Draw(t, "kind") {
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

var platformFaults = []fault{refuse, busy, busyDone, outage, fast, odd, reset, timeout, pause, pauseAfter, late, resetLate}

func (p plan) String() string {
	text := "all goes well"
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

// pick draws one of those tasks that fit; without one the step is passed over.
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
	kinds := kindsOf(w.t)
	deliver := func(t *rapid.T) { w.deliver(w.pick(t, (*stored).waits), drawPlan(t)) }
	return map[string]func(*rapid.T){
		"": func(*rapid.T) { w.check() },
		"enqueue": func(t *rapid.T) {
			task := drawTask(t, kinds)
			w.enqueue(task, rapid.SampledFrom([]string{stores, stores, stores, doesNotMark, doesNotStore}).Draw(t, "the producer"))
		},
		"deliver": deliver, "deliver again": deliver, "deliver once more": deliver,
		"redeliver": func(t *rapid.T) { // asynq's own "done" was lost
			w.deliver(w.pick(t, func(s *stored) bool { return s.done }), drawPlan(t))
		},
		"resume": func(t *rapid.T) {
			if len(w.still) == 0 {
				t.Skip("nobody stands still")
			}
			a := w.still[rapid.IntRange(0, len(w.still)-1).Draw(t, "who")]
			w.resume(a, rapid.SampledFrom([]string{goOn, goTimeout, goCrash}).Draw(t, "how"))
		},
		"clock": func(t *rapid.T) {
			d := rapid.SampledFrom([]time.Duration{
				time.Second, 30 * time.Second, 3 * time.Minute, 6 * time.Minute, 0, 31 * 24 * time.Hour,
			}).Draw(t, "time passes")
			if d > 0 {
				w.landAll(d)
				w.log("%s pass", d)
				w.clock(d)
				return
			}
			jump := time.Duration(rapid.IntRange(-300, 300).Draw(t, "Redis' clock jumps")) * time.Second
			w.landAll(jump)
			w.log("Redis' clock jumps by %s", jump)
			w.skew += jump
			w.clock(0)
		},
		"land": func(t *rapid.T) {
			if len(w.late) == 0 {
				t.Skip("nothing is under way")
			}
			w.land(w.late[rapid.IntRange(0, len(w.late)-1).Draw(t, "which")])
		},
		"give up": func(t *rapid.T) {
			s := w.pick(t, func(s *stored) bool { return s.waits() && !w.standsAt(s) })
			w.log("%s is dead: its attempts are spent", s.id)
			w.bury(s)
		},
		"look": func(t *rapid.T) { w.look(t, rapid.SampledFrom([]string{"ann", "eve"}).Draw(t, "person")) },
		"replay": func(t *rapid.T) {
			w.replay(w.pick(t, func(s *stored) bool { return s.dead }))
		},
	}
}

// look is what a person does about an ID that was given up to them: once nothing
// is under way any more, they look at the platform and say what they see.
func (w *world) look(t *rapid.T, who string) {
	target := ledger.Target{Organisation: school, API: string(tasks.KindID), Key: who}
	at := func(a *attempt) bool { task, ok := a.task.task.(tasks.IDChange); return ok && task.UserID == who }
	underway := slices.ContainsFunc(w.still, at) || slices.ContainsFunc(w.late, func(l *landing) bool { return at(l.by) })
	parts := strings.SplitN(w.field(target, "i:id"), " ", 5)
	if underway || len(parts) < 5 || !strings.HasSuffix(w.field(target, "l:id"), ledger.LockUnverified) {
		t.Skip("there is nothing to look at")
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

// finish lets everything come to its end.
func (w *world) finish() {
	for len(w.still) > 0 {
		w.resume(w.still[0], goOn)
	}
	for len(w.late) > 0 {
		w.land(w.late[0])
	}
	w.clock(15 * time.Minute)
	w.drain()
}

func (w *world) drain() {
	for range 30 {
		left := false
		for _, s := range w.tasks {
			if s.waits() {
				w.deliver(s, plan{})
				left = left || s.waits()
			}
		}
		if !left {
			return
		}
		w.clock(time.Minute)
	}
	w.fatalf("a task does not end")
}

// compare holds the platform against the model.
func (w *world) compare() {
	for _, p := range w.model.places() {
		parts := strings.Fields(p)
		target, field := ledger.Target{Organisation: school, API: parts[0], Key: parts[1]}, parts[2]
		if field == "names" {
			w.compareCourse(p)
			continue
		}
		newest := w.model.newest(p)
		want, bound := newest.value, !newest.dead
		got, doubted := w.believes(target, field), w.doubted(target, field)
		switch {
		case doubted && w.healed == 0: // and reported so
		case doubted && w.healed == 2:
			w.fatalf("%s is in doubt after two wishes that nothing disturbed", p)
		case bound && got != want:
			w.fatalf("%s: the platform has %q, the newest wish is %q, and the ledger doubts nothing", p, got, want)
		case !doubted && w.field(target, "r:"+field) != "" && got != w.field(target, "v:"+field):
			w.fatalf("%s: the platform has %q, the ledger %q, and it doubts nothing", p, got, w.field(target, "v:"+field))
		}
	}
	w.compareMembers()
	w.compareIDs()
	if w.healed < 2 {
		w.heal()
	}
}

func (w *world) compareMembers() {
	target := ledger.Target{Organisation: school, API: string(tasks.KindGroup), Key: "chat1"}
	if now := w.members(); (w.healed > 0 || !w.doubted(target, "members")) && !membersMayBe([]string{"ann", "bob"}, now, w.model.edits) {
		w.fatalf("the members are %v, which is not what the edits say, and the ledger doubts nothing", now)
	}
}

// compareIDs: what the ledger says was applied is what the platform has, or it
// is in doubt.
func (w *world) compareIDs() {
	org, _ := w.box.State().Organisation(school)
	for _, e := range org.Employees {
		target := ledger.Target{Organisation: school, API: string(tasks.KindID), Key: e.UserID}
		if known := w.field(target, "v:id"); known != e.DingTalkID && !w.doubted(target, "id") {
			w.fatalf("the ID of %s is %q, the ledger says %q, and doubts nothing", e.UserID, e.DingTalkID, known)
		}
	}
	changed := map[string]int{}
	for _, e := range w.box.Effects() {
		if e.API == sandbox.APIChangeID {
			changed[e.Target.User]++
		}
	}
	for who, n := range changed {
		if n > 1 {
			w.fatalf("the ID of %s was changed %d times", who, n)
		}
	}
}

// compareCourse: names that are not ours, so all that is to be seen is that
// they were copied after the newest wish.
func (w *world) compareCourse(p string) {
	newest := w.model.newest(p)
	copied := false
	for _, e := range w.box.Effects() {
		copied = copied || e.Number > int64(newest.before) && e.API == sandbox.APIClassNick
	}
	if !copied && !newest.dead {
		w.fatalf("%s: nothing was copied after the newest wish", p)
	}
}

// heal wishes for the newest values once more, and for members that are what
// they are to be: after that nothing is wrong, and after another time nothing in
// doubt.
func (w *world) heal() {
	w.healed++
	w.clock(2 * landsWithin)
	w.log("once more:")
	seen := map[string]bool{}
	var again []tasks.Task
	for _, s := range slices.Backward(w.tasks) {
		target, fields := s.task.Wish(school)
		fresh := false
		for _, f := range fields {
			p := place(target, f.Name)
			fresh = fresh || !seen[p] && f.Mode != ledger.Once && f.Mode != ledger.Edit
			seen[p] = true
		}
		if fresh {
			again = append(again, s.task)
		}
	}
	for _, task := range slices.Backward(again) {
		w.enqueue(task, stores)
	}
	if len(w.model.edits) > 0 {
		w.enqueue(tasks.GroupUpdate{Tenant: dt, ChatID: "chat1", AddUserIDs: []string{"cat"}, DelUserIDs: []string{"dan"}}, stores)
	}
	w.drain()
	w.compare()
}

// Two shares, side by side. 10,000 sequences: -rapid.checks=5000.
func TestThePlatformEndsUpWithTheNewestWishes(t *testing.T) {
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
