package deadletter_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/audit"
	"rollcall/internal/backlog"
	"rollcall/internal/deadletter"
	"rollcall/internal/enqueue"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

var died = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

// office is a Service with its Redis and clients.
type office struct {
	t         *testing.T
	rdb       redis.UniversalClient
	ledger    *ledger.Ledger
	service   *deadletter.Service
	asynq     *asynq.Client
	inspector *asynq.Inspector
}

func open(t *testing.T, s *redistest.Server) *office {
	t.Helper()
	rdb := s.Client(t)
	var lanes []registry.Lane
	for _, tenant := range []string{"dt", "ci"} {
		for _, k := range kinds.Names() {
			lanes = append(lanes, registry.Lane{Organisation: "lakeside", Tenant: tenant, Kind: k})
		}
	}
	if err := registry.Publish(t.Context(), rdb, lanes); err != nil {
		t.Fatal(err)
	}
	client, err := enqueue.New(enqueue.Config{Redis: &redis.UniversalOptions{Addrs: []string{s.Addr}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return &office{
		t: t, rdb: rdb, ledger: ledger.New(rdb), service: deadletter.New(rdb, client),
		asynq: asynq.NewClientFromRedisClient(rdb), inspector: asynq.NewInspectorFromRedisClient(rdb),
	}
}

// record returns the dead letter of a nickname task of a tenant.
func record(t *testing.T, tenant, id string, second int, class, code string) ledger.DeadLetter {
	t.Helper()
	typename, payload, err := kinds.Encode(tasks.NicknameSync{Tenant: tenant, ChatID: "c1", UserID: id, Nickname: "N"}, int64(second)+1)
	if err != nil {
		t.Fatal(err)
	}
	run := ""
	if id == "a" || id == "d" {
		run = "night"
	}
	at := died.Add(time.Duration(second) * time.Second)
	return ledger.DeadLetter{
		ID: id, Lane: tenant + ".nickname", Tenant: tenant, Kind: "nickname", Organisation: "lakeside", Type: typename, Payload: payload,
		Run: run, Row: second, Target: "c1/" + id, Revision: int64(second) + 1, Class: class, Code: code, Cause: class, First: at, Last: at,
	}
}

// adds writes dead letters whose tasks asynq has archived.
func (o *office) adds(dead ...ledger.DeadLetter) {
	o.t.Helper()
	for _, l := range dead {
		queue := l.Lane
		_, err := o.asynq.Enqueue(asynq.NewTask(l.Type, l.Payload), asynq.Queue(queue), asynq.TaskID(l.ID))
		if err := errors.Join(err, o.inspector.ArchiveTask(queue, l.ID)); err != nil {
			o.t.Fatal(err)
		}
		if _, err := o.ledger.AddDeadLetter(o.t.Context(), l); err != nil {
			o.t.Fatal(err)
		}
	}
}

// left returns the ids of the dead letters that a filter selects, in order.
func (o *office) left(f deadletter.Filter) []string {
	o.t.Helper()
	var ids []string
	err := o.service.Each(o.t.Context(), f, func(dead []ledger.DeadLetter) error {
		for _, l := range dead {
			ids = append(ids, l.ID)
		}
		return nil
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return ids
}

func (o *office) wantLeft(want ...string) {
	o.t.Helper()
	if diff := cmp.Diff(want, o.left(deadletter.Filter{}), cmpopts.EquateEmpty(), cmpopts.SortSlices(strings.Compare)); diff != "" {
		o.t.Errorf("dead letters (-want +got):\n%s", diff)
	}
}

func (o *office) wantState(id, want string) {
	o.t.Helper()
	if got, err := backlog.State(o.t.Context(), o.rdb, "dt.nickname", id); err != nil || got != want {
		o.t.Errorf("task %s is %q in asynq, %v; want %q", id, got, err, want)
	}
}

func outcomes(settled []deadletter.Settled) map[string]deadletter.Outcome {
	out := map[string]deadletter.Outcome{}
	for _, s := range settled {
		out[s.DeadLetter.ID] = s.Outcome
	}
	return out
}

func TestAFilterSelectsByEachOfItsFields(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		o := open(t, s)
		o.adds(
			record(t, "dt", "a", 0, "rejected", "1"), record(t, "dt", "b", 1, "busy", ""), record(t, "dt", "c", 2, "rejected", "2"),
			record(t, "ci", "d", 3, "rejected", "1"),
		)
		for name, row := range map[string]struct {
			filter deadletter.Filter
			want   []string
		}{
			"all":       {deadletter.Filter{}, []string{"d", "b", "a", "c"}},
			"tenant":    {deadletter.Filter{Tenant: "ci"}, []string{"d"}},
			"kind":      {deadletter.Filter{Kind: tasks.KindGroup}, nil},
			"class":     {deadletter.Filter{Class: "rejected"}, []string{"d", "a", "c"}},
			"code":      {deadletter.Filter{Code: "1"}, []string{"d", "a"}},
			"both":      {deadletter.Filter{Tenant: "dt", Class: "rejected", Code: "1"}, []string{"a"}},
			"since":     {deadletter.Filter{Since: died.Add(2 * time.Second)}, []string{"d", "c"}},
			"until":     {deadletter.Filter{Until: died.Add(time.Second)}, []string{"b", "a"}},
			"a moment":  {deadletter.Filter{Since: died, Until: died, Class: "rejected"}, []string{"a"}},
			"run":       {deadletter.Filter{Run: "night"}, []string{"d", "a"}},
			"a lane's":  {deadletter.Filter{Run: "night", Tenant: "ci"}, []string{"d"}},
			"no run":    {deadletter.Filter{Run: "day"}, nil},
			"no moment": {deadletter.Filter{Since: died.Add(time.Hour)}, nil},
		} {
			if diff := cmp.Diff(row.want, o.left(row.filter), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
			if n, err := o.service.Count(t.Context(), row.filter); err != nil || n != int64(len(row.want)) {
				t.Errorf("%s: %d are counted, %v", name, n, err)
			}
		}
		latest, err := o.service.Latest(t.Context(), deadletter.Filter{}, 3)
		if err != nil || len(latest) != 3 || latest[0].ID != "d" || latest[1].ID != "c" || latest[2].ID != "b" {
			t.Errorf("the newest: %+v, %v", latest, err)
		}
		if latest, err := o.service.Latest(t.Context(), deadletter.Filter{Run: "night"}, 1); err != nil || len(latest) != 1 || latest[0].ID != "d" {
			t.Errorf("the newest of the run: %+v, %v", latest, err)
		}
		if causes, err := o.service.Causes(t.Context(), deadletter.Filter{Run: "night"}); err != nil || len(causes) != 1 || causes[0].DeadLetters != 2 {
			t.Errorf("causes of the run: %+v, %v", causes, err)
		}
		causes, err := o.service.Causes(t.Context(), deadletter.Filter{})
		want := []deadletter.Cause{
			{Class: "rejected", Code: "1", DeadLetters: 2, Lanes: []string{"ci.nickname", "dt.nickname"}, Latest: died.Add(3 * time.Second), Todo: outcome.Rejected.Rule().Advice},
			{Class: "busy", DeadLetters: 1, Lanes: []string{"dt.nickname"}, Latest: died.Add(time.Second), Todo: outcome.Busy.Rule().Advice},
			{Class: "rejected", Code: "2", DeadLetters: 1, Lanes: []string{"dt.nickname"}, Latest: died.Add(2 * time.Second), Todo: outcome.Rejected.Rule().Advice},
		}
		if diff := cmp.Diff(want, causes); diff != "" || err != nil {
			t.Errorf("causes: %v (-want +got):\n%s", err, diff)
		}
	})
}

func TestAReplayStoresTheTaskBeforeItRemovesTheDeadLetter(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		o := open(t, s)
		one := record(t, "dt", "a", 0, "busy", "")
		o.adds(one)
		got := o.service.Replay(t.Context(), []ledger.DeadLetter{one})
		if diff := cmp.Diff([]deadletter.Settled{{DeadLetter: one, Outcome: deadletter.Replayed, TaskID: "a~1"}}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		o.wantLeft()
		o.wantState("a", "")
		o.wantState("a~1", "pending")
		// A person who read the dead letter before gets the same result: nothing is
		// stored twice.
		if again := o.service.Replay(t.Context(), []ledger.DeadLetter{one}); again[0].Outcome != deadletter.Replayed || again[0].TaskID != "a~1" {
			t.Errorf("again: %+v", again)
		}
		if n := o.rdb.LLen(t.Context(), backlog.Key("dt.nickname", "pending")).Val(); n != 1 {
			t.Errorf("%d are pending", n)
		}
	})
}

// cutting makes one command fail after a number of commands of its kind succeeded.
type cutting struct {
	mark string
	left atomic.Int32
}

func (*cutting) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *cutting) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if strings.Contains(fmt.Sprint(cmd.Args()...), c.mark) && c.left.Add(-1) == 0 {
			err := errors.New("READONLY injected by the test")
			cmd.SetErr(err)
			return err
		}
		return next(ctx, cmd)
	}
}

func (*cutting) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func TestAFailedReplayCanBeRepeated(t *testing.T) {
	t.Parallel()
	// Parts of commands, with the spaces removed.
	for name, mark := range map[string]string{"looking": "hgetasynq:{dt.nickname}:t:astate", "the archive": "asynq:{dt.nickname}:archived", "the letter": ":dead:letters"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				o := open(t, s)
				one := record(t, "dt", "a", 0, "busy", "")
				o.adds(one)
				hook := &cutting{mark: mark}
				hook.left.Store(1)
				rdb := s.Client(t)
				rdb.AddHook(hook)
				client, err := enqueue.New(enqueue.Config{Redis: &redis.UniversalOptions{Addrs: []string{s.Addr}}})
				if err != nil {
					t.Fatal(err)
				}
				defer client.Close()
				service := deadletter.New(rdb, client)
				if got := service.Replay(t.Context(), []ledger.DeadLetter{one})[0]; got.Outcome != deadletter.Failed || got.Err == nil {
					t.Fatalf("%+v", got)
				}
				o.wantLeft("a")
				if got := service.Replay(t.Context(), []ledger.DeadLetter{one})[0]; got.Outcome != deadletter.Replayed {
					t.Errorf("again: %+v", got)
				}
				o.wantLeft()
				if n := o.rdb.LLen(t.Context(), backlog.Key("dt.nickname", "pending")).Val(); n != 1 {
					t.Errorf("%d are pending", n)
				}
			})
		})
	}
}

func TestADiscardRemovesTheArchivedTaskAndTheDeadLetterAndWritesAnEvent(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		o := open(t, s)
		one, other := record(t, "dt", "a", 0, "rejected", "1"), record(t, "dt", "b", 1, "rejected", "2")
		o.adds(one, other)
		settled := o.service.Discard(t.Context(), []ledger.DeadLetter{one})
		if settled[0].Outcome != deadletter.Discarded {
			t.Fatalf("%+v", settled)
		}
		o.wantLeft("b")
		o.wantState("a", "")
		o.wantState("b", "archived")
		counts := deadletter.Counts{}
		counts.Add(settled)
		if err := o.service.Note(t.Context(), deadletter.Discarded, counts, "left", "bob"); err != nil {
			t.Fatal(err)
		}
		events, err := o.rdb.XRange(t.Context(), audit.Stream, "-", "+").Result()
		if err != nil || len(events) != 1 {
			t.Fatalf("%d events, %v", len(events), err)
		}
		want := map[string]any{"event": "dead.discarded", "level": "lane", "name": "dt.nickname", "class": "rejected", "reason": "1 dead letter: left", "by": "bob", "count": "1"}
		if diff := cmp.Diff(want, events[0].Values); diff != "" {
			t.Errorf("the event (-want +got):\n%s", diff)
		}
	})
}

// A task that a person ran in asynq's web UI is no longer a dead letter. A task that is
// running must keep its dead letter: it may be about to die.
func TestATaskThatIsNoLongerArchivedIsNotChanged(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		o := open(t, s)
		for _, act := range []func(context.Context, []ledger.DeadLetter) []deadletter.Settled{o.service.Replay, o.service.Discard} {
			run, active, gone := record(t, "dt", "run", 0, "busy", ""), record(t, "dt", "active", 0, "busy", ""), record(t, "dt", "deleted", 0, "busy", "")
			o.adds(run, active, gone)
			err := errors.Join(o.inspector.RunTask("dt.nickname", "run"), o.inspector.DeleteTask("dt.nickname", "deleted"),
				o.rdb.ZRem(t.Context(), backlog.Key("dt.nickname", "archived"), "active").Err(),
				o.rdb.HSet(t.Context(), backlog.Key("dt.nickname", "t:active"), "state", "active").Err())
			if err != nil {
				t.Fatal(err)
			}
			got := outcomes(act(t.Context(), []ledger.DeadLetter{run, active, gone}))
			if got["run"] != deadletter.Underway || got["active"] != deadletter.Refused || got["deleted"] != deadletter.Replayed && got["deleted"] != deadletter.Discarded {
				t.Errorf("%v", got)
			}
			o.wantLeft("active")
			o.wantState("run", "pending")
			if _, err := o.ledger.RemoveDeadLetters(t.Context(), "dt.nickname", "active"); err != nil {
				t.Fatal(err)
			}
			o.rdb.Del(t.Context(), backlog.Key("dt.nickname", "t:active"), backlog.Key("dt.nickname", "t:run"), backlog.Key("dt.nickname", "pending"))
		}
	})
}

func TestAnUnreadableDeadLetterIsNeitherReplayedNorDiscarded(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		o := open(t, s)
		o.adds(record(t, "dt", "a", 0, "busy", ""))
		if err := o.rdb.HSet(t.Context(), "rollcall:{dt.nickname}:dead:letters", "a", "of 2031").Err(); err != nil {
			t.Fatal(err)
		}
		found, err := o.service.Find(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		for _, settled := range [][]deadletter.Settled{o.service.Replay(t.Context(), []ledger.DeadLetter{found}), o.service.Discard(t.Context(), []ledger.DeadLetter{found})} {
			if settled[0].Outcome != deadletter.Refused {
				t.Errorf("%+v", settled)
			}
		}
		o.wantLeft("a")
		_, err = o.service.Find(t.Context(), "missing")
		if _, ok := errors.AsType[*deadletter.MissingError](err); !ok {
			t.Errorf("Find() of an unknown id: %v", err)
		}
	})
}

// A Service without a client cannot replay: its defect must not end the process.
func TestAPanicAtOneDeadLetterIsItsFailureAlone(t *testing.T) {
	t.Parallel()
	o := open(t, redistest.One(t))
	dead := []ledger.DeadLetter{record(t, "dt", "a", 1, "rejected", "41049"), record(t, "dt", "b", 2, "rejected", "41049")}
	o.adds(dead...)
	for i, s := range deadletter.New(o.rdb, nil).Replay(t.Context(), dead) {
		if s.Outcome != deadletter.Failed || s.DeadLetter.ID != dead[i].ID || !strings.Contains(s.Err.Error(), "panic") {
			t.Errorf("%+v", s)
		}
	}
	if ids := o.left(deadletter.Filter{}); len(ids) != 2 {
		t.Errorf("left: %v", ids)
	}
}
