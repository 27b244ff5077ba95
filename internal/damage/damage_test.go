package damage_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
	"rollcall/internal/damage"
	"rollcall/internal/hold"
	"rollcall/internal/ledger"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

func TestMain(m *testing.M) { redistest.Main(m) }

const (
	name  = "lakeside-dt.nickname"
	tag   = "rollcall:{lakeside/nickname}:"
	queue = "asynq:{" + name + "}:"
)

var lane = registry.Lane{Organisation: "lakeside", Tenant: "lakeside-dt", Kind: tasks.KindNickname, Address: "default"}

func TestEachKeyHasATextThatSaysWhatIsLost(t *testing.T) {
	t.Parallel()
	keys := append(damage.Keys(lane), ledger.RunKeys("lakeside", "nickname", ledger.RunName{Tenant: "t", Run: "r"}, 1)[0])
	keys = append(keys, damage.SharedKeys()...)
	for _, key := range []string{
		"rollcall:runs", "rollcall:runs:applied", "rollcall:rows:night", "rollcall:{run:r}:run", "rollcall:{run:r}:rows:0", "rollcall:{run:r}:plan:0",
		"rollcall:{run:r}:excluded", "asynq:{rollcall.runs}:pending", tag + "details:t/r:0", tag + "target:x", tag + "effects:x", tag + "edits:x", queue + "t:1", ledger.AttemptsKey("1"), registry.Key, hold.Key, ledger.DeadLanes,
	} {
		keys = append(keys, ledger.KeyType{Key: key})
	}
	for _, key := range keys {
		if lost := damage.Lost(ledger.Damage{Key: key.Key}); lost == "what it holds" {
			t.Errorf("%s has no text", key.Key)
		}
	}
}

// Each damage is found by the command, repaired, and then nothing is damaged.
func TestWhatIsDamagedIsFoundAndRepaired(t *testing.T) {
	t.Parallel()
	far := time.Now().AddDate(1, 0, 0)
	set := func(key string) func(*testing.T, redis.UniversalClient) error {
		return func(t *testing.T, rdb redis.UniversalClient) error {
			t.Helper()
			rdb.Del(t.Context(), key)
			return rdb.Set(t.Context(), key, "oops", 0).Err()
		}
	}
	for what, c := range map[string]struct {
		spoil func(*testing.T, redis.UniversalClient) error
		key   string
	}{
		"a list of asynq":        {set(queue + "retry"), queue + "retry"},
		"a task of asynq":        {set(queue + "t:task"), queue + "t:task"},
		"the attempts of a task": {set(ledger.AttemptsKey("task")), ledger.AttemptsKey("task")},
		"a target of a task":     {set(tag + "target:chat1/ann"), tag + "target:chat1/ann"},
		"another target":         {set(tag + "target:chat1/bob"), tag + "target:chat1/bob"},
		"a history of a target":  {set(tag + "effects:chat1/ann"), tag + "effects:chat1/ann"},
		"an entry of a target": {func(t *testing.T, rdb redis.UniversalClient) error {
			t.Helper()
			return rdb.HSet(t.Context(), tag+"target:chat1/ann", "n:nickname", "inf").Err()
		}, tag + "target:chat1/ann"},
		"the pace":                {set(pace.LaneKey("lakeside", name)), pace.LaneKey("lakeside", name)},
		"the pace of the address": {set(pace.AddressKey("default")), pace.AddressKey("default")},
		"a number of the pace": {func(t *testing.T, rdb redis.UniversalClient) error {
			t.Helper()
			return rdb.HSet(t.Context(), pace.LaneKey("lakeside", name), "seq", "1e300").Err()
		}, pace.LaneKey("lakeside", name)},
		"the count of a month": {func(t *testing.T, rdb redis.UniversalClient) error {
			t.Helper()
			return rdb.HSet(t.Context(), pace.MonthKey("lakeside"), "2026-03", "abc").Err()
		}, pace.MonthKey("lakeside")},
		"the quota": {func(t *testing.T, rdb redis.UniversalClient) error {
			t.Helper()
			return rdb.HSet(t.Context(), pace.MonthKey("lakeside"), "quota", "5000 ").Err()
		}, pace.MonthKey("lakeside")},
		"the time of a retry": {func(t *testing.T, rdb redis.UniversalClient) error {
			t.Helper()
			return rdb.ZAdd(t.Context(), queue+"retry", redis.Z{Score: float64(far.Unix()), Member: "x"}).Err()
		}, queue + "retry"},
		"a counter": {func(t *testing.T, rdb redis.UniversalClient) error {
			t.Helper()
			return rdb.Set(t.Context(), queue+"processed", "1e300", 0).Err()
		}, queue + "processed"},
		"the marker of a loss": {func(t *testing.T, rdb redis.UniversalClient) error {
			t.Helper()
			return rdb.HSet(t.Context(), damage.MemoryKey("lakeside"), "a", "b").Err()
		}, damage.MemoryKey("lakeside")},
		"the index of the dead letters": {set("rollcall:{" + name + "}:dead:times"), "rollcall:{" + name + "}:dead:times"},
		"the list of lanes":             {set(registry.Key), registry.Key},
		"a lane in the list": {func(t *testing.T, rdb redis.UniversalClient) error {
			t.Helper()
			return rdb.HSet(t.Context(), registry.Key, name, `{"organisation":"lak`).Err()
		}, registry.Key},
		"a lane that was published in a year": {func(t *testing.T, rdb redis.UniversalClient) error {
			t.Helper()
			return rdb.HSet(t.Context(), registry.Key, name,
				`{"organisation":"lakeside","tenant":"lakeside-dt","kind":"nickname","seen":"`+far.Format(time.RFC3339)+`"}`).Err()
		}, registry.Key},
		"a hold": {func(t *testing.T, rdb redis.UniversalClient) error {
			t.Helper()
			return rdb.HSet(t.Context(), hold.Key, "lane:x/operator", `{"cl`).Err()
		}, hold.Key},
		"the lanes with dead letters": {set(ledger.DeadLanes), ledger.DeadLanes},
		"what to do by cause":         {set("rollcall:{" + name + "}:dead:todos"), "rollcall:{" + name + "}:dead:todos"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			redistest.Either(t, func(t *testing.T, s *redistest.Server) {
				rdb := s.Client(t)
				record := ledger.New(rdb)
				seed(t, rdb, record)
				find := func() []ledger.Damage {
					t.Helper()
					shared, err := damage.Shared(t.Context(), rdb)
					if err != nil {
						t.Fatal(err)
					}
					found, err := damage.Find(t.Context(), rdb, record, lane, true)
					if err != nil {
						t.Fatal(err)
					}
					return append(shared, found...)
				}
				if found := find(); len(found) != 0 {
					t.Fatalf("before: %v", found)
				}
				if err := c.spoil(t, rdb); err != nil {
					t.Fatal(err)
				}
				found := find()
				if !slices.ContainsFunc(found, func(d ledger.Damage) bool { return d.Key == c.key }) {
					t.Fatalf("found: %v", found)
				}
				for _, d := range found {
					if _, err := record.Discard(t.Context(), d); err != nil {
						t.Errorf("%s: %v", d, err)
					}
				}
				if found := find(); len(found) != 0 {
					t.Errorf("at the end: %v", found)
				}
			})
		})
	}
}

// seed stores a task, and adds a dead letter.
func seed(t *testing.T, rdb redis.UniversalClient, record *ledger.Ledger) {
	t.Helper()
	target := ledger.Target{Organisation: "lakeside", API: "nickname", Key: "chat1/ann"}
	revised := record.Revise(t.Context(), ledger.Change{Target: target, TaskID: "task"})[0]
	if revised.Err != nil {
		t.Fatal(revised.Err)
	}
	err := record.Stored(t.Context(), ledger.Open{
		Change:   ledger.Change{Target: target, Fields: []ledger.Field{{Name: "nickname", Value: "A"}}, TaskID: "task"},
		Revision: revised.Revision, Queue: name, Type: "t", Payload: []byte(`{}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	rdb.HSet(t.Context(), backlog.Key(name, "t:task"), "state", "pending")
	bob := ledger.Target{Organisation: "lakeside", API: "nickname", Key: "chat1/bob"}
	lease, _, err := record.Begin(t.Context(), ledger.Delivery{TaskID: "done", Target: bob, Revision: revised.Revision, Fields: []ledger.Field{{Name: "nickname", Value: "B"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := lease.Settle(t.Context(), "req", false, nil); err != nil {
		t.Fatal(err)
	}
	_, err = record.AddDeadLetter(t.Context(), ledger.DeadLetter{
		ID: "dead", Lane: name, Tenant: "lakeside-dt", Kind: "nickname", Type: "t", Payload: []byte("{}"), Class: "rejected", First: time.Now(), Last: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOfKeyFindsKeysThatNothingLists(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		record := ledger.New(rdb)
		for key, kind := range map[string]string{
			queue + "t:1": "hash", ledger.AttemptsKey("1"): "hash", tag + "run:lakeside-dt/night": "string", tag + "run:lakeside-dt/night:1": "string",
			tag + "details:lakeside-dt/night:0": "list", "rollcall:rows:night": "string", ledger.CauseIndex(name) + "rejected|60124": "zset",
		} {
			if err := rdb.SAdd(t.Context(), key, "x").Err(); err != nil {
				t.Fatal(err)
			}
			found, err := damage.OfKey(t.Context(), record, lane, key)
			if err != nil || len(found) != 1 || !strings.HasSuffix(found[0].What, "not a "+kind) {
				t.Errorf("%s, a %s: %v, %v", key, kind, found, err)
			}
		}
		for _, key := range []string{"asynq:{other.nickname}:t:1", "foreign", tag + "run:other/night"} {
			rdb.ZAdd(t.Context(), key, redis.Z{Member: "x"})
			if found, err := damage.OfKey(t.Context(), record, lane, key); err != nil || len(found) != 0 {
				t.Errorf("%s: %v, %v", key, found, err)
			}
		}
	})
}

func TestTheCheckOfTheWorkersFindsTimesAndScoresThatCannotBe(t *testing.T) {
	t.Parallel()
	index := "rollcall:{" + name + "}:dead:times"
	for what, c := range map[string]struct{ key, cause string }{
		"the time of a retry":           {queue + "retry", "too far ahead"},
		"the index of the dead letters": {index, "wrong score"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			redistest.Either(t, func(t *testing.T, s *redistest.Server) {
				rdb := s.Client(t)
				seed(t, rdb, ledger.New(rdb))
				check := func() []ledger.Damage {
					t.Helper()
					found, err := damage.Check(t.Context(), rdb, []registry.Lane{lane})
					if err != nil {
						t.Fatal(err)
					}
					return found[0]
				}
				if found := check(); len(found) != 0 {
					t.Fatalf("before: %v", found)
				}
				far := float64(time.Now().AddDate(1, 0, 0).Unix())
				if err := rdb.ZAdd(t.Context(), c.key, redis.Z{Score: far, Member: "x"}).Err(); err != nil {
					t.Fatal(err)
				}
				if found := check(); len(found) != 1 || found[0].Key != c.key || !strings.Contains(found[0].What, c.cause) {
					t.Errorf("found: %v", found)
				}
			})
		})
	}
}
