package explain_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/enqueue"
	"rollcall/internal/explain"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

func TestMain(m *testing.M) { redistest.Main(m) }

var lane = registry.Lane{Organisation: "lakeside", Tenant: "lakeside-dt", Kind: tasks.KindNickname}

var bounds = explain.Bounds{DeadLetters: 100, Tasks: 5, Edits: 5}

// desk is a Reader with what writes to its Redis.
type desk struct {
	t      *testing.T
	rdb    redis.UniversalClient
	ledger *ledger.Ledger
	client *enqueue.Client
	reader *explain.Reader
	now    time.Time
}

func newDesk(t *testing.T, s *redistest.Server) *desk {
	t.Helper()
	rdb := s.Client(t)
	if err := registry.Publish(t.Context(), rdb, []registry.Lane{lane, {Organisation: "lakeside", Tenant: "lakeside-dt", Kind: tasks.KindGroup}}); err != nil {
		t.Fatal(err)
	}
	client, err := enqueue.New(enqueue.Config{Redis: &redis.UniversalOptions{Addrs: []string{s.Addr}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return &desk{t: t, rdb: rdb, ledger: ledger.New(rdb), client: client, reader: explain.NewReader(rdb), now: time.Now()}
}

func (d *desk) read(lane registry.Lane, key string, b explain.Bounds, personal bool) *explain.Target {
	d.t.Helper()
	x, err := d.reader.Read(d.t.Context(), lane, key, b, personal, d.now)
	if err != nil {
		d.t.Fatal(err)
	}
	return x
}

func (d *desk) enqueue(task tasks.Task) string {
	d.t.Helper()
	result, err := d.client.Enqueue(d.t.Context(), task, tasks.Options{})
	if err != nil || result.Outcome != tasks.Stored {
		d.t.Fatal(result, err)
	}
	return result.TaskID
}

func (d *desk) wantConclusion(x *explain.Target, word explain.Word, detail explain.Detail) {
	d.t.Helper()
	if c := x.Conclude(); c.Word != word || c.Detail != detail {
		d.t.Errorf("concludes %s %q, want %s %q", c.Word, c.Detail, word, detail)
	}
}

func TestATargetIsUnknownThenWaitsThenRunsThenIsSettled(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		d := newDesk(t, s)
		d.wantConclusion(d.read(lane, "chat1/u1", bounds, false), explain.Unknown, explain.Plain)
		id := d.enqueue(tasks.NicknameSync{Tenant: "lakeside-dt", ChatID: "chat1", UserID: "u1", Nickname: "王小明"})
		x := d.read(lane, "chat1/u1", bounds, false)
		d.wantConclusion(x, explain.Waiting, explain.Plain)
		if task := x.Tasks[id]; task.Values["nickname"] != "王小明" || task.State != "pending" || !task.Open {
			t.Errorf("task %+v", task)
		}
		if x.Value("nickname", "王小明") != "王**" || d.read(lane, "chat1/u1", bounds, true).Value("nickname", "王小明") != "王小明" {
			t.Error("the value is masked or not, and should not be")
		}
		target := x.Record.Target
		lease, _, err := d.ledger.Begin(t.Context(), ledger.Delivery{
			TaskID: id, Target: target, Revision: x.Record.Fields["nickname"].Latest, Fields: []ledger.Field{{Name: "nickname", Value: "王小明", Mode: ledger.Value}},
		})
		if err != nil || lease == nil {
			t.Fatal(lease, err)
		}
		d.wantConclusion(d.read(lane, "chat1/u1", bounds, false), explain.Underway, explain.Plain)
		if err := lease.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := lease.Settle(t.Context(), "req-1", false, nil); err != nil {
			t.Fatal(err)
		}
		x = d.read(lane, "chat1/u1", bounds, false)
		d.wantConclusion(x, explain.Settled, explain.Plain)
		if len(x.Record.Effects) != 1 || x.Record.Effects[0].RequestID != "req-1" {
			t.Errorf("effects %+v", x.Record.Effects)
		}
	})
}

func TestNoMoreTasksAndDeadLettersAreReadThanTheBounds(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		d := newDesk(t, s)
		group := registry.Lane{Organisation: "lakeside", Tenant: "lakeside-dt", Kind: tasks.KindGroup}
		var ids []string
		for i := range 6 {
			ids = append(ids, d.enqueue(tasks.GroupUpdate{Tenant: "lakeside-dt", ChatID: "chat1", AddUserIDs: []string{fmt.Sprint("u", i)}}))
		}
		named := d.enqueue(tasks.GroupUpdate{Tenant: "lakeside-dt", ChatID: "chat1", Name: "三年二班"})
		x := d.read(group, "chat1", explain.Bounds{DeadLetters: 100, Tasks: 3, Edits: 4}, false)
		if len(x.Tasks) != 3 || x.Tasks[named].ID == "" || x.Tasks[ids[0]].ID == "" || x.Tasks[ids[1]].ID == "" {
			t.Errorf("read tasks %v, want %s and the first two of %v", x.Tasks, named, ids)
		}
		for i := range 150 {
			_, err := d.ledger.AddDeadLetterOnce(t.Context(), ledger.DeadLetter{
				ID: fmt.Sprint("dead-", i), Lane: "lakeside-dt.nickname", Target: fmt.Sprint("chat1/u", i%2), Class: "busy", Last: d.now.Add(time.Duration(i) * time.Second),
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for most, want := range map[int]int{100: 50, 200: 75} {
			x = d.read(lane, "chat1/u1", explain.Bounds{DeadLetters: most}, false)
			if len(x.Dead) != want || x.More != (most == 100) {
				t.Errorf("of %d dead letters %d are of the target, more: %t", most, len(x.Dead), x.More)
			}
		}
	})
}

func TestADeadLetterOfTheLatestChangeIsFoundWithItsTask(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		d := newDesk(t, s)
		id := d.enqueue(tasks.NicknameSync{Tenant: "lakeside-dt", ChatID: "chat1", UserID: "u1", Nickname: "王小明"})
		for class, detail := range map[string]explain.Detail{"rejected": explain.Plain, "unverified": explain.WasSettled} {
			if _, err := d.ledger.AddDeadLetter(t.Context(), ledger.DeadLetter{ID: id, Lane: "lakeside-dt.nickname", Target: "chat1/u1", Class: class, Last: d.now}); err != nil {
				t.Fatal(err)
			}
			x := d.read(lane, "chat1/u1", explain.Bounds{Tasks: 1}, false)
			d.wantConclusion(x, explain.Dead, detail)
			if len(x.Dead) != 1 || x.Tasks[id].Dead == nil {
				t.Errorf("dead letters %+v", x.Dead)
			}
		}
		if err := d.rdb.Del(t.Context(), "asynq:{lakeside-dt.nickname}:t:"+id).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := d.ledger.RemoveDeadLetters(t.Context(), "lakeside-dt.nickname", id); err != nil {
			t.Fatal(err)
		}
		d.wantConclusion(d.read(lane, "chat1/u1", bounds, false), explain.Vanished, explain.Plain)
	})
}
