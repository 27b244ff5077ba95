package main

import (
	"os"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/rogpeppe/go-internal/testscript"

	"rollcall/internal/redistest"
)

// notReached are the rights that the scripts below do not need, and the file that does.
var notReached = map[string]string{
	"wait":   "../../internal/ledger/once.go",    // where Redis has a replica
	"incrby": "../../internal/ledger/runs.go",    // by producers that log in as this user
	"zrank":  "../../internal/ledger/begin.lua",  // an edit behind another
	"ltrim":  "../../internal/ledger/settle.lua", // the eleventh effect of a target
}

// Every right of the user of docs/redis.md is used by a worker, the command rollcall or
// the web UI. Cluster and channels have tests of their own.
func TestNoRightIsGrantedThatIsNotUsed(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes: make test-long")
	}
	t.Parallel()
	d := redistest.Single(t)
	where := in(d)
	where.url = d.URL // also of the command rollcall
	for _, script := range []string{
		"rights/everything", "script/killed", "script/handed_on_id", "script/ambiguous_id", "script/unreadable", "script/malformed", "script/busy_twice",
		"script/stale_name", "script/goes_through",
	} {
		s := newScene(t, where)
		testscript.RunT(inTurn{t}, testscript.Params{Files: []string{"testdata/" + script + ".txtar"}, Setup: s.setUp, Cmds: commands()})
		d.Empty(t)
	}
	calls := d.Calls(t)
	for right := range strings.FieldsSeq(redistest.Rules) {
		name, command := strings.CutPrefix(right, "+")
		if !command || redistest.OfCluster(right) {
			continue
		}
		file, excused := notReached[name]
		if excused {
			content, err := os.ReadFile(file)
			if err != nil || !strings.Contains(strings.ToLower(string(content)), name) {
				t.Errorf("%s is granted for %s, which does not use it (%v)", right, file, err)
			}
		}
		if used := calls[name] > 0; used == excused {
			t.Errorf("%s is granted, and used %d times", right, calls[name])
		}
	}
}

// inTurn runs scripts one after the other: they share a Redis.
type inTurn struct{ *testing.T }

func (inTurn) Parallel() {}

func (t inTurn) Run(name string, run func(testscript.T)) {
	t.T.Run(name, func(t *testing.T) { run(inTurn{t}) })
}

func (inTurn) Verbose() bool { return testing.Verbose() }

// The users of docs/redis.md see nothing of other programs, on the same server.
func TestTheDocumentedUsersCannotLookAround(t *testing.T) {
	t.Parallel()
	d := redistest.Single(t)
	for name, options := range map[string]*redis.UniversalOptions{"worker": d.Options(), "producer": d.ProducerOptions()} {
		rdb := redis.NewUniversalClient(options)
		t.Cleanup(func() { _ = rdb.Close() })
		for _, command := range [][]any{
			{"SCAN", 0},
			{"RANDOMKEY"},
			{"DBSIZE"},
			{"KEYS", "*"},
			{"SELECT", 1},
			{"MOVE", "rollcall:lanes", 1},
			{"COPY", "rollcall:lanes", "rollcall:x", "DB", 1},
			{"SWAPDB", 0, 1},
			{"FLUSHDB"},
			{"FLUSHALL"},
			{"CONFIG", "GET", "*"},
			{"CLIENT", "LIST"},
			{"CLIENT", "KILL", "ID", 1},
			{"ACL", "LIST"},
			{"MONITOR"},
			{"SCRIPT", "FLUSH"},
			{"FUNCTION", "LIST"},
			{"PUBSUB", "CHANNELS"},
			{"PSUBSCRIBE", "*"},
			{"GET", "elsewhere"},
			{"SET", "elsewhere", 1},
			{"PUBLISH", "elsewhere", 1},
			{"SORT", "rollcall:lanes", "BY", "elsewhere*"},
			{"MIGRATE", "192.0.2.1", 1, "rollcall:lanes", 0, 1},
			{"REPLICAOF", "NO", "ONE"},
			{"SHUTDOWN"},
			{"DUMP", "rollcall:lanes"},
			{"RENAME", "rollcall:lanes", "rollcall:x"},
		} {
			if err := rdb.Do(t.Context(), command...).Err(); err == nil || !strings.Contains(err.Error(), "NOPERM") {
				t.Errorf("%s: %v: %v, want NOPERM", name, command, err)
			}
		}
		const inScript = `return redis.call('RANDOMKEY')`
		if err := rdb.Eval(t.Context(), inScript, nil).Err(); err == nil {
			t.Errorf("%s: RANDOMKEY within a script is allowed", name)
		}
	}
	producer := redis.NewUniversalClient(d.ProducerOptions())
	t.Cleanup(func() { _ = producer.Close() })
	for _, command := range [][]any{
		{"HGETALL", "rollcall:holds"},
		{"HSET", "rollcall:holds", "lane:x/operator", "{}"},
		{"HSET", "rollcall:lanes", "x", "{}"},
		{"HGETALL", "rollcall:{lakeside-dt.nickname}:dead:letters"},
		{"HGETALL", "rollcall:{lakeside}:spent"},
		{"HSET", "rollcall:{lakeside}:lane:x", "a", 1},
		{"XADD", "rollcall:events", "*", "a", 1},
		{"PUBLISH", "rollcall:holds", "x"},
		{"SUBSCRIBE", "rollcall:pace"},
		{"INFO"},
		{"ZADD", "asynq:{lakeside-dt.nickname}:archived", 1, "x"},
		{"GET", "asynq:{lakeside-dt.nickname}:paused"},
		{"DEL", "asynq:{lakeside-dt.nickname}:active"},
	} {
		if err := producer.Do(t.Context(), command...).Err(); err == nil || !strings.Contains(err.Error(), "NOPERM") {
			t.Errorf("producer: %v: %v, want NOPERM", command, err)
		}
	}
	if _, err := d.Denied(t.Context()); err != nil { // all of it is meant
		t.Fatal(err)
	}
}
