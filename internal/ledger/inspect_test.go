package ledger_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

// heard collects what a ledger reports as damaged.
type heard struct {
	mu     sync.Mutex
	damage []ledger.Damage
}

func listen(l *ledger.Ledger) *heard {
	h := &heard{}
	l.OnDamage(func(d ledger.Damage) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.damage = append(h.damage, d)
	})
	return h
}

func (h *heard) of(key string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range h.damage {
		if d.Key == key {
			return true
		}
	}
	return false
}

const (
	laneName  = "lakeside-dt.nickname"
	openTasks = "rollcall:{lakeside/nickname}:tasks"
	lateOf    = "rollcall:{lakeside/nickname}:late:lakeside-dt"
	deadIndex = "rollcall:{" + laneName + "}:dead:times"
	causes    = "rollcall:{" + laneName + "}:dead:causes"
)

// Each entry is found, repaired one by one, and then nothing is damaged.
func TestDamagedEntriesOfALaneAreFoundAndRepaired(t *testing.T) {
	t.Parallel()
	far := float64(time.Now().AddDate(1, 0, 0).Unix())
	for name, c := range map[string]struct {
		spoil func(t *testing.T, rdb redis.UniversalClient) error
		key   string
		after func(t *testing.T, rdb redis.UniversalClient, l *ledger.Ledger)
	}{
		"a record of a task": {func(t *testing.T, rdb redis.UniversalClient) error {
			t.Helper()
			return rdb.HSet(t.Context(), openTasks, "x", `{"target":"chat1/a`).Err()
		}, openTasks, nil},
		"a time that a value is sent again": {func(t *testing.T, rdb redis.UniversalClient) error {
			t.Helper()
			return rdb.ZAdd(t.Context(), lateOf, redis.Z{Score: far, Member: "chat1/ann"}).Err()
		}, lateOf, func(t *testing.T, rdb redis.UniversalClient, _ *ledger.Ledger) {
			t.Helper()
			if score := rdb.ZScore(t.Context(), lateOf, "chat1/ann").Val(); score == 0 || score >= far {
				t.Errorf("it is sent again at %.0f", score)
			}
		}},
		"a target that a person must confirm": {func(t *testing.T, rdb redis.UniversalClient) error {
			t.Helper()
			return rdb.Do(t.Context(), "ZADD", "rollcall:{lakeside/nickname}:doubts", "+inf", "ann").Err()
		}, "rollcall:{lakeside/nickname}:doubts", nil},
		"when a target was confirmed": {func(t *testing.T, rdb redis.UniversalClient) error {
			t.Helper()
			return rdb.ZAdd(t.Context(), "rollcall:{lakeside/nickname}:targets", redis.Z{Score: far, Member: "chat1/ann"}).Err()
		}, "rollcall:{lakeside/nickname}:targets", nil},
		"the time of a run": {func(t *testing.T, rdb redis.UniversalClient) error {
			t.Helper()
			return rdb.ZAdd(t.Context(), "rollcall:{lakeside/nickname}:runs", redis.Z{Score: 1e300, Member: "lakeside-dt/night"}).Err()
		}, "rollcall:{lakeside/nickname}:runs", nil},
		"the last change": {func(t *testing.T, rdb redis.UniversalClient) error {
			t.Helper()
			return rdb.Set(t.Context(), "rollcall:{lakeside/nickname}:changed", "abc", 0).Err()
		}, "rollcall:{lakeside/nickname}:changed", nil},
		"a dead letter": {func(t *testing.T, rdb redis.UniversalClient) error {
			t.Helper()
			return rdb.HSet(t.Context(), "rollcall:{"+laneName+"}:dead:letters", "dead", `{"id":"de`).Err()
		}, "rollcall:{" + laneName + "}:dead:letters", nil},
		"a member of the index": {func(t *testing.T, rdb redis.UniversalClient) error {
			t.Helper()
			member := rdb.ZRange(t.Context(), deadIndex, 0, 0).Val()[0]
			rdb.ZRem(t.Context(), deadIndex, member)
			return rdb.ZAdd(t.Context(), deadIndex, redis.Z{Member: member[:10]}).Err()
		}, deadIndex, wantOneDead},
		"a score of the index": {func(t *testing.T, rdb redis.UniversalClient) error {
			t.Helper()
			return rdb.ZAdd(t.Context(), deadIndex, redis.Z{Score: 1e300, Member: rdb.ZRange(t.Context(), deadIndex, 0, 0).Val()[0]}).Err()
		}, deadIndex, wantOneDead},
		"an index of one cause": {func(t *testing.T, rdb redis.UniversalClient) error {
			t.Helper()
			rdb.Del(t.Context(), causes+":rejected|41049")
			return rdb.Set(t.Context(), causes+":rejected|41049", "oops", 0).Err()
		}, deadIndex, wantOneDead},
		"a number of dead letters": {func(t *testing.T, rdb redis.UniversalClient) error {
			t.Helper()
			return rdb.HSet(t.Context(), causes, "rejected|41049", "abc").Err()
		}, deadIndex, wantOneDead},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				rdb := s.Client(t)
				l := ledger.New(rdb)
				add(t, l)
				inspect := func() []ledger.Damage {
					t.Helper()
					found, err := l.InspectLane(t.Context(), "lakeside", "nickname", laneName)
					if err != nil {
						t.Fatal(err)
					}
					return found
				}
				if found := inspect(); len(found) != 0 {
					t.Fatalf("before: %v", found)
				}
				if err := c.spoil(t, rdb); err != nil {
					t.Fatal(err)
				}
				found := inspect()
				if len(found) == 0 || found[0].Key != c.key {
					t.Fatalf("found %v, want %s", found, c.key)
				}
				for _, d := range found {
					if done, err := l.Discard(t.Context(), d); err != nil || !done {
						t.Errorf("%s: repaired %t, %v", d, done, err)
					}
				}
				// A repaired dead letter leaves its index, which is then made again.
				for _, d := range inspect() {
					if done, err := l.Discard(t.Context(), d); d.Rebuild == "" || err != nil || !done {
						t.Errorf("after the repair: %s: %t, %v", d, done, err)
					}
				}
				if found := inspect(); len(found) != 0 {
					t.Errorf("at the end: %v", found)
				}
				if c.after != nil {
					c.after(t, rdb, l)
				}
			})
		})
	}
}

// add adds a dead letter to the lane.
func add(t *testing.T, l *ledger.Ledger) {
	t.Helper()
	now := time.Now()
	_, err := l.AddDeadLetter(t.Context(), ledger.DeadLetter{
		ID: "dead", Lane: laneName, Tenant: "lakeside-dt", Kind: "nickname", Organisation: "lakeside", Type: "t", Payload: []byte("{}"),
		Class: "rejected", Code: "41049", Cause: "rejected", First: now, Last: now,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// wantOneDead checks that the dead letter is listed, by time and by its cause.
func wantOneDead(t *testing.T, _ redis.UniversalClient, l *ledger.Ledger) {
	t.Helper()
	for _, q := range []ledger.DeadLetterFilter{{Lane: laneName}, {Lane: laneName, ByCause: true, Class: "rejected", Code: "41049"}} {
		dead, _, err := l.DeadPage(t.Context(), q, "", 10)
		if err != nil || len(dead) != 1 || dead[0].ID != "dead" {
			t.Errorf("%+v: %+v, %v", q, dead, err)
		}
	}
	counts, err := l.DeadCauses(t.Context(), laneName)
	if err != nil || len(counts[laneName]) != 1 || counts[laneName][0].DeadLetters != 1 {
		t.Errorf("%v, %v", counts, err)
	}
}

func TestTheKeyOfARunOrAHistoryThatIsDamagedIsNamed(t *testing.T) {
	t.Parallel()
	const run, effects = "rollcall:{lakeside/nickname}:run:lakeside-dt/night", "rollcall:{lakeside/nickname}:effects:chat1/ann"
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		damage := listen(l)
		d := delivery(ann, revise(t, l, ann), nick("A"))
		d.Row = ledger.Row{Tenant: "lakeside-dt", Run: "night", Row: 1}
		lease, _, err := l.Begin(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		gate(t, lease)
		if err := rdb.HSet(t.Context(), run, "a", "b").Err(); err != nil {
			t.Fatal(err)
		}
		if err := lease.Settle(t.Context(), "req", false, nil); err == nil || !strings.Contains(err.Error(), run) {
			t.Errorf("settle with a damaged run: %v", err)
		}
		if _, _, err := l.Begin(t.Context(), d); err == nil || !strings.Contains(err.Error(), run) || !damage.of(run) {
			t.Errorf("begin with a damaged run: %v, reported %v", err, damage.damage)
		}
		rdb.Del(t.Context(), run)
		rdb.Del(t.Context(), effects)
		if err := rdb.Set(t.Context(), effects, "oops", 0).Err(); err != nil {
			t.Fatal(err)
		}
		lease = begin(t, l, ann, revise(t, l, ann), nick("B"))
		gate(t, lease)
		if err := lease.Settle(t.Context(), "req", false, nil); err == nil || !damage.of(effects) {
			t.Errorf("settle with a damaged history: %v, reported %v", err, damage.damage)
		}
	})
}

func TestADamagedLockOrIntentHoldsItsTargetAlone(t *testing.T) {
	t.Parallel()
	person := ledger.Target{Organisation: "lakeside", API: "id", Key: "u1"}
	const key = "rollcall:{lakeside/id}:target:u1"
	once := []ledger.Field{{Name: "id", Value: "zhangsan", Mode: ledger.Once}}
	for entry, value := range map[string]string{"l:id": "soon applied", "i:id": "2 17"} {
		redistest.Each(t, func(t *testing.T, s *redistest.Server) {
			rdb := s.Client(t)
			l := ledger.New(rdb)
			rev := revise(t, l, person)
			spoilt := map[string]any{entry: value}
			if entry == "i:id" {
				spoilt["d:id"] = rev
			}
			if err := rdb.HSet(t.Context(), key, spoilt).Err(); err != nil {
				t.Fatal(err)
			}
			_, _, err := l.Begin(t.Context(), delivery(person, rev, once))
			if err == nil || !strings.Contains(err.Error(), entry) || strings.Contains(err.Error(), "zhangsan") {
				t.Errorf("%s=%q: %v", entry, value, err)
			}
			found, err := l.Inspect(t.Context(), person)
			if err != nil || len(found) != 1 {
				t.Fatalf("%v, %v", found, err)
			}
			if done, err := l.Discard(t.Context(), found[0]); !done || err != nil {
				t.Errorf("repaired %t, %v", done, err)
			}
		})
	}
}

func TestARecordThatIsNoJSONIsReportedAndNotTakenForANewerVersion(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		damage := listen(l)
		if err := rdb.HSet(t.Context(), openTasks, "cut", `{"target":"ch`, "newer", `{"target":{"chat":"1"}}`).Err(); err != nil {
			t.Fatal(err)
		}
		open, _, err := l.OpenTasks(t.Context(), "lakeside", "nickname", 0, 10)
		if err != nil || len(open) != 2 {
			t.Fatalf("%+v, %v", open, err)
		}
		for _, task := range open {
			if task.Queue != "" || task.Damaged != (task.Change.TaskID == "cut") {
				t.Errorf("%+v", task)
			}
		}
		if len(damage.damage) != 1 || damage.damage[0].Entry != "cut" {
			t.Errorf("reported %+v", damage.damage)
		}
	})
}

func TestAResendThatIsFarAheadIsReportedAndSentSoon(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		damage := listen(l)
		if err := rdb.Do(t.Context(), "ZADD", "rollcall:{lakeside/nickname}:late:dt", "+inf", "chat1/ann").Err(); err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		wantDue(t, l, now, 1, 0)
		wantDue(t, l, now.Add(10*time.Minute), 1, 1)
		if len(damage.damage) != 1 {
			t.Errorf("reported %+v", damage.damage)
		}
	})
}

func TestADamagedIndexOfOneCauseIsNamed(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		damage := listen(l)
		key := causes + ":rejected|41049"
		if err := rdb.Set(t.Context(), key, "oops", 0).Err(); err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		_, err := l.AddDeadLetterOnce(t.Context(), ledger.DeadLetter{ID: "dead", Lane: laneName, Class: "rejected", Code: "41049", First: now, Last: now})
		if err == nil || !strings.Contains(err.Error(), key) || !damage.of(key) {
			t.Errorf("%v, reported %v", err, damage.damage)
		}
	})
}
