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
	effects int // of its sends
	marked  bool
	running int // attempts that stand still
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
	healing bool

	mu     sync.Mutex // the front's goroutines and the driver take turns, and the race detector cannot see it
	late   []*landing
	trace  []string
	broken error
}

func newWorld(t *rapid.T, f *front) *world {
	w := &world{t: t, front: f, model: newModel(), now: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)}
	f.mini.FlushAll()
	w.clock(0)
	box, err := sandbox.New(sandbox.Config{
		World: modelVillage(), Clock: func() time.Time { return w.now },
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
	dt, err := dingtalk.New(dingtalk.Config{
		Tenant: dt, AppKey: "app", AppSecret: secret.New("app-secret"),
		API: f.server.URL, OAPI: f.server.URL, Quick: time.Microsecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ci, err := classin.New(classin.Config{
		Tenant: ci, SID: "1001", Secret: secret.New("school-secret"), BaseURL: f.server.URL, Quick: time.Microsecond,
		Now: func() time.Time { return w.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, a := range w.still {
			w.resume(a, goCrash)
		}
		dt.Close()
		ci.Close()
		box.Close()
	})
	if err := dt.CheckToken(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.ledger = ledger.New(f.rdb)
	env := handler.Env{Organisation: school, Ledger: w.ledger, Deadline: time.Hour, Pacer: modelPacer{}}
	w.handle = map[string]handler.Func{
		tasks.TypeNicknameSync: handler.Nickname(env, dt), tasks.TypeGroupUpdate: handler.Group(env, dt),
		tasks.TypeIDChange: handler.ID(env, dt), tasks.TypeCourseSync: handler.Course(env, ci),
	}
	return w
}

// modelVillage is small, so that tasks meet at its targets.
func modelVillage() sandbox.World {
	v := village()
	o := &v.Organisations[0]
	for _, id := range []string{"dan", "eve"} {
		o.Employees = append(o.Employees, sandbox.Employee{UserID: id, EnterpriseAccount: true})
	}
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
	ctx := context.Background()
	target, fields := task.Wish(school)
	rev, err := w.ledger.Revise(ctx, target)
	if err == nil {
		err = w.model.revised(target.API+" "+target.Key, rev)
	}
	if err != nil {
		w.fatalf("take a revision: %v", err)
	}
	if how == doesNotStore {
		w.log("a producer %s for %s", how, wishOf(task))
		return nil
	}
	typ, payload, err := tasks.Encode(task, rev)
	if err != nil {
		w.fatalf("%v", err)
	}
	s := &stored{
		deed: deed{rev: rev, effect: len(w.box.Effects())}, id: "t" + strconv.Itoa(len(w.tasks)+1),
		task: task, typ: typ, payload: payload,
	}
	w.tasks = append(w.tasks, s)
	values := map[string]string{}
	for _, f := range fields {
		if f.Mode != ledger.Edit {
			values[place(target, f.Name)] = f.Value
		}
	}
	w.model.stored(&s.deed, values)
	if g, ok := task.(tasks.GroupUpdate); ok && len(g.AddUserIDs)+len(g.DelUserIDs) > 0 {
		w.model.edits = append(w.model.edits, edit{&s.deed, g.AddUserIDs, g.DelUserIDs})
	}
	w.log("a producer %s: %s is %s at %d", how, s.id, wishOf(task), rev)
	if how == stores {
		if err := w.ledger.Wish(ctx, target, rev, fields); err != nil {
			w.fatalf("%v", err)
		}
		s.marked = true
	}
	return s
}

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
		task: s, giveUp: cancel, plan: p,
		stands: make(chan string), goOn: make(chan string), ended: make(chan ended, 1),
	}
	a.ctx = context.WithValue(ctx, attemptKey{}, a)
	w.log("deliver %s: %s", s.id, p)
	w.running = a
	go func() {
		e := ended{crashed: true}
		defer func() { a.ended <- e }()
		report, err := w.handle[s.typ](a.ctx, s.typ, s.payload)
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
	w.running = a
	a.goOn <- how
	w.wait(a)
}

// ended is what the lane makes of the end of an attempt.
func (w *world) ended(a *attempt, e ended) {
	s := a.task
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

// isDead is internal/lane's judgement, as far as it does not count attempts.
func isDead(err error) bool {
	e, ok := errors.AsType[*providers.Error](err)
	return ok && !errors.Is(err, ledger.ErrStale) && (e.Kind == providers.Rejected || e.Kind == providers.Ambiguous)
}

func (w *world) bury(s *stored) { s.dead = true }

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

// landAll lets all land that must within d from now.
func (w *world) landAll(d time.Duration) {
	for _, l := range slices.Clone(w.late) {
		if l.sent.Add(landsWithin).Before(w.redisNow().Add(d)) {
			w.land(l)
		}
	}
	for _, a := range slices.Clone(w.still) {
		if a.sentAt.Add(landsWithin).Before(w.redisNow().Add(d)) && a.place == beforeExchange {
			w.resume(a, goTimeout)
			w.landAll(d)
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
	for _, f := range sent {
		if !w.doubted(target, f.Name) {
			w.violated("%s sends %s, which is not in doubt", l.by.task.id, f.Name)
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

func drawTask(t *rapid.T) tasks.Task {
	value := rapid.SampledFrom([]string{"A", "B", "C"})
	switch rapid.SampledFrom([]string{"nickname", "group", "course"}).Draw(t, "kind") {
	case "nickname":
		return tasks.NicknameSync{Tenant: dt, ChatID: "chat1", UserID: "ann", Nickname: value.Draw(t, "nickname")}
	case "course":
		return course
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
		p.atSlot = rapid.SampledFrom([]fault{refuse, passed, pause, crash, crashAfter}).Draw(t, "at the slot")
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
	deliver := func(t *rapid.T) { w.deliver(w.pick(t, (*stored).waits), drawPlan(t)) }
	return map[string]func(*rapid.T){
		"": func(*rapid.T) { w.check() },
		"enqueue": func(t *rapid.T) {
			task := drawTask(t)
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
		"time passes": func(t *rapid.T) {
			d := rapid.SampledFrom([]time.Duration{time.Second, 30 * time.Second, 3 * time.Minute, 10 * time.Minute}).Draw(t, "time")
			w.landAll(d)
			w.log("%s pass", d)
			w.clock(d)
		},
		"clock jumps": func(t *rapid.T) {
			d := time.Duration(rapid.IntRange(-300, 300).Draw(t, "seconds")) * time.Second
			w.landAll(d)
			w.log("Redis' clock jumps by %s", d)
			w.skew += d
			w.clock(0)
		},
		"land": func(t *rapid.T) {
			if len(w.late) == 0 {
				t.Skip("nothing is under way")
			}
			w.land(w.late[rapid.IntRange(0, len(w.late)-1).Draw(t, "which")])
		},
		"give up": func(t *rapid.T) {
			s := w.pick(t, func(s *stored) bool { return s.waits() && s.running == 0 })
			w.log("%s is dead: its attempts are spent", s.id)
			w.bury(s)
		},
		"replay": func(t *rapid.T) {
			s := w.pick(t, func(s *stored) bool { return s.dead })
			w.log("%s is replayed", s.id)
			s.dead = false
		},
	}
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
	for range 20 {
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
		w.clock(30 * time.Second)
	}
	w.fatalf("a task does not end")
}

// compare holds the platform against the model.
func (w *world) compare() {
	healed := false
	for _, p := range w.model.places() {
		parts := strings.Fields(p)
		target, field := ledger.Target{Organisation: school, API: parts[0], Key: parts[1]}, parts[2]
		if field == "names" {
			w.compareCourse(p)
			continue
		}
		want, bound := w.model.want(p)
		got, doubted := w.believes(target, field), w.doubted(target, field)
		switch {
		case doubted:
			healed = true
		case bound && got != want:
			w.fatalf("%s: the platform has %q, the newest wish is %q, and the ledger doubts nothing", p, got, want)
		case w.field(target, "r:"+field) != "" && got != w.field(target, "v:"+field):
			w.fatalf("%s: the platform has %q, the ledger %q, and it doubts nothing", p, got, w.field(target, "v:"+field))
		}
	}
	if healed && !w.healing {
		w.heal()
	}
}

// compareCourse: names that are not ours, so all that is to be seen is that
// they were copied after the newest wish.
func (w *world) compareCourse(p string) {
	newest := w.model.newest(p)
	copied := false
	for _, e := range w.box.Effects() {
		copied = copied || e.Number > int64(newest.effect) && e.API == sandbox.APIClassNick
	}
	if !copied && !newest.dead {
		w.fatalf("%s: nothing was copied after the newest wish", p)
	}
}

// heal wishes for the newest values once more: after that none is in doubt.
func (w *world) heal() {
	w.healing = true
	w.log("once more:")
	var again []tasks.Task
	seen := map[string]bool{}
	for _, s := range slices.Backward(w.tasks) {
		for _, p := range placesOf(s.task) {
			if !seen[p] {
				seen[p] = true
				again = append(again, s.task)
			}
		}
	}
	slices.Reverse(again)
	for _, task := range again {
		w.enqueue(task, stores)
	}
	w.drain()
	w.compare()
}

func placesOf(task tasks.Task) (places []string) {
	target, fields := task.Wish(school)
	for _, f := range fields {
		if f.Mode != ledger.Edit {
			places = append(places, place(target, f.Name))
		}
	}
	return places
}

func TestThePlatformEndsUpWithTheNewestWishes(t *testing.T) {
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
}
