package handler_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/handler"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/sandbox"
	"rollcall/internal/secret"
	"rollcall/providers/classin"
	"rollcall/providers/dingtalk"
	"rollcall/tasks"
)

// landsWithin is how long after it was sent a request may still reach the platform, by
// world.latest. The guarantee holds for that long.
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
	resends ledger.Target // whose values are sent again; zero: it is a task
}

func (s *stored) resend() bool { return s.resends != ledger.Target{} }

func (s *stored) waits() bool { return !s.done && !s.dead }

// world is the state of one sequence.
type world struct {
	t        *rapid.T
	front    *front
	box      *sandbox.Sandbox
	ledger   *ledger.Ledger
	handle   map[string]handler.Func // handlers by type
	model    *model
	tasks    []*stored
	planned  []*stored // rows of runs that are not fed yet
	rows     int       // of all runs
	now      time.Time
	moved    time.Duration // elapsed time, by w.latest
	skew     time.Duration // offset of Redis' clock
	furthest time.Time     // the latest time that Redis' clock ever showed
	running  *attempt
	still    []*attempt
	started  time.Time
	landed   map[string]bool        // fields that a request changed after its sender had given up
	healed   int                    // undisturbed changes since
	gaveUp   map[ledger.Target]bool // targets whose values are not sent again any more

	mu     sync.Mutex
	late   []*landing
	trace  []string
	broken error
}

func newWorld(t *rapid.T, f *front) *world {
	w := &world{t: t, front: f, model: newModel(), now: time.Now(), landed: map[string]bool{}, gaveUp: map[ledger.Target]bool{}}
	w.started = w.now
	f.mini.FlushAll()
	w.clock(0)
	box, err := sandbox.New(sandbox.Config{
		World: modelVillage(w.now), Clock: w.time,
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
		Now: w.time,
	})
	if err != nil {
		t.Fatal(err)
	}
	class, err := classin.New(classin.Config{
		Tenant: ci, SID: "1001", Secret: secret.New("school-secret"), BaseURL: f.server.URL, Quick: time.Microsecond,
		Now: w.time,
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
		Organisation: school, Tenant: dt, Ledger: w.ledger, Deadline: time.Hour,
		Now: w.time,
	}
	school := env
	school.Tenant = ci
	w.handle = map[string]handler.Func{
		kinds.TypeNicknameSync: handler.Nickname(env, ding), kinds.TypeGroupUpdate: handler.Group(env, ding),
		kinds.TypeIDChange: handler.ID(env, ding), kinds.TypeCourseSync: handler.Course(school, class),
	}
	return w
}

// modelVillage is small, so that tasks conflict at its targets.
func modelVillage(now time.Time) sandbox.World {
	v := village()
	o := &v.Organisations[0]
	o.Employees = append(o.Employees, sandbox.Employee{UserID: "dan"},
		sandbox.Employee{UserID: "eve", EnterpriseAccount: true, IDSetAt: now.AddDate(0, -11, -15)})
	return v
}

// turn is called by a goroutine of the front when its turn ends, and by the driver when
// its own starts. They never run at the same time, but the race detector does not see a
// connection reset as synchronisation.
func (w *world) turn() {
	w.mu.Lock()
	defer w.mu.Unlock()
}

// time returns the workers' and the platforms' time.
func (w *world) time() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) redisNow() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now.Add(w.skew)
}

// latest returns the time by a clock that all elapsed time and all jumps advance: it
// has moved at least as far as any other clock.
func (w *world) latest() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.started.Add(w.moved)
}

// clock advances the time.
func (w *world) clock(d time.Duration) {
	w.mu.Lock()
	w.now = w.now.Add(d)
	w.moved += d
	w.mu.Unlock()
	now := w.redisNow()
	w.front.mini.SetTime(now)
	if now.After(w.furthest) {
		w.furthest = now
	}
	if d > 0 {
		w.front.mini.FastForward(d)
	}
}

// jump moves only Redis' clock.
func (w *world) jump(d time.Duration) {
	w.mu.Lock()
	w.skew += d
	w.moved += max(d, 0)
	w.mu.Unlock()
	w.clock(0)
}

func (w *world) log(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

// violated records a violated rule; the driver then fails the sequence.
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

// How many of its three writes the producer makes.
const (
	stores        = "stores"
	doesNotRecord = "dies before it records the change"
	doesNotStore  = "dies before it stores the task"
)

// enqueue is the producer: it takes a revision, stores the task, and records the
// change.
func (w *world) enqueue(task tasks.Task, how string) {
	target, fields := kinds.Change(task, school)
	id := "t" + strconv.Itoa(len(w.tasks)+1)
	requested := ledger.Change{Target: target, Fields: fields, TaskID: id}
	revised := w.ledger.Revise(context.Background(), requested)[0]
	rev, err := revised.Revision, revised.Err
	if err == nil {
		err = w.model.revised(target.API+" "+target.Key, rev)
	}
	if err != nil {
		w.fatalf("take a revision: %v", err)
	}
	if how == doesNotStore {
		w.log("a producer %s: %s", how, changeOf(task))
		return
	}
	typ, payload, err := kinds.Encode(task, rev)
	if err != nil {
		w.fatalf("%v", err)
	}
	// An edit that was never recorded keeps its position in the queue for two minutes,
	// or until a worker meets it.
	s := &stored{deed: deed{rev: rev, before: len(w.box.Effects()), loose: how == doesNotRecord}, id: id, task: task, typ: typ, payload: payload}
	w.tasks = append(w.tasks, s)
	for _, f := range fields {
		if f.Mode == ledger.Value || f.Mode == ledger.Effect {
			p := position(target, f.Name)
			w.model.changes[p] = append(w.model.changes[p], newChange(s, f.Value))
		}
	}
	if g, ok := task.(tasks.GroupUpdate); ok && len(g.AddUserIDs)+len(g.DelUserIDs) > 0 {
		w.model.edits = append(w.model.edits, edit{&s.deed, g.AddUserIDs, g.DelUserIDs})
	}
	w.log("a producer %s: %s is %s at %d", how, s.id, changeOf(task), rev)
	if how == stores {
		w.mark(s)
	}
}

// met checks whether workers reached edits before their positions could be lost.
func (w *world) met() {
	for _, s := range w.tasks {
		if s.loose && s.replays == 0 && w.front.mini.HGet("rollcall:{"+school+"/group}:tasks", s.id) != "" &&
			w.furthest.Sub(time.UnixMicro(s.rev)) < 2*time.Minute {
			s.loose = false
		}
	}
}

// mark opens the task's record, and records the latest changes.
func (w *world) mark(s *stored) {
	target, fields := kinds.Change(s.task, school)
	open := ledger.Open{
		Change: ledger.Change{Target: target, Fields: fields, TaskID: s.id}, Revision: s.rev,
		Queue: "q", Type: s.typ, Payload: s.payload,
	}
	before := map[string]string{}
	for _, f := range fields {
		before[f.Name] = w.field(target, "n:"+f.Name)
	}
	if err := w.ledger.Stored(context.Background(), open); err != nil {
		w.fatalf("%v", err)
	}
	for _, f := range fields {
		// Revisions have the same number of digits.
		if now := w.field(target, "n:"+f.Name); now < before[f.Name] {
			w.violated("%s: its latest change was %s and is %s", position(target, f.Name), before[f.Name], now)
		}
	}
	s.marked = true
}

func newChange(s *stored, value string) modelChange { return modelChange{&s.deed, value} }

func position(t ledger.Target, field string) string { return t.API + " " + t.Key + " " + field }

// changeOf describes a task in a few words.
func changeOf(task tasks.Task) string {
	target, fields := kinds.Change(task, school)
	var parts []string
	for _, f := range fields {
		parts = append(parts, position(target, f.Name)+"="+f.Value)
	}
	if g, ok := task.(tasks.GroupUpdate); ok {
		parts = append(parts, fmt.Sprintf("+%v -%v", g.AddUserIDs, g.DelUserIDs))
	}
	return strings.Join(parts, ", ")
}
