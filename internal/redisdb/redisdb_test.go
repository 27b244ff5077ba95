package redisdb_test

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/quick"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"rollcall/internal/redisdb"
	"rollcall/internal/redistest"
)

func TestOpenReachesTheServerOfTheURL(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		ctx := t.Context()
		client, err := redisdb.Open("redis://" + s.Addr + "/3")
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if err := client.Set(ctx, "k", "in three", 0).Err(); err != nil {
			t.Fatal(err)
		}
		if got := s.Client(t).Exists(ctx, "k").Val(); got != 0 {
			t.Error("database 3 of the URL was not chosen: the key is in database 0")
		}
	})
}

func TestOpenAuthenticates(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	s.Mini.RequireUserAuth("roll", "s3/cr?t")
	client, err := redisdb.Open("redis://roll:s3%2Fcr%3Ft@" + s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Error(err)
	}
}

func TestOpenReachesAUnixSocket(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	path := filepath.Join(t.TempDir(), "redis.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", s.Addr)
			if err != nil {
				near.Close()
				return
			}
			go copyAndClose(near, far)
			go copyAndClose(far, near)
		}
	}()
	client, err := redisdb.Open("unix://" + path + "?db=2")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if !s.Mini.DB(2).Exists("k") {
		t.Error("the key is not in database 2 behind the socket")
	}
}

func TestOptionsCarryWhatTheURLSays(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ url, addr, user, tls string }{
		{"redis://", "localhost:6379", "", ""},
		{"redis://db.example", "db.example:6379", "", ""},
		{"redis://u:p@db.example:7000", "db.example:7000", "u", ""},
		{"rediss://db.example:7000", "db.example:7000", "", "db.example"},
		{"redis://[::1]:7000", "[::1]:7000", "", ""},
	} {
		o, err := redisdb.Config{URL: secretText(row.url)}.Options()
		if err != nil {
			t.Errorf("%s: %v", row.url, err)
			continue
		}
		got := []string{o.Addrs[0], o.Username, ""}
		if o.TLSConfig != nil {
			got[2] = o.TLSConfig.ServerName
		}
		if diff := cmp.Diff([]string{row.addr, row.user, row.tls}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.url, diff)
		}
	}
}

func TestAWrongAddressSaysWhatToWrite(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"":                              "it is empty",
		"localhost:6379":                "does not begin with redis://",
		"http://localhost":              "does not begin with redis://",
		"redis://h/one":                 `invalid database number: "one"`,
		"redis://h/?retries=3":          "unexpected option: retries",
		"redis://h/?pool_size=many":     "pool_size",
		"redis://:hunter2/x@h:6379/0":   "percent-encode",
		"redis://:123?hunter2@h:6379/0": "percent-encode",
		"redis://:12#hunter2@h:6379/0":  "percent-encode",
		"redis://h/0#1":                 "percent-encode",
		"redis://:hunter2%zz@h:6379/0":  "percent-encoded",
		"unix://":                       "empty unix socket path",
	} {
		client, err := redisdb.Open(address)
		if err == nil {
			client.Close()
			t.Errorf("%q: no error", address)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q does not say %q", address, err, want)
		}
	}
}

func TestNoErrorRepeatsThePassword(t *testing.T) {
	t.Parallel()
	check := func(before, after string, db uint8) bool {
		address := "redis://user:" + before + "hunter2" + after + "@127.0.0.1:6379/" + string(rune(db))
		client, err := redisdb.Open(address)
		if err == nil {
			client.Close()
			return true
		}
		return !strings.Contains(err.Error(), "hunter2")
	}
	if err := quick.Check(check, &quick.Config{MaxCount: 2000}); err != nil {
		t.Error(err)
	}
	for _, sep := range []string{"/", "?", "#", "@", ":", "%", "/?", "?/", "#/", "@/", "/@", "[", "]"} {
		if !check(sep, "", '0') || !check("", sep, '0') || !check("1"+sep, "", '0') || !check("1"+sep, sep+"x", 'x') {
			t.Errorf("a password with %s is repeated in the error", sep)
		}
	}
}

func TestAsynqWorksThroughAClientOfOurs(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		open := func() asynq.RedisConnOpt {
			client, err := redisdb.Open(s.URL())
			if err != nil {
				t.Fatal(err)
			}
			return redisdb.ConnOpt(client)
		}
		producer := asynq.NewClient(open())
		defer producer.Close()
		if _, err := producer.Enqueue(asynq.NewTask("a", nil), asynq.Queue("q")); err != nil {
			t.Fatal(err)
		}
		inspector := asynq.NewInspector(open())
		defer inspector.Close()
		info, err := inspector.GetQueueInfo("q")
		if err != nil {
			t.Fatal(err)
		}
		if info.Pending != 1 {
			t.Errorf("%d tasks pending, want 1", info.Pending)
		}
	})
}
