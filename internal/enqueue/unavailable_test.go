package enqueue_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"rollcall/internal/redisdb"
	"rollcall/internal/redistest"
	"rollcall/tasks"
)

// A Redis that temporarily rejects writes or connections has stored nothing, and the
// error reports that.
func TestATaskIsNotStoredDuringATemporaryFaultAndTheErrorNamesIt(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ begin, end, want string }{
		"out of memory": {
			"config set maxmemory 1", "config set maxmemory 0",
			"Redis is out of memory: raise maxmemory, or delete data; nothing was stored for lakeside-dt.nickname, safe to retry",
		},
		"too few replicas":       {"config set min-replicas-to-write 1", "config set min-replicas-to-write 0", "Redis has too few replicas to take writes: "},
		"too many clients":       {"config set maxclients 1", "config set maxclients 10000", "Redis has too many clients: "},
		"a replica for a moment": {"replicaof 127.0.0.1 1", "replicaof no one", "Redis is read-only: it is a replica: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Real(t)
			serve(t, s)
			admin := s.Client(t)
			change := func(command string) {
				t.Helper()
				var words []any
				for word := range strings.FieldsSeq(command) {
					words = append(words, word)
				}
				if err := admin.Do(t.Context(), words...).Err(); err != nil {
					t.Fatal(err)
				}
			}
			change(row.begin)
			client := open(t, s.Addr)
			for _, key := range []string{"", "k1"} {
				result, err := client.Enqueue(t.Context(), nick("u1", "A"), tasks.Options{Key: key})
				if result.Outcome != tasks.NotStored || err == nil || !strings.HasPrefix(err.Error(), row.want) {
					t.Errorf("%v: %v, want %q", result.Outcome, err, row.want)
				}
			}
			change(row.end)
			wantPending(t, s, 0)
			if result, err := client.Enqueue(t.Context(), nick("u1", "A"), tasks.Options{Key: "k1"}); result.Outcome != tasks.Stored || err != nil {
				t.Errorf("after the fault: %v, %v", result.Outcome, err)
			}
		})
	}
}

// The connection for the task itself may be the one that exceeds the limit.
func TestATaskWithoutAConnectionBecauseOfTooManyClientsIsNotStored(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	serve(t, s)
	admin := s.Client(t)
	do := func(command ...any) {
		if err := admin.Do(t.Context(), command...).Err(); err != nil {
			t.Error(err)
		}
	}
	// While a revision is taken all connections end, and there is room for one: the
	// connection of the revision.
	f := &faults{marks: []string{"evalsha", "rollcall:", "chat1/u2"}, todo: []redistest.Fault{redistest.Pass}}
	proxy := redistest.NewProxy(t, s.Addr, func(request []byte) redistest.Fault {
		before := f.left()
		fault := f.judge(request)
		if before > f.left() {
			do("config", "set", "maxclients", "2")
			do("client", "kill", "type", "normal", "skipme", "yes")
		}
		return fault
	}, nil)
	client := openFor(t, proxy.Addr(), time.Second)
	if _, err := client.Enqueue(t.Context(), nick("u1", "A"), tasks.Options{}); err != nil {
		t.Fatal(err) // adds the queue to the list
	}
	result, err := client.Enqueue(t.Context(), nick("u2", "A"), tasks.Options{})
	failed, _ := errors.AsType[*tasks.StoreError](err)
	if fault, _ := redisdb.FaultOf(err); result.Outcome != tasks.NotStored || fault != redisdb.TooManyClients || failed.Step != "store it" {
		t.Errorf("%v: %#v", result.Outcome, failed)
	}
	do("config", "set", "maxclients", "10000")
	wantPending(t, s, 1)
}
