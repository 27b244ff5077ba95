package run_test

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"rollcall/internal/enqueue"
	"rollcall/internal/handler"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	"rollcall/internal/run"
	"rollcall/internal/sandbox"
	"rollcall/internal/schooltest"
	"rollcall/tasks"
)

// killer kills the command or the worker that feeds, whose Redis is behind a proxy: after
// some commands no other arrives, until it is started again.
type killer struct {
	left  atomic.Int64 // commands until the death; 0: none is near
	after atomic.Bool  // the last one is carried out, its answer lost
	dead  atomic.Bool
}

func (k *killer) judge([]byte) redistest.Fault {
	switch {
	case k.dead.Load():
		return redistest.LoseSend
	case k.left.Load() == 0 || k.left.Add(-1) > 0:
		return redistest.Pass
	}
	k.dead.Store(true)
	if k.after.Load() {
		return redistest.LoseReply
	}
	return redistest.LoseSend
}

// restart reports whether it had died.
func (k *killer) restart() bool {
	k.left.Store(0)
	return k.dead.Swap(false)
}

// office is a platform, a Redis, and the people and workers of a run, without lanes: so a
// check takes milliseconds.
type office struct {
	t       *testing.T
	rt      *rapid.T
	server  *redistest.Server
	rdb     redis.UniversalClient // is never killed
	proxy   string                // address
	box     atomic.Pointer[sandbox.Sandbox]
	url     string
	kill    killer
	killing bool // processes are killed, and runs paused
	service *run.Service
	feeder  *run.Feeder
	handle  map[string]handler.Func // by task type
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, server: redistest.Mini(t)}
	platform := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { o.box.Load().ServeHTTP(w, r) }))
	t.Cleanup(platform.Close)
	o.url, o.rdb = platform.URL, o.server.Client(t)
	o.proxy = redistest.NewProxy(t, o.server.Addr, o.kill.judge, nil).Addr()
	return o
}

// open begins with an empty Redis and a platform of its own, and returns what closes it.
func (o *office) open(rt *rapid.T, killing bool) (closed func()) {
	o.rt, o.killing = rt, killing
	o.server.Mini.FlushAll()
	box, err := sandbox.New(schooltest.Config(5))
	o.must(err)
	o.box.Store(box)
	client := schooltest.Client(o.t, o.url, time.Minute, nil)
	rdb := redis.NewClient(&redis.Options{Addr: o.proxy, MaxRetries: -1})
	// It remembers which queues it has listed, so an empty Redis needs a new one.
	producer, err := enqueue.New(enqueue.Config{Redis: &redis.UniversalOptions{Addrs: []string{o.proxy}, MaxRetries: -1}})
	o.must(err)
	o.service = run.New(run.Config{Redis: rdb, Ledger: ledger.New(rdb)})
	o.feeder = run.NewFeeder(run.FeederConfig{Service: o.service, Producer: producer})
	env := handler.Env{Organisation: organisation, Tenant: tenant, Ledger: ledger.New(o.rdb), Deadline: 5 * time.Minute}
	o.handle = map[string]handler.Func{
		kinds.TypeNicknameSync: handler.Nickname(env, client), kinds.TypeGroupUpdate: handler.Group(env, client), kinds.TypeIDChange: handler.ID(env, client),
	}
	schooltest.Publish(o.t, o.rdb)
	return func() {
		_ = producer.Close()
		_ = rdb.Close()
		client.Close()
		box.Close()
	}
}

var laneKinds = []tasks.Kind{tasks.KindNickname, tasks.KindGroup, tasks.KindID}

func (o *office) must(err error) {
	if err != nil {
		o.rt.Helper()
		o.rt.Fatal(err)
	}
}

// do makes a step of a process that may be killed at any command. Then it is started
// again, and goes on.
func (o *office) do(step func() error) {
	o.rt.Helper()
	for o.killing && rapid.IntRange(0, 2).Draw(o.rt, "killed") == 0 {
		o.kill.after.Store(rapid.Bool().Draw(o.rt, "carried out"))
		o.kill.left.Store(rapid.Int64Range(1, 30).Draw(o.rt, "after commands"))
		err := step()
		if !o.kill.restart() {
			o.must(err)
			return
		}
	}
	o.must(step())
}

// upload uploads and plans rows.
func (o *office) upload(rows []run.Row) run.Run {
	ctx, id := o.t.Context(), ""
	o.do(func() error {
		if id == "" {
			made, err := o.service.Create(ctx, free())
			if err != nil {
				return err
			}
			id = made.ID
		}
		now, err := o.service.Get(ctx, id)
		for in := now.Rows; err == nil && in < len(rows); {
			in, err = o.service.Add(ctx, id, in, rows[in:min(in+3, len(rows))])
		}
		if err == nil {
			_, err = o.service.Seal(ctx, id, len(rows))
		}
		return err
	})
	return o.plan(id)
}

func (o *office) plan(id string) (planned run.Run) {
	o.do(func() (err error) {
		planned, err = o.service.Plan(o.t.Context(), id, nil)
		return err
	})
	return planned
}

// carryOut applies a plan, and lets it end.
func (o *office) carryOut(p run.Run) {
	ctx := o.t.Context()
	o.do(func() error { _, err := o.service.Apply(ctx, p.ID, p.Plan.Digest, "ann"); return err })
	for range 100 {
		if o.killing && rapid.IntRange(0, 3).Draw(o.rt, "paused") == 0 {
			o.steer(func() error { _, err := o.service.Pause(ctx, p.ID, "ann", ""); return err })
			o.turn(p.ID)
			o.steer(func() error { _, err := o.service.Resume(ctx, p.ID, "ann"); return err })
		}
		o.turn(p.ID)
		o.work()
		now, err := o.service.Get(ctx, p.ID)
		if o.must(err); now.State.Ended() {
			return
		}
	}
	now, err := o.service.Get(ctx, p.ID)
	o.rt.Fatalf("the run does not end: it is %s (%s), %s, %v, %v", now.State, now.Reason, now.Progress, now.Outcomes, err)
}

// steer is a step that is refused once the run has ended.
func (o *office) steer(step func() error) {
	o.do(func() error {
		err := step()
		if is[*run.StateError](err) {
			return nil
		}
		return err
	})
}

// turn is a turn of the worker that feeds.
func (o *office) turn(id string) {
	o.do(func() error { _, _, err := o.feeder.Turn(o.t.Context(), id); return err })
}

// work carries out all tasks that are pending.
func (o *office) work() {
	inspector := asynq.NewInspectorFromRedisClient(o.rdb)
	for _, kind := range laneKinds {
		queue := registry.Queue(tenant, kind, false)
		pending, err := inspector.ListPendingTasks(queue, asynq.PageSize(1000))
		if errors.Is(err, asynq.ErrQueueNotFound) {
			continue
		}
		o.must(err)
		slices.SortFunc(pending, func(a, b *asynq.TaskInfo) int { return cmp.Compare(a.ID, b.ID) })
		for _, info := range pending {
			name, row := kinds.RunOf(info.Headers)
			_, err := o.handle[info.Type](o.t.Context(), handler.Delivery{
				TaskID: info.ID, Type: info.Type, Payload: info.Payload, Queue: queue, Run: name, Row: row, Pacer: unpaced{},
			})
			o.must(err)
			if err := inspector.DeleteTask(queue, info.ID); !errors.Is(err, asynq.ErrTaskNotFound) { // a lost answer
				o.must(err)
			}
		}
	}
}

// unpaced is a pacer that never waits.
type unpaced struct{}

func (unpaced) Slot(context.Context) error          { return nil }
func (unpaced) Leave(context.Context) (bool, error) { return true, nil }
func (unpaced) Unused(context.Context)              {}

// calls counts the calls that changed or could have changed something.
func (o *office) calls() (n int) {
	for _, c := range o.box.Load().Calls() {
		if c.API != sandbox.APIToken {
			n++
		}
	}
	return n
}

// values returns what the platform has, by target and field.
func (o *office) values() map[string]string {
	state, _ := o.box.Load().State().Organisation(organisation)
	all := map[string]string{}
	for _, c := range state.Chats {
		all[c.ID+" name"], all[c.ID+" owner"], all[c.ID+" icon"] = c.Name, tasks.OwnerEmployee+":"+c.Owner, c.Icon
		for name, value := range c.Options {
			all[c.ID+" "+optionFields[name]] = strconv.Itoa(value)
		}
		for _, m := range c.Members {
			all[c.ID+"/"+m.UserID+" nickname"] = m.Nick
		}
	}
	for _, e := range state.Employees {
		all[e.UserID+" id"] = e.DingTalkID
	}
	return all
}

// optionFields are the fields of the options that files have here, by the platform's names.
var optionFields = map[string]string{"searchable": "options.searchable"}

// place is where values has a field of a row.
func place(r run.Row, field string) string {
	target, _ := kinds.Change(r.Request.Task, organisation)
	return target.Key + " " + field
}

// drawFile draws some rows of all kinds whose values can be set. Few targets and values
// make rows that agree, that contradict each other, and that change nothing.
func drawFile(rt *rapid.T, label string) []run.Row {
	users := rapid.SampledFrom([]string{"u1", "u2", "u3"})
	row := rapid.Custom(func(rt *rapid.T) run.Row {
		var task tasks.Task
		switch rapid.IntRange(0, 3).Draw(rt, "kind") {
		case 0:
			g := tasks.GroupUpdate{Tenant: tenant, ChatID: "chat1", Name: rapid.SampledFrom([]string{"", "North", "South"}).Draw(rt, "name")}
			if rapid.Bool().Draw(rt, "has an owner") {
				g.Owner, g.OwnerType = users.Draw(rt, "owner"), tasks.OwnerEmployee
			}
			if g.Name == "" && g.Owner == "" || rapid.Bool().Draw(rt, "has an option") {
				g.Options.Searchable = new(rapid.IntRange(0, 1).Draw(rt, "searchable"))
			}
			task = g
		case 1:
			user := users.Draw(rt, "user")
			task = tasks.IDChange{Tenant: tenant, UserID: user, DingTalkID: rapid.SampledFrom([]string{"teacher", "staffer"}).Draw(rt, "id") + user}
		default:
			task = tasks.NicknameSync{
				Tenant: tenant, ChatID: "chat1", UserID: users.Draw(rt, "user"), Nickname: rapid.SampledFrom([]string{"A", "B", "C"}).Draw(rt, "nickname"),
			}
		}
		return run.Row{Request: tasks.Request{Task: task}}
	})
	return rapid.SliceOfN(row, 1, 8).Draw(rt, label)
}

// played is what became of a file.
type played struct {
	Outcomes, Again, Undo []run.Outcome
	Values, Restored      map[string]string
	Calls                 int
}

// TestFilesAreAppliedOnceAndTakenBack carries out a random file over another one, puts the
// same file in again, and undoes the first. Then it does the same while the command and the
// feeding worker are killed at any command of Redis and go on, and while the run is paused:
// the end must be the same. For more files: -rapid.checks=5000.
func TestFilesAreAppliedOnceAndTakenBack(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	t.Parallel()
	o := newOffice(t)
	rapid.Check(t, func(rt *rapid.T) {
		before, file := drawFile(rt, "before"), drawFile(rt, "file")
		calm := o.play(rt, before, file, false)
		if diff := gocmp.Diff(calm, o.play(rt, before, file, true)); diff != "" {
			rt.Fatalf("undisturbed (-) and with processes that are killed (+):\n%s", diff)
		}
	})
}

func (o *office) play(rt *rapid.T, before, file []run.Row, killing bool) (p played) {
	defer o.open(rt, killing)()
	o.carryOut(o.upload(before))
	start := o.values()
	planned := o.upload(file)
	undoable := o.undoable(planned.ID)
	o.carryOut(planned)
	p.Outcomes, p.Values, p.Calls = o.outcomes(planned.ID), o.values(), o.calls()

	again := o.upload(file)
	if n := again.Plan.Calls(); n > 0 {
		rt.Fatalf("the same file again would make %d calls: %v", n, again.Plan.Counts)
	}
	o.carryOut(again)
	p.Again = o.outcomes(again.ID)
	if n := o.calls(); n != p.Calls {
		rt.Fatalf("the same file again made %d calls", n-p.Calls)
	}

	var undo run.Run
	o.do(func() (err error) {
		undo, err = o.service.Undo(o.t.Context(), planned.ID, free())
		return err
	})
	undo = o.plan(undo.ID)
	o.carryOut(undo)
	p.Undo, p.Restored = o.outcomes(undo.ID), o.values()
	want := maps.Clone(p.Values)
	for _, where := range undoable {
		want[where] = start[where]
	}
	// A row may turn out to be undoable: another one of the file applied a value of it whose
	// old one was not known.
	for where, value := range p.Restored {
		if value == start[where] {
			want[where] = value
		}
	}
	if diff := gocmp.Diff(want, p.Restored); diff != "" {
		rt.Fatalf("values after the undo (-want +got):\n%s", diff)
	}
	return p
}

// undoable returns where the values are of the rows that a plan calls undoable.
func (o *office) undoable(id string) (all []string) {
	for row, err := range o.service.Rows(o.t.Context(), id) {
		o.must(err)
		for _, v := range row.Values {
			if row.Undoable {
				all = append(all, place(row.Row, v.Field))
			}
		}
	}
	return all
}

// outcomes returns the outcome of each row. All are final, and counted so.
func (o *office) outcomes(id string) (all []run.Outcome) {
	counts := map[run.Outcome]int{}
	for r, err := range o.service.Results(o.t.Context(), id) {
		if o.must(err); !r.Outcome.Final() {
			o.rt.Fatalf("row %d of a run that has ended is %s", r.Number, r.Outcome)
		}
		all = append(all, r.Outcome)
		counts[r.Outcome]++
	}
	now, err := o.service.Get(o.t.Context(), id)
	if o.must(err); len(all) > 0 && !maps.Equal(counts, now.Outcomes) {
		o.rt.Fatalf("the run counts %v, and its rows are %v", now.Outcomes, counts)
	}
	return all
}
