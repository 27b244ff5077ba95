package redisdb_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/redisdb"
	"rollcall/internal/redistest"
)

// set configures a redis-server of this test.
func set(t *testing.T, rdb redis.UniversalClient, name, value string) {
	t.Helper()
	if err := rdb.Do(t.Context(), "config", "set", name, value).Err(); err != nil {
		t.Fatal(err)
	}
}

func wantFault(t *testing.T, err error, want redisdb.Fault) {
	t.Helper()
	if got, passing := redisdb.FaultOf(err); got != want || passing != (want != "") {
		t.Errorf("FaultOf(%v) = %q, %t, want %q", err, got, passing, want)
	}
}

func TestAFaultIsATemporaryError(t *testing.T) {
	t.Parallel()
	nobody := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	t.Cleanup(func() { _ = nobody.Close() })
	client := redistest.Mini(t).Client(t)
	for name, row := range map[string]struct {
		err  error
		want redisdb.Fault
	}{
		"nothing listens":   {nobody.Ping(t.Context()).Err(), redisdb.Unreachable},
		"cut off":           {fmt.Errorf("read: %w", io.EOF), redisdb.Unreachable},
		"no connection":     {redis.ErrPoolTimeout, redisdb.Unreachable},
		"a refused command": {client.Do(t.Context(), "GET").Err(), ""},
		"a defect":          {errors.New("no such lane"), ""},
		"nothing":           {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantFault(t, row.err, row.want)
		})
	}
}

func TestRepliesOfTemporaryStatesAreFaults(t *testing.T) {
	t.Parallel()
	for reply, want := range map[string]redisdb.Fault{
		"LOADING Redis is loading the dataset in memory":                                            redisdb.Loading,
		"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist":   redisdb.CannotPersist,
		"CLUSTERDOWN The cluster is down":                                                           redisdb.ClusterDown,
		"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.":          redisdb.ClusterDown,
		"TRYAGAIN Multiple keys request during rehashing of slot":                                   redisdb.ClusterDown,
		"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.":    redisdb.Busy,
		"OOM command not allowed when used memory > 'maxmemory'. script: 5f, on @user_script:1.":    redisdb.OutOfMemory,
		"ERR Error running script (call to f_5f): @user_script:1: @user_script: 1: -OOM command no": redisdb.OutOfMemory,
		"NOREPLICAS Not enough good replicas to write.":                                             redisdb.TooFewReplicas,
		"READONLY You can't write against a read only replica.":                                     redisdb.ReadOnly,
		"WRONGPASS invalid username-password pair or user is disabled.":                             "",
		"NOPERM User rollcall has no permissions to run the 'set' command":                          "",
		"WRONGTYPE Operation against a key holding the wrong kind of value":                         "",
		"ERR Error running script (call to f_5f): @user_script:1: OOM is a word of ours":            "",
	} {
		t.Run(reply, func(t *testing.T) {
			t.Parallel()
			s := redistest.Mini(t)
			client := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1})
			defer client.Close()
			if err := client.Ping(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			s.Mini.SetError(reply)
			wantFault(t, fmt.Errorf("store it: %w", client.Set(t.Context(), "k", "v", 0).Err()), want)
		})
	}
}

func TestARedisThatRejectsWritesIsReportedWithTheReason(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		begin, end [2]string
		want       redisdb.Fault
	}{
		"maxmemory is reached":     {[2]string{"maxmemory", "1"}, [2]string{"maxmemory", "0"}, redisdb.OutOfMemory},
		"replicas are missing":     {[2]string{"min-replicas-to-write", "1"}, [2]string{"min-replicas-to-write", "0"}, redisdb.TooFewReplicas},
		"it became a replica":      {[2]string{"replicaof", "127.0.0.1 1"}, [2]string{"replicaof", "no one"}, redisdb.ReadOnly},
		"a replica without master": {[2]string{"replica-serve-stale-data", "no"}, [2]string{"replica-serve-stale-data", "yes"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Real(t)
			admin := s.Client(t)
			change := func(to [2]string) {
				if to[0] != "replicaof" {
					set(t, admin, to[0], to[1])
					return
				}
				if err := admin.Do(t.Context(), append([]any{"replicaof"}, fields(to[1])...)...).Err(); err != nil {
					t.Fatal(err)
				}
			}
			options, err := redisdb.Config{URL: secretText(s.URL())}.Options()
			if err != nil {
				t.Fatal(err)
			}
			options.MaxRetries = -1
			client := redisdb.New(options)
			defer client.Close()
			memory := redisdb.NewMemory(client, "rollcall:memory")
			looks := func(want redisdb.Fault) {
				t.Helper()
				_, err := memory.Look(t.Context())
				wantFault(t, err, want)
				wantFault(t, redisdb.Writable(t.Context(), client, "rollcall:probe"), want)
				if want != "" && !strings.Contains(redisdb.Explain(err), want.String()) {
					t.Errorf("explanation: %q", redisdb.Explain(err))
				}
			}
			looks("")
			change(row.begin)
			looks(row.want)
			change(row.end)
			looks("")
			if n := admin.Exists(t.Context(), "rollcall:probe").Val(); n != 0 {
				t.Error("the check has created a key")
			}
		})
	}
}

func fields(text string) (all []any) {
	for word := range strings.FieldsSeq(text) {
		all = append(all, word)
	}
	return all
}

func TestTooManyClientsAreReportedAsSuch(t *testing.T) {
	t.Parallel()
	for name, user := range map[string]string{"no password": "", "a password": "someone:secret@"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Real(t)
			admin := s.Client(t)
			if err := admin.Do(t.Context(), "acl", "setuser", "someone", "on", ">secret", "~*", "&*", "+@all").Err(); err != nil {
				t.Fatal(err)
			}
			set(t, admin, "maxclients", "1")
			client, err := redisdb.Open("redis://" + user + s.Addr)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			for range 5 {
				err := client.Ping(t.Context()).Err()
				wantFault(t, err, redisdb.TooManyClients)
				if text := redisdb.Explain(err); !strings.HasPrefix(text, "Redis has too many clients: ") {
					t.Fatalf("%q", text)
				}
			}
			set(t, admin, "maxclients", "10")
			if err := client.Ping(t.Context()).Err(); err != nil {
				t.Errorf("when there is room again: %v", err)
			}
		})
	}
}

func TestAnExplanationNamesTheAddressAndTheCause(t *testing.T) {
	t.Parallel()
	client, err := redisdb.Open("redis://user:hidden@127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	text := redisdb.Explain(fmt.Errorf("look up the lane: %w", client.Ping(t.Context()).Err()))
	if want := "cannot reach Redis at 127.0.0.1:1: connection refused"; text != want {
		t.Errorf("%q, want %q", text, want)
	}
	if text := redisdb.Explain(errors.New("no such lane")); text != "no such lane" {
		t.Errorf("%q", text)
	}
}
