package handler_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/handler"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/sandbox"
	"rollcall/internal/secret"
	"rollcall/providers/classin"
	"rollcall/providers/dingtalk"
	"rollcall/tasks"
)

func TestMain(m *testing.M) { redistest.Main(m) }

const (
	school   = "lakeside"
	dt, ci   = "lakeside-dt", "lakeside-ci"
	inFlight = time.Minute // longest duration of an attempt
)

// village is the sandbox's world in the tests.
func village() sandbox.World {
	return sandbox.World{
		TakenIDs: []string{"zhangsan01", "zhangsan02"},
		Organisations: []sandbox.Organisation{{
			Name: school,
			Apps: []sandbox.App{{Key: "app", Secret: "app-secret"}},
			Employees: []sandbox.Employee{
				{UserID: "ann", EnterpriseAccount: true}, {UserID: "bob", EnterpriseAccount: true}, {UserID: "cat"},
			},
			Externals: []string{"u-guest"},
			Chats: []sandbox.Chat{{ID: "chat1", Name: "Class 1", Owner: "ann", Members: []sandbox.Member{
				{UserID: "ann"}, {UserID: "bob"},
			}}},
			Schools: []sandbox.School{{SID: "1001", Secret: "school-secret", Courses: []sandbox.Course{
				{ID: "501", Students: []sandbox.Student{{UID: "1", Name: "Ann A", Nickname: "annie"}}},
			}}},
		}},
	}
}

// rig is a ledger on a Redis, both platforms' clients on the emulated
// platforms, and the handlers of all kinds.
type rig struct {
	t      *testing.T
	redis  *redistest.Server
	rdb    redis.UniversalClient
	ledger *ledger.Ledger
	box    *sandbox.Sandbox
	env    handler.Env

	dingtalk *dingtalk.Client
	classin  *classin.Client

	// slot is the lane's slot. during runs at the platform before a call is evaluated.
	slot   func(context.Context) error
	during func()
	unused atomic.Int64

	mu  sync.Mutex
	ids map[int64]string // task ids, by revision
}

// each runs test on miniredis and on a real Redis, each time with a new rig.
func each(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Helper()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) { test(t, newRig(t, s)) })
}

func newRig(t *testing.T, s *redistest.Server, configure ...func(*sandbox.Config)) *rig {
	t.Helper()
	cfg := sandbox.Config{World: village()}
	for _, c := range configure {
		c(&cfg)
	}
	box, err := sandbox.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{
		t: t, ids: map[int64]string{}, redis: s, rdb: s.Client(t), box: box,
		slot: func(context.Context) error { return nil }, during: func() {},
	}
	r.ledger = ledger.New(r.rdb)
	platforms := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !strings.HasSuffix(req.URL.Path, "/accessToken") {
			r.during()
		}
		box.ServeHTTP(w, req)
	}))
	t.Cleanup(func() { box.Close(); platforms.Close() })
	r.dingtalk, err = dingtalk.New(dingtalk.Config{
		Tenant: dt, AppKey: "app", AppSecret: secret.New("app-secret"),
		API: platforms.URL, OAPI: platforms.URL, Quick: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.dingtalk.Close)
	r.classin, err = classin.New(classin.Config{
		Tenant: ci, SID: "1001", Secret: secret.New("school-secret"),
		BaseURL: platforms.URL, Quick: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.classin.Close)
	r.env = handler.Env{Organisation: school, Ledger: r.ledger, Deadline: inFlight}
	return r
}

// pacer grants the rig's slots, and counts those that were not used.
type pacer struct{ *rig }

func (p pacer) Slot(ctx context.Context) error      { return p.slot(ctx) }
func (p pacer) Leave(context.Context) (bool, error) { return true, nil }
func (p pacer) Unused(context.Context)              { p.unused.Add(1) }

// handle returns the handler of the task's kind.
func (r *rig) handle(task tasks.Task) handler.Func {
	env := r.env
	env.Tenant, _ = task.Lane()
	return r.handleOf(env, task)
}

// handleOf returns the handler of the task's kind in the lane of env.
func (r *rig) handleOf(env handler.Env, task tasks.Task) handler.Func {
	switch task.(type) {
	case tasks.NicknameSync:
		return handler.Nickname(env, r.dingtalk)
	case tasks.GroupUpdate:
		return handler.Group(env, r.dingtalk)
	case tasks.IDChange:
		return handler.ID(env, r.dingtalk)
	case tasks.StudentSync:
		return handler.Student(env, r.classin)
	default:
		return handler.Course(env, r.classin)
	}
}

// requestChange takes a revision for the task and records it as the latest change, as a
// producer does.
func (r *rig) requestChange(task tasks.Task) (revision int64) {
	r.t.Helper()
	target, fields := kinds.Change(task, school)
	requested := ledger.Change{Target: target, Fields: fields, TaskID: uuid.NewString()}
	revised := r.ledger.Revise(r.t.Context(), requested)[0]
	revision, err := revised.Revision, revised.Err
	if err == nil {
		err = r.ledger.Stored(r.t.Context(), ledger.Open{Change: requested, Revision: revision, Payload: []byte("{}")})
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids[revision] = requested.TaskID
	return revision
}

// attempt makes one attempt at the task that was stored with the revision.
func (r *rig) attempt(task tasks.Task, revision int64) (handler.Report, error) {
	r.t.Helper()
	typename, payload, err := kinds.Encode(task, revision)
	if err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	id := r.ids[revision]
	r.mu.Unlock()
	return r.handle(task)(r.t.Context(), handler.Delivery{TaskID: id, Type: typename, Payload: payload, Pacer: pacer{r}})
}

// run enqueues a task and attempts it.
func (r *rig) run(task tasks.Task) (handler.Report, error) {
	r.t.Helper()
	return r.attempt(task, r.requestChange(task))
}

// must runs a task that must succeed, and checks its outcome.
func (r *rig) must(task tasks.Task, want handler.Outcome) handler.Report {
	r.t.Helper()
	report, err := r.run(task)
	if err != nil || report.Outcome != want {
		r.t.Fatalf("%+v: outcome %q, error %v, want %s", task, report.Outcome, err, want)
	}
	return report
}

// calls fails the test unless exactly this many calls arrived, not counting token
// calls.
func (r *rig) calls(want int) {
	r.t.Helper()
	var got []sandbox.Call
	for _, c := range r.box.Calls() {
		if c.API != sandbox.APIToken {
			got = append(got, c)
		}
	}
	if len(got) != want {
		r.t.Errorf("%d calls, want %d: %+v", len(got), want, got)
	}
}

// changes fails the test unless the last effect was these changes.
func (r *rig) changes(want ...sandbox.Change) {
	r.t.Helper()
	effects := r.box.Effects()
	if len(effects) == 0 {
		r.t.Fatal("the platform changed nothing")
	}
	if diff := cmp.Diff(want, effects[len(effects)-1].Changes); diff != "" {
		r.t.Errorf("the last effect (-want +got):\n%s", diff)
	}
}

func (r *rig) arm(f sandbox.Fault) {
	r.t.Helper()
	if _, err := r.box.Arm(f); err != nil {
		r.t.Fatal(err)
	}
}

func nickname(nick string) tasks.NicknameSync {
	return tasks.NicknameSync{Tenant: dt, ChatID: "chat1", UserID: "ann", Nickname: nick}
}

var course = tasks.CourseSync{Tenant: ci, CourseID: "501"}
