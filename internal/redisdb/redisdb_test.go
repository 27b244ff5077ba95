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
			t.Error("database 3 of the URL was not selected: the key is in database 0")
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

func TestOptionsContainTheSettingsOfTheURL(t *testing.T) {
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

func TestAListOfHostsIsParsed(t *testing.T) {
	t.Parallel()
	type wanted struct {
		Addrs                      []string
		Master                     string
		Cluster                    bool
		DB, Pool                   int
		User, Password             string
		SentinelUser, SentinelPass string
		TLS                        bool
		ServerName                 string
	}
	for url, want := range map[string]wanted{
		"redis+sentinel://h1:7000,h2/school": {Addrs: []string{"h1:7000", "h2:26379"}, Master: "school"},
		"redis+sentinel://u:p%2F,@h1,[::1]:7000/school/3?sentinel_username=s&sentinel_password=a%40b&pool_size=7": {
			Addrs: []string{"h1:26379", "[::1]:7000"}, Master: "school", DB: 3, Pool: 7,
			User: "u", Password: "p/,", SentinelUser: "s", SentinelPass: "a@b",
		},
		"rediss+sentinel://h1/my%20school/":                {Addrs: []string{"h1:26379"}, Master: "my school", TLS: true},
		"redis+cluster://h1":                               {Addrs: []string{"h1:6379"}, Cluster: true},
		"redis+cluster://:p@h1:7000,h2:7001/0":             {Addrs: []string{"h1:7000", "h2:7001"}, Cluster: true, Password: "p"},
		"rediss+cluster://h1,h2?tls_server_name=h.example": {Addrs: []string{"h1:6379", "h2:6379"}, Cluster: true, TLS: true, ServerName: "h.example"},
	} {
		o, err := redisdb.Config{URL: secretText(url)}.Options()
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		got := wanted{
			Addrs: o.Addrs, Master: o.MasterName, Cluster: o.IsClusterMode, DB: o.DB, Pool: o.PoolSize, User: o.Username, Password: o.Password,
			SentinelUser: o.SentinelUsername, SentinelPass: o.SentinelPassword, TLS: o.TLSConfig != nil,
		}
		if o.TLSConfig != nil {
			got.ServerName = o.TLSConfig.ServerName
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", url, diff)
		}
	}
}

func TestConflictingFieldsAreReportedWithAdvice(t *testing.T) {
	t.Parallel()
	nodes := []string{"h1:1"}
	for want, c := range map[string]redisdb.Config{
		"it is empty":                       {},
		"more than one of":                  {URL: secretText("redis://h"), Cluster: redisdb.Cluster{Addresses: nodes}},
		"keep the right one":                {Sentinel: redisdb.Sentinel{Master: "m", Addresses: nodes}, Cluster: redisdb.Cluster{Addresses: nodes}},
		"the master's name is missing":      {Sentinel: redisdb.Sentinel{Addresses: nodes}},
		"sentinel: there are no":            {Sentinel: redisdb.Sentinel{Master: "m"}},
		`cluster: address "h2" is not`:      {Cluster: redisdb.Cluster{Addresses: []string{"h1:1", "h2"}}},
		"cluster: an address contains an @": {Cluster: redisdb.Cluster{Addresses: []string{"redis://u:hunter2@h1:1"}}},
	} {
		_, err := c.Options()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
}

func TestAnInvalidAddressIsReportedWithTheRightForm(t *testing.T) {
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

		"redis+sentinel://h1,h2":                     "the master's name is missing",
		"redis+sentinel:///school":                   "is not host:port",
		"redis+sentinel://h1, h2/school":             "without spaces",
		"redis+sentinel://h1:x/school":               "is not host:port",
		"redis+sentinel://h1/school/one":             `invalid database number: "one"`,
		"redis+sentinel://:hunter2/x@h/school":       "percent-encode",
		"redis+sentinel://h/m?sentinel_password=a@b": "percent-encode",
		"redis+sentinel://h/m?master_name=school":    "unexpected option: master_name",
		"redis+cluster://h1,h2/1":                    "only database 0",
		"redis+cluster://h1?sentinel_password=x":     "belong to redis+sentinel://",
		"redis://h1?sentinel_password=x":             "belong to redis+sentinel://",
		"redis+cluster://h1?tls_ca=/ca.pem":          "begin the address with rediss",
		"redis+flock://h1":                           "does not begin with",
		"unix+cluster://h1":                          "does not begin with",
	} {
		client, err := redisdb.Open(address)
		if err == nil {
			client.Close()
			t.Errorf("%q: no error", address)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q does not contain %q", address, err, want)
		}
	}
}

func TestNoErrorRepeatsThePassword(t *testing.T) {
	t.Parallel()
	check := func(before, after string, db uint8) bool {
		for _, scheme := range []string{"redis://", "redis+cluster://h1,", "redis+sentinel://", "rediss+cluster://"} {
			for _, hosts := range []string{"127.0.0.1:6379/", "h1,h2:7/", "h1?sentinel_password=hunter2", "h1?sentinel_password=" + before + "hunter2"} {
				client, err := redisdb.Open(scheme + "user:" + before + "hunter2" + after + "@" + hosts + string(rune(db)))
				if err == nil {
					client.Close()
				} else if strings.Contains(err.Error(), "hunter2") {
					t.Log(err)
					return false
				}
			}
		}
		return true
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

func TestAsynqWorksWithOurClient(t *testing.T) {
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
