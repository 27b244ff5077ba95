package schedule_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"rollcall/internal/logtest"
	"rollcall/internal/redistest"
	"rollcall/internal/schedule"
)

const leaderKey = "rollcall:{schedule}:leader"

func TestOneTickEnqueuesEachRowOnceWithThreeWorkers(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		entry, id := r.due(0, threePeople(t))
		cfg := r.brief(entry)
		var workers []*running
		for range 3 {
			workers = append(workers, r.run(cfg))
		}
		want := result{Schedule: "night", Tick: strings.TrimPrefix(id, "night@"), Tasks: 3, Stored: 3}
		if diff := cmp.Diff(want, r.done(id)); diff != "" {
			t.Errorf("result (-want +got):\n%s", diff)
		}
		for _, w := range workers { // each leads in turn, and checks for missed ticks
			w.end(t)
		}
		if got := r.ids("completed"); len(got) != 1 {
			t.Errorf("ticks %v, want one", got)
		}
		if got := r.stored(nickQueue); got != 3 {
			t.Errorf("%d tasks stored, want 3", got)
		}
	})
}

// A thief takes the lease again and again: then there are two leaders for a while,
// because the old one has not noticed yet, or none.
func TestEveryTickIsEnqueuedOnceAcrossChangesOfTheLeader(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		cfg := r.brief(schedule.Entry{Name: "often", Cron: "@every 1s", Roster: threePeople(t)})
		for range 3 {
			r.run(cfg)
		}
		r.until("a leader", func() bool { return r.rdb.Exists(t.Context(), leaderKey).Val() == 1 })
		for range 3 {
			before := len(r.ids("completed"))
			r.rdb.Set(t.Context(), leaderKey, "thief", 100*time.Millisecond)
			if s.Mini != nil {
				s.Mini.FastForward(100 * time.Millisecond)
			}
			r.until("another leader, and ticks of it", func() bool {
				holder := r.rdb.Get(t.Context(), leaderKey).Val()
				return holder != "" && holder != "thief" && len(r.ids("completed")) > before+1
			})
		}
		for _, id := range r.ids("completed") {
			if got := r.result(id); got.Stored != 3 || got.AlreadyThere != 0 {
				t.Errorf("%s stored %d of 3, %d were already stored", id, got.Stored, got.AlreadyThere)
			}
		}
	})
}

func TestOnlyTheLeaderShowsEntriesOnTheSchedulerPage(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		cfg := r.brief(schedule.Entry{Name: "yearly", Cron: "0 4 1 1 *", Zone: "Asia/Shanghai", Roster: threePeople(t)})
		for range 3 {
			r.run(cfg)
		}
		beats := 0
		for before := ""; beats < 2; {
			r.until("a heartbeat of the scheduler", func() bool {
				now := strings.Join(r.rdb.ZRange(t.Context(), "asynq:schedulers", 0, -1).Val(), ",") +
					r.rdb.ZScore(t.Context(), "asynq:schedulers", r.first("asynq:schedulers")).String()
				changed := now != before && r.first("asynq:schedulers") != ""
				before = now
				return changed
			})
			beats++
		}
		var entries []*asynq.SchedulerEntry
		r.until("one entry is shown", func() bool { // a leader that was kept from renewing its lease shows none
			var err error
			if entries, err = r.inspector.SchedulerEntries(); err != nil || len(entries) > 1 {
				t.Fatalf("%d entries are shown, want one: %v", len(entries), err)
			}
			return len(entries) == 1
		})
		e := entries[0]
		want := []string{"CRON_TZ=Asia/Shanghai 0 4 1 1 *", schedule.Type, `{"v":1,"schedule":"yearly"}`}
		if diff := cmp.Diff(want, []string{e.Spec, e.Task.Type(), string(e.Task.Payload())}); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if e.Next.Before(time.Now()) || e.Next.UTC().Hour() != 20 {
			t.Errorf("next at %s, want 20:00 in UTC of a year's last day", e.Next)
		}
	})
}

// first returns the first member of a sorted set.
func (r *rig) first(key string) string {
	for _, member := range r.rdb.ZRange(r.t.Context(), key, 0, 0).Val() {
		return member
	}
	return ""
}

func TestALeaderThatLosesRedisIsReplacedWithinItsLease(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		path := threePeople(t)
		cut := newCable(t, s.Addr)
		first := r.brief(schedule.Entry{Name: "often", Cron: "@every 1s", Roster: path})
		first.Redis = redisOptions(t, cut.addr())
		log := &logtest.Buffer{}
		first.Log = log.Logger()
		leader := r.run(first)
		// Its lease in Redis is not enough: the reply may not have arrived.
		r.until("the first leads", func() bool { return strings.Contains(log.String(), "this worker leads") })
		token := r.rdb.Get(t.Context(), leaderKey).Val()

		r.run(r.brief(schedule.Entry{Name: "often", Cron: "@every 1s", Roster: path}))
		cut.cut()
		r.until("the first has noticed", func() bool { return strings.Contains(log.String(), "no longer leads") })
		if s.Mini != nil {
			s.Mini.FastForward(first.Lease)
		}
		r.until("the second leads", func() bool {
			holder := r.rdb.Get(t.Context(), leaderKey).Val()
			return holder != "" && holder != token
		})
		before := len(r.ids("completed"))
		r.until("ticks continue", func() bool { return len(r.ids("completed")) > before+1 })
		leader.end(t)
	})
}

func TestALeaderThatStopsReleasesItsLeaseAtOnce(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		cfg := r.brief(night(threePeople(t)))
		cfg.Lease = time.Hour // longer than any test waits
		log := &logtest.Buffer{}
		cfg.Log = log.Logger()
		leader := r.run(cfg)
		r.until("it leads", func() bool { return strings.Contains(log.String(), "this worker leads") })
		leader.end(t)
		if r.rdb.Exists(t.Context(), leaderKey).Val() != 0 {
			t.Error("the lease is still held")
		}
		if got := r.rdb.ZCard(t.Context(), "asynq:schedulers").Val(); got != 0 {
			t.Errorf("%d schedulers are still shown", got)
		}
	})
}

func TestReplacedEntriesApplyFromTheNextTickOn(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		path := threePeople(t)
		cfg := r.brief() // no entries: the worker takes no ticks and does not lead
		recent, _ := r.due(0, path)
		r.rdb.Del(t.Context(), "rollcall:{schedule}:state:night")
		w := r.run(cfg)
		if err := w.Replace([]schedule.Entry{{Name: "Night", Cron: "30 2 * * *", Roster: path}}); err == nil {
			t.Error("an entry with an invalid name was accepted")
		}
		if err := w.Replace([]schedule.Entry{recent, {Name: "often", Cron: "@every 1s", Roster: path}}); err != nil {
			t.Fatal(err)
		}
		r.until("the new entry's ticks", func() bool { return strings.Contains(strings.Join(r.ids("completed"), " "), "often@") })
		if strings.Contains(strings.Join(r.ids("completed"), " "), "night@") {
			t.Error("a tick from before the entry existed was enqueued")
		}
		if err := w.Replace(nil); err != nil {
			t.Fatal(err)
		}
		r.until("there is no leader", func() bool { return r.rdb.Exists(t.Context(), leaderKey).Val() == 0 })
	})
}

// cable is a connection to Redis that can be cut permanently.
type cable struct {
	listener net.Listener
	mu       sync.Mutex
	severed  bool
	conns    []net.Conn
	flows    sync.WaitGroup
}

func newCable(t *testing.T, server string) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{listener: l}
	c.flows.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", server)
			if err != nil || !c.keep(near, far) {
				near.Close()
				continue
			}
			c.flows.Go(func() { _, _ = io.Copy(far, near); far.Close() })
			c.flows.Go(func() { _, _ = io.Copy(near, far); near.Close() })
		}
	})
	t.Cleanup(func() {
		c.cut()
		c.flows.Wait()
	})
	return c
}

func (c *cable) addr() string { return c.listener.Addr().String() }

func (c *cable) keep(conns ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns = append(c.conns, conns...)
	return !c.severed
}

func (c *cable) cut() {
	c.listener.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.severed = true
	for _, conn := range c.conns {
		conn.Close()
	}
}

// Another program wrote the key of the lease, without an end. Of another type, it is named.
func TestALeaseThatIsNotOursEndsAndADamagedOneIsNamed(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		if err := r.rdb.Set(t.Context(), leaderKey, "another program", 0).Err(); err != nil {
			t.Fatal(err)
		}
		cfg, log := r.brief(night(threePeople(t))), &logtest.Buffer{}
		cfg.Log = log.Logger()
		r.run(cfg)
		leads := func() bool {
			if s.Mini != nil {
				s.Mini.FastForward(time.Second)
			}
			return len(log.Lines("this worker leads")) > 0
		}
		r.until("the worker leads", leads)
	})
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		if err := r.rdb.HSet(t.Context(), leaderKey, "a", "b").Err(); err != nil {
			t.Fatal(err)
		}
		cfg, log := r.brief(night(threePeople(t))), &logtest.Buffer{}
		cfg.Log = log.Logger()
		r.run(cfg)
		r.until("the key is named", func() bool { return len(log.Lines(leaderKey)) > 0 })
		if line := log.Lines(leaderKey)[0]; !strings.Contains(line, "rollcall repair") {
			t.Errorf("the line does not say what to do: %s", line)
		}
		r.rdb.Del(t.Context(), leaderKey)
		r.until("the worker leads", func() bool { return len(log.Lines("this worker leads")) > 0 })
	})
}
