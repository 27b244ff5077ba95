package run_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"rollcall/internal/enqueue"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	"rollcall/internal/run"
	"rollcall/tasks"
)

// TestTheLifeOfRuns lets runs and other changes of five members go through every step in
// any order, with crashes of the process at any command of Redis, and compares the
// platform in the end with the order in which the changes were made. For more sequences:
// -rapid.checks=5000.
func TestTheLifeOfRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	t.Parallel()
	server := redistest.Mini(t)
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, rt, server)
		defer w.close()
		rt.Repeat(map[string]func(*rapid.T){
			"upload":  w.upload,
			"plan":    w.plan,
			"apply":   w.apply,
			"exclude": w.exclude,
			"undo":    w.undo,
			"pause": func(rt *rapid.T) {
				w.steer(rt, func(id string) error { _, err := w.service.Pause(w.ctx, id, "", ""); return err })
			},
			"resume": func(rt *rapid.T) {
				w.steer(rt, func(id string) error { _, err := w.service.Resume(w.ctx, id, ""); return err })
			},
			"cancel": w.cancel,
			"turn":   w.turn,
			"change": w.change,
			"work":   w.work,
		})
		w.settle()
		w.judge()
	})
}

// crash makes commands of Redis fail from one on, as if the process had died there.
type crash struct {
	armed bool
	left  int  // commands that still succeed
	after bool // the first that fails is carried out
	died  bool
}

var errCrash = errors.New("crash")

func (c *crash) pass(next func() error) error {
	switch {
	case !c.armed:
		return next()
	case c.died:
		return errCrash
	case c.left > 0:
		c.left--
		return next()
	}
	c.died = true
	if c.after {
		_ = next()
	}
	return errCrash
}

func (c *crash) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *crash) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := c.pass(func() error { return next(ctx, cmd) })
		if errors.Is(err, errCrash) {
			cmd.SetErr(err)
		}
		return err
	}
}

func (c *crash) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := c.pass(func() error { return next(ctx, cmds) })
		if errors.Is(err, errCrash) {
			for _, cmd := range cmds {
				cmd.SetErr(err)
			}
		}
		return err
	}
}

// world is the runs, the platform, and what was done in which order.
type world struct {
	t   *testing.T
	rt  *rapid.T
	ctx context.Context //nolint:containedctx // of the test

	crash    *crash
	crashing redis.UniversalClient
	rdb      redis.UniversalClient // without crashes
	ledger   *ledger.Ledger
	service  *run.Service
	feeder   *run.Feeder
	producer *enqueue.Client

	runs     []*modelRun
	platform map[string]string
	calls    map[string]int    // by task
	before   map[string]string // what a member had before the call of a task
	history  []happened
}

// modelRun is a run as its user knows it.
type modelRun struct {
	id      string
	rows    []modelRow
	digest  string
	planned int // length of the history when it was planned
	applied bool
}

type modelRow struct {
	member int
	name   string
}

// happened is a change that was ordered: of a run or not.
type happened struct {
	run    *modelRun // nil: a change outside of runs
	member int
	name   string
}

func newWorld(t *testing.T, rt *rapid.T, s *redistest.Server) *world {
	ctx := t.Context()
	s.Mini.FlushAll()
	c := &crash{}
	rdb, own := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1}), redis.NewClient(&redis.Options{Addr: s.Addr})
	rdb.AddHook(c)
	if err := registry.Publish(ctx, own, []registry.Lane{{Organisation: organisation, Tenant: tenant, Kind: tasks.KindNickname}}); err != nil {
		t.Fatal(err)
	}
	producer, err := enqueue.New(enqueue.Config{Redis: &redis.UniversalOptions{Addrs: []string{s.Addr}}})
	if err != nil {
		t.Fatal(err)
	}
	service := run.New(run.Config{Redis: rdb, Ledger: ledger.New(rdb)})
	return &world{
		t: t, rt: rt, ctx: ctx, crash: c, crashing: rdb, rdb: own, ledger: ledger.New(own), service: service, producer: producer,
		feeder:   run.NewFeeder(run.FeederConfig{Service: service, Producer: producer, Log: slog.New(slog.DiscardHandler)}).FillAhead(time.Second),
		platform: map[string]string{}, calls: map[string]int{}, before: map[string]string{},
	}
}

func (w *world) close() {
	_ = w.producer.Close()
	_ = w.crashing.Close()
	_ = w.rdb.Close()
}

// do does something that may crash, and then again without a crash until it succeeds or
// is refused: that is what a person does, and asynq.
func (w *world) do(rt *rapid.T, step func() error) error {
	if rapid.Bool().Draw(rt, "crashes") {
		*w.crash = crash{armed: true, left: rapid.IntRange(0, 8).Draw(rt, "after commands"), after: rapid.Bool().Draw(rt, "carried out")}
		err := step()
		died := w.crash.died
		*w.crash = crash{}
		if !died {
			return err
		}
		if rapid.Bool().Draw(rt, "given up") {
			return errCrash
		}
	}
	return step()
}

// refused reports a refusal, and fails on any other error.
func (w *world) refused(err error) bool {
	w.t.Helper()
	if err == nil {
		return false
	}
	if is[*run.StateError](err) || is[*run.DigestError](err) || errors.Is(err, errCrash) {
		return true
	}
	w.rt.Fatalf("%v", err)
	return true
}

func (w *world) pick(rt *rapid.T) *modelRun {
	if len(w.runs) == 0 {
		rt.Skip("no run")
	}
	return rapid.SampledFrom(w.runs).Draw(rt, "run")
}

const members = 5

func (w *world) upload(rt *rapid.T) {
	if len(w.runs) >= 4 {
		rt.Skip("enough runs")
	}
	m := &modelRun{}
	for member := 1; member <= members; member++ {
		if rapid.Bool().Draw(rt, "in the file") {
			m.rows = append(m.rows, modelRow{member, rapid.SampledFrom([]string{"A", "B", "C"}).Draw(rt, "name")})
		}
	}
	if len(m.rows) == 0 {
		rt.Skip("no rows")
	}
	var rows []run.Row
	for _, row := range m.rows {
		rows = append(rows, nickname(row.member, row.name))
	}
	err := w.do(rt, func() error {
		if m.id == "" {
			made, err := w.service.Create(w.ctx, run.Draft{Settings: run.Settings{Canary: 1, MaxFailed: 1, Allowed: []string{"allow-changes", "allow-equal-names"}}})
			if err != nil {
				return err
			}
			m.id = made.ID
		}
		if _, err := w.service.Add(w.ctx, m.id, 0, rows); err != nil {
			return err
		}
		_, err := w.service.Seal(w.ctx, m.id, len(rows))
		return err
	})
	if !w.refused(err) {
		w.runs = append(w.runs, m)
	}
}

func (w *world) plan(rt *rapid.T) {
	m := w.pick(rt)
	at := len(w.history)
	err := w.do(rt, func() error {
		r, err := w.service.Plan(w.ctx, m.id, nil)
		if err == nil {
			m.digest, m.planned = r.Plan.Digest, at
		}
		return err
	})
	w.refused(err)
}

func (w *world) exclude(rt *rapid.T) {
	m := w.pick(rt)
	number := rapid.IntRange(1, len(m.rows)).Draw(rt, "row")
	err := w.do(rt, func() error {
		r, err := w.service.Exclude(w.ctx, m.id, m.digest, []int{number})
		if err == nil {
			m.digest = r.Plan.Digest
		}
		return err
	})
	w.refused(err)
}

func (w *world) apply(rt *rapid.T) {
	m := w.pick(rt)
	err := w.do(rt, func() error {
		_, err := w.service.Apply(w.ctx, m.id, m.digest, "")
		return err
	})
	w.refused(err)
	// The run may be applied although the reply was lost.
	if r, err := w.service.Get(w.ctx, m.id); err != nil {
		w.rt.Fatal(err)
	} else if !r.Applied.IsZero() && !m.applied {
		m.applied = true
		for _, row := range m.rows {
			w.history = append(w.history, happened{m, row.member, row.name})
		}
	}
}

func (w *world) undo(rt *rapid.T) {
	m := w.pick(rt)
	if len(w.runs) >= 4 {
		rt.Skip("enough runs")
	}
	u := &modelRun{}
	err := w.do(rt, func() error {
		r, err := w.service.Undo(w.ctx, m.id, run.Draft{Settings: run.Settings{MaxFailed: 1, Allowed: []string{"allow-changes", "allow-equal-names"}}})
		if err == nil {
			u.id = r.ID
			r, err = w.service.Plan(w.ctx, r.ID, nil)
		}
		if err == nil {
			u.digest, u.planned = r.Plan.Digest, len(w.history)
		}
		return err
	})
	if w.refused(err) {
		return
	}
	for p, err := range w.service.Rows(w.ctx, u.id) {
		if err != nil {
			w.rt.Fatal(err)
		}
		row := modelRow{name: p.Values[0].New}
		if _, err := fmt.Sscanf(p.Request.Task.(tasks.NicknameSync).UserID, "u%d", &row.member); err != nil {
			w.rt.Fatal(err)
		}
		if old := w.before[fmt.Sprintf("%s:%d", m.id, p.Of)]; old != row.name {
			w.rt.Fatalf("the undo of row %d of run %s sets %s, but the member had %s before", p.Of, m.id, row.name, old)
		}
		u.rows = append(u.rows, row)
	}
	if len(u.rows) > 0 {
		w.runs = append(w.runs, u)
	}
}

func (w *world) steer(rt *rapid.T, do func(id string) error) {
	m := w.pick(rt)
	w.refused(w.do(rt, func() error { return do(m.id) }))
}

func (w *world) cancel(rt *rapid.T) {
	m := w.pick(rt)
	w.refused(w.do(rt, func() error { _, err := w.service.Cancel(w.ctx, m.id, "", ""); return err }))
}

func (w *world) turn(rt *rapid.T) {
	m := w.pick(rt)
	_ = w.do(rt, func() error { _, _, err := w.feeder.Turn(w.ctx, m.id); return err }) // asynq tries again
}

func (w *world) change(rt *rapid.T) {
	h := happened{nil, rapid.IntRange(1, members).Draw(rt, "member"), rapid.SampledFrom([]string{"A", "B", "C", "D"}).Draw(rt, "name")}
	result, err := w.producer.Enqueue(w.ctx, nickname(h.member, h.name).Request.Task, tasks.Options{})
	if err != nil || result.Warning != "" {
		w.rt.Fatalf("enqueue: %v %s", err, result.Warning)
	}
	w.history = append(w.history, h)
}

// work carries out some of the tasks that are pending, in any order.
func (w *world) work(rt *rapid.T) {
	pending := w.pending()
	if len(pending) == 0 {
		rt.Skip("no task")
	}
	w.carryOut(rapid.SampledFrom(pending).Draw(rt, "task"))
}

const nicknameQueue = tenant + ".nickname"

func (w *world) pending() []*asynq.TaskInfo {
	found, err := asynq.NewInspectorFromRedisClient(w.rdb).ListPendingTasks(nicknameQueue, asynq.PageSize(1000))
	if err != nil && !errors.Is(err, asynq.ErrQueueNotFound) {
		w.rt.Fatal(err)
	}
	// Ids are random, their order must not be.
	slices.SortFunc(found, func(a, b *asynq.TaskInfo) int {
		_, rowA := kinds.RunOf(a.Headers)
		_, rowB := kinds.RunOf(b.Headers)
		return cmp.Or(cmp.Compare(w.revision(a), w.revision(b)), cmp.Compare(rowA, rowB))
	})
	return found
}

func (w *world) revision(info *asynq.TaskInfo) int64 {
	_, meta, err := kinds.Decode(info.Type, info.Payload)
	if err != nil {
		w.rt.Fatal(err)
	}
	return meta.Revision
}

// carryOut does what a worker does, as far as the run's state lets it.
func (w *world) carryOut(info *asynq.TaskInfo) {
	name, row := kinds.RunOf(info.Headers)
	at := ledger.Row{Tenant: tenant, Run: name, Row: row}
	task, meta, err := kinds.Decode(info.Type, info.Payload)
	if err != nil {
		w.rt.Fatal(err)
	}
	target, fields := kinds.Change(task, organisation)
	if name != "" {
		r, err := w.service.Get(w.ctx, name)
		switch {
		case err != nil:
			w.rt.Fatal(err)
		case r.State == run.StatePaused:
			return
		case r.State == run.StateCancelled:
			if err := w.ledger.Cancel(w.ctx, target, info.ID, at); err != nil {
				w.rt.Fatal(err)
			}
			w.end(info.ID)
			return
		}
	}
	lease, _, err := w.ledger.Begin(w.ctx, ledger.Delivery{
		TaskID: info.ID, Target: target, Revision: meta.Revision, Fields: fields, Row: at, Queue: nicknameQueue, Type: info.Type, Payload: info.Payload,
	})
	if err != nil {
		w.rt.Fatal(err)
	}
	if lease != nil {
		if err := lease.Check(w.ctx); err != nil {
			w.rt.Fatal(err)
		}
		w.calls[info.ID]++
		w.before[info.ID] = w.platform[target.Key]
		w.platform[target.Key] = fields[0].Value
		if err := lease.Settle(w.ctx, "request-"+info.ID, false, nil); err != nil {
			w.rt.Fatal(err)
		}
	}
	w.end(info.ID)
}

func (w *world) end(id string) {
	if err := asynq.NewInspectorFromRedisClient(w.rdb).DeleteTask(nicknameQueue, id); err != nil {
		w.rt.Fatal(err)
	}
}

// settle lets everything end that was begun.
func (w *world) settle() {
	for range 50 {
		busy := false
		for _, m := range w.runs {
			r, err := w.service.Get(w.ctx, m.id)
			if err != nil {
				w.rt.Fatal(err)
			}
			if r.State == run.StatePaused {
				if _, err := w.service.Resume(w.ctx, m.id, ""); err != nil {
					w.rt.Fatal(err)
				}
			}
			if !r.State.Applied() {
				continue
			}
			busy = true
			if _, _, err := w.feeder.Turn(w.ctx, m.id); err != nil && !strings.Contains(err.Error(), "is ") {
				w.rt.Fatal(err)
			}
		}
		for _, info := range w.pending() {
			w.carryOut(info)
		}
		if !busy {
			return
		}
	}
	w.rt.Fatal("a run does not end")
}

// judge compares the platform with the history.
func (w *world) judge() {
	outcomes := map[*modelRun]map[int]run.Outcome{}
	for _, m := range w.runs {
		if !m.applied {
			continue
		}
		outcomes[m] = map[int]run.Outcome{}
		i := 0
		for r, err := range w.service.Results(w.ctx, m.id) {
			if err != nil {
				w.rt.Fatal(err)
			}
			if !r.Outcome.Final() {
				w.rt.Fatalf("row %d of run %s has ended as %s", r.Number, m.id, r.Outcome)
			}
			outcomes[m][m.rows[i].member] = r.Outcome
			i++
		}
		w.counted(m)
	}
	for id, n := range w.calls {
		if n > 1 {
			w.rt.Fatalf("task %s was carried out %d times", id, n)
		}
	}
	for member := 1; member <= members; member++ {
		w.judgeMember(member, outcomes)
	}
}

// counted checks that a run counts its rows as its results say.
func (w *world) counted(m *modelRun) {
	want := map[run.Outcome]int{}
	for r, err := range w.service.Results(w.ctx, m.id) {
		if err != nil {
			w.rt.Fatal(err)
		}
		want[r.Outcome]++
	}
	r, err := w.service.Get(w.ctx, m.id)
	if err != nil || !maps.Equal(want, r.Outcomes) {
		w.rt.Fatalf("run %s in state %s counts %v, %v; its results are %v", m.id, r.State, r.Outcomes, err, want)
	}
}

// judgeMember checks that the last change of a member that was not left out is what the
// platform has, and that only rows with other changes around them are conflicts.
func (w *world) judgeMember(member int, outcomes map[*modelRun]map[int]run.Outcome) {
	want, last := []string{""}, run.Outcome("")
	var before []string
	for _, h := range w.history {
		if h.member != member {
			continue
		}
		if before = append(before, want...); h.run == nil {
			want, last = []string{h.name}, ""
			continue
		}
		switch o := outcomes[h.run][member]; o {
		case run.OutcomeApplied, run.OutcomeUnchanged, run.OutcomeSuperseded:
			want, last = []string{h.name}, o
		case run.OutcomeCancelled:
			// A row that was in a queue has replaced the change before it, which is not
			// carried out in its place.
			want, last = before, ""
		case run.OutcomeConflict:
			if !w.others(h.run, member) {
				w.rt.Fatalf("member %d of run %s is a conflict without another change since the plan", member, h.run.id)
			}
		case run.OutcomeExcluded:
		default:
			w.rt.Fatalf("member %d of run %s is %s", member, h.run.id, o)
		}
	}
	if got := w.platform[fmt.Sprintf("chat1/u%d", member)]; !slices.Contains(want, got) {
		w.rt.Fatalf("member %d is %q, want one of %q\nhistory: %s", member, got, want, w.changesOf(member, outcomes))
	}
	if last == run.OutcomeSuperseded {
		w.rt.Fatalf("the last change of member %d was superseded\nhistory: %s", member, w.changesOf(member, outcomes))
	}
}

// others reports whether a member was changed by another change that was ordered after a
// run was planned, or carried out after that.
func (w *world) others(m *modelRun, member int) bool {
	for _, h := range w.history {
		if h.member == member && h.run != m {
			return true
		}
	}
	return false
}

func (w *world) changesOf(member int, outcomes map[*modelRun]map[int]run.Outcome) string {
	var b strings.Builder
	for _, h := range w.history {
		if h.member != member {
			continue
		}
		if h.run == nil {
			fmt.Fprintf(&b, "%s; ", h.name)
		} else {
			fmt.Fprintf(&b, "%s by run %s: %s; ", h.name, h.run.id, outcomes[h.run][member])
		}
	}
	return b.String()
}
