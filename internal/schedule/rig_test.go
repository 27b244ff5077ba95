package schedule_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/redisdb"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	"rollcall/internal/schedule"
	"rollcall/internal/secret"
	"rollcall/tasks"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// patience bounds every wait: far above what a loaded machine needs.
const patience = 5 * time.Minute

// nickQueue is the queue of the nickname tasks in these tests.
const nickQueue = "lakeside-dt.nickname"

// rig is a Redis whose lanes are published, with the helpers of the tests.
type rig struct {
	t         *testing.T
	server    *redistest.Server
	rdb       redis.UniversalClient
	inspector *asynq.Inspector
}

func newRig(t *testing.T, s *redistest.Server) *rig {
	t.Helper()
	r := &rig{t: t, server: s, rdb: s.Client(t)}
	err := registry.Publish(t.Context(), r.rdb, []registry.Lane{
		{Organisation: "lakeside", Tenant: "lakeside-dt", Kind: tasks.KindNickname},
		{Organisation: "lakeside", Tenant: "lakeside-ci", Kind: tasks.KindCourse},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.inspector = asynq.NewInspectorFromRedisClient(r.rdb)
	return r
}

func redisOptions(t *testing.T, addr string) *redis.UniversalOptions {
	t.Helper()
	o, err := redisdb.Config{URL: secret.New("redis://" + addr)}.Options()
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// config has a lease long enough for a busy machine, because a third of it bounds each
// command, and more closely spaced attempts than such a machine fails.
func (r *rig) config(entries ...schedule.Entry) schedule.Config {
	return schedule.Config{
		Entries: entries, Redis: redisOptions(r.t, r.server.Addr),
		Lease: time.Minute, Waits: slices.Repeat([]time.Duration{time.Second}, 50),
	}
}

// brief is config with a lease short enough for a test to wait for.
func (r *rig) brief(entries ...schedule.Entry) schedule.Config {
	cfg := r.config(entries...)
	cfg.Lease = 6 * time.Second
	return cfg
}

// once gives up after the second attempt, which follows immediately.
func once(cfg schedule.Config) schedule.Config {
	cfg.Waits = []time.Duration{time.Millisecond}
	return cfg
}

// running is a Schedule that is running.
type running struct {
	*schedule.Schedule

	stop  context.CancelFunc
	ended chan error
}

// run starts a Schedule that ends no later than the test.
func (r *rig) run(cfg schedule.Config) *running {
	r.t.Helper()
	s, err := schedule.New(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	run := &running{Schedule: s, stop: cancel, ended: make(chan error, 1)}
	go func() { run.ended <- s.Run(ctx) }()
	r.t.Cleanup(func() { run.end(r.t) })
	return run
}

// end stops a Schedule and waits for its end. It may be called again.
func (run *running) end(t *testing.T) {
	t.Helper()
	run.stop()
	select {
	case err := <-run.ended:
		if err != nil {
			t.Errorf("Run: %v", err)
		}
		run.ended <- nil
	case <-time.After(patience):
		t.Fatal("Run did not end")
	}
}

// until waits until yes returns true.
func (r *rig) until(what string, yes func() bool) {
	r.t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(patience)
	for !yes() {
		select {
		case <-ticker.C:
		case <-timeout:
			for _, state := range []string{"pending", "active", "retry", "archived", "completed"} {
				r.t.Logf("%s: %v", state, r.ids(state))
			}
			r.t.Fatalf("timed out: %s", what)
		}
	}
}

// ids returns the ids of the ticks in a state, by asynq's own keys.
func (r *rig) ids(state string) []string {
	r.t.Helper()
	key := "asynq:{" + schedule.Queue + "}:" + state
	if state == "pending" || state == "active" {
		return r.rdb.LRange(r.t.Context(), key, 0, -1).Val()
	}
	return r.rdb.ZRange(r.t.Context(), key, 0, -1).Val()
}

func (r *rig) stored(queue string) int {
	r.t.Helper()
	n, err := r.rdb.LLen(r.t.Context(), "asynq:{"+queue+"}:pending").Result()
	if err != nil {
		r.t.Fatal(err)
	}
	return int(n)
}

func (r *rig) tick(id string) *asynq.TaskInfo {
	r.t.Helper()
	info, err := r.inspector.GetTaskInfo(schedule.Queue, id)
	if err != nil {
		r.t.Fatal(err)
	}
	return info
}

// result is the stored result of a tick.
type result struct {
	Schedule     string   `json:"schedule"`
	Tick         string   `json:"tick"`
	Tasks        int      `json:"tasks"`
	Stored       int      `json:"stored"`
	AlreadyThere int      `json:"already_there"`
	Refused      int      `json:"refused"`
	NotStored    int      `json:"not_stored"`
	Problems     []string `json:"problems"`
}

func (r *rig) result(id string) result {
	r.t.Helper()
	var got result
	if err := json.Unmarshal(r.tick(id).Result, &got); err != nil {
		r.t.Fatal(err)
	}
	return got
}

// done waits for the end of a tick, and returns its result.
func (r *rig) done(id string) result {
	r.t.Helper()
	r.until(id+" is carried out", func() bool {
		info, err := r.inspector.GetTaskInfo(schedule.Queue, id)
		return err == nil && info.State == asynq.TaskStateCompleted
	})
	return r.result(id)
}

// enqueue adds a tick to its queue that a worker began and did not end.
func (r *rig) enqueue(name, id string) {
	r.t.Helper()
	if at, err := time.Parse(time.RFC3339, strings.TrimPrefix(id, name+"@")); err == nil {
		_, err := r.rdb.Pipelined(r.t.Context(), func(p redis.Pipeliner) error {
			p.HSet(r.t.Context(), "rollcall:{schedule}:ticks:"+name, id+":state", "waiting", id+":at", at.Unix(), id+":start", at.UnixMilli())
			p.ZAdd(r.t.Context(), "rollcall:{schedule}:history:"+name, redis.Z{Score: float64(at.Unix()), Member: id})
			return nil
		})
		if err != nil {
			r.t.Fatal(err)
		}
	}
	r.deliver(name, id)
}

// deliver adds a task to the queue of ticks.
func (r *rig) deliver(name, id string) {
	r.t.Helper()
	client := asynq.NewClientFromRedisClient(r.rdb)
	_, err := client.EnqueueContext(r.t.Context(), asynq.NewTask(schedule.Type, []byte(`{"v":1,"schedule":"`+name+`"}`)),
		asynq.Queue(schedule.Queue), asynq.TaskID(id), asynq.MaxRetry(1<<20), asynq.Retention(time.Hour))
	// On a busy machine the client may send the task twice.
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		r.t.Fatal(err)
	}
}

// writeRoster writes a file of nicknames, and returns its path.
func writeRoster(t *testing.T, rows ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "roster.csv")
	content := "kind,tenant,chat_id,user_id,nickname\n" + strings.Join(rows, "\n") + "\n"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func threePeople(t *testing.T) string {
	t.Helper()
	return writeRoster(t, "nickname,lakeside-dt,c1,u1,张三", "nickname,lakeside-dt,c1,u2,李四", "nickname,lakeside-dt,c1,u3,Ann")
}

// night is an entry whose last tick was hours ago.
func night(path string) schedule.Entry {
	return schedule.Entry{Name: "night", Cron: "30 2 * * *", Zone: "Asia/Shanghai", Roster: path}
}

const nightID = "night@2026-03-01T18:30:00Z"

// now is the time of the Redis.
func (r *rig) now() time.Time {
	r.t.Helper()
	now, err := r.rdb.Time(r.t.Context()).Result()
	if err != nil {
		r.t.Fatal(err)
	}
	return now.UTC()
}

// due is an entry with a tick a day, whose last one was some time ago, to the minute, and
// is not decided. The result has its id too.
func (r *rig) due(ago time.Duration, path string) (e schedule.Entry, id string) {
	r.t.Helper()
	at := r.now().Add(-ago).Truncate(time.Minute)
	e = schedule.Entry{Name: "night", Cron: fmt.Sprintf("%d %d * * *", at.Minute(), at.Hour()), Zone: "UTC", Roster: path}
	r.decided(e, at.Add(-time.Second))
	return e, "night@" + at.Format(time.RFC3339)
}

// decided records an entry as one that workers ran until a time.
func (r *rig) decided(e schedule.Entry, until time.Time) {
	r.t.Helper()
	err := r.rdb.HSet(r.t.Context(), "rollcall:{schedule}:state:"+e.Name, "until", until.Unix(), "times", "CRON_TZ="+e.Zone+" "+e.Cron).Err()
	if err != nil {
		r.t.Fatal(err)
	}
}

// last waits until the last tick of an entry has a state, and returns it.
func (r *rig) last(name string, want schedule.State) schedule.Past {
	r.t.Helper()
	var last schedule.Past
	r.until("the last tick of "+name+" is "+string(want), func() bool {
		ticks := r.history(name)
		if len(ticks) == 0 {
			return false
		}
		last = ticks[len(ticks)-1]
		return last.State == want
	})
	return last
}

// ended waits for any tick of an entry that is done, and returns the newest. A busy machine
// may never catch up with an entry that has a tick a second.
func (r *rig) ended(name string) schedule.Past {
	r.t.Helper()
	var newest schedule.Past
	r.until("a tick of "+name+" is done", func() bool {
		for _, tick := range r.history(name) {
			if tick.State == schedule.Done {
				newest = tick
			}
		}
		return newest.ID != ""
	})
	return newest
}

// history returns the ticks of an entry, the newest last.
func (r *rig) history(name string) []schedule.Past {
	r.t.Helper()
	ticks, err := schedule.NewStore(r.rdb).History(r.t.Context(), name, 100)
	if _, none := errors.AsType[*schedule.NotFoundError](err); none {
		return nil
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return ticks
}
