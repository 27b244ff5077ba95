package redisdb_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/hibiken/asynqmon"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/redisdb"
	"rollcall/internal/redistest"
)

func TestOneConstructorReachesEveryTopology(t *testing.T) {
	t.Parallel()
	redistest.EachTopology(t, func(t *testing.T, d *redistest.Deployment) {
		client, err := redisdb.Open(d.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		ctx := t.Context()
		// Enough keys that every node of a Cluster stores some.
		for key := range strings.FieldsSeq("a b c d e f g h i j k l") {
			if err := client.Set(ctx, "rollcall:{"+key+"}", key, 0).Err(); err != nil {
				t.Fatal(err)
			}
			if got := d.Client(t).Get(ctx, "rollcall:{"+key+"}").Val(); got != key {
				t.Errorf("another client reads %q, want %q", got, key)
			}
		}
		if d.Name == "single" {
			return
		}
		d.FailOver(t, "rollcall:{a}")
		// The client was idle while the master died: without relearn go-redis would use
		// the dead master for up to a minute.
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		if err := client.Set(ctx, "rollcall:{a}", "again", 0).Err(); err != nil {
			t.Errorf("the first write after the failover: %v", err)
		}
	})
}

func TestAServerThatTakesOverHasAnotherRunID(t *testing.T) {
	t.Parallel()
	redistest.EachTopology(t, func(t *testing.T, d *redistest.Deployment) {
		client := d.Client(t)
		before, err := redisdb.Servers(t.Context(), client)
		if want := map[string]int{"single": 1, "sentinel": 1, "cluster": 3}[d.Name]; len(before) != want || err != nil {
			t.Fatalf("Servers() = %q, %v, want %d", before, err, want)
		}
		if again, err := redisdb.Servers(t.Context(), client); !slices.Equal(before, again) || err != nil {
			t.Errorf("read again: %q, %v", again, err)
		}
		if d.Name == "single" {
			return
		}
		d.FailOver(t, "rollcall:{a}")
		eventually(t, func() bool {
			after, err := redisdb.Servers(t.Context(), client)
			return err == nil && len(after) == len(before) && !slices.Equal(before, after)
		})
	})
}

func TestTheEmbeddedServerHasNoRunID(t *testing.T) {
	t.Parallel()
	if ids, err := redisdb.Servers(t.Context(), redistest.Mini(t).Client(t)); len(ids) != 0 || err != nil {
		t.Errorf("Servers() = %q, %v", ids, err)
	}
}

func TestTLSIsVerifiedBothWays(t *testing.T) {
	t.Parallel()
	d, files := redistest.TLS(t)
	ping := func(c redisdb.Config) error {
		client, err := c.Open()
		if err != nil {
			return err
		}
		defer client.Close()
		return client.Ping(t.Context()).Err()
	}
	plain := "rediss://" + d.Options().Addrs[0] + "/0"
	full := redisdb.TLS{CA: files.CA, Cert: files.Cert, Key: files.Key, ServerName: redistest.ServerName}
	config := func(change func(*redisdb.TLS)) redisdb.Config {
		tls := full
		change(&tls)
		return redisdb.Config{URL: secretText(plain), Username: redistest.User, Password: secretText(redistest.Password), TLS: &tls}
	}
	if err := ping(config(func(*redisdb.TLS) {})); err != nil {
		t.Errorf("with all settings: %v", err)
	}
	if err := ping(redisdb.Config{URL: secretText(d.URL)}); err != nil {
		t.Errorf("with all settings in the URL: %v", err)
	}
	if err := ping(redisdb.Config{URL: secretText(strings.Replace(d.URL, "rediss:", "redis:", 1))}); err == nil || !strings.Contains(err.Error(), "begin the address with rediss") {
		t.Errorf("TLS options without TLS: %v", err)
	}
	withTLSAlone := config(func(*redisdb.TLS) {})
	withTLSAlone.URL = secretText(strings.Replace(plain, "rediss:", "redis:", 1))
	if err := ping(withTLSAlone); err != nil {
		t.Errorf("Config.TLS with a redis:// URL means TLS: %v", err)
	}
	for name, row := range map[string]struct {
		change func(*redisdb.TLS)
		want   string
	}{
		"an unknown authority":        {func(tls *redisdb.TLS) { tls.CA = "" }, "unknown authority"},
		"another name":                {func(tls *redisdb.TLS) { tls.ServerName = "elsewhere.example" }, "not elsewhere.example"},
		"the name that is dialled":    {func(tls *redisdb.TLS) { tls.ServerName = "" }, "127.0.0.1"},
		"no client certificate":       {func(tls *redisdb.TLS) { tls.Cert, tls.Key = "", "" }, ""},
		"a key without a certificate": {func(tls *redisdb.TLS) { tls.Cert = "" }, "cert and key belong together"},
		"a missing CA file":           {func(tls *redisdb.TLS) { tls.CA += "x" }, "redis: tls: ca: stat "},
		"an invalid CA file":          {func(tls *redisdb.TLS) { tls.CA = files.Key }, "contains no certificate in PEM form"},
		"an invalid key file":         {func(tls *redisdb.TLS) { tls.Key = files.CA }, "redis: tls: cert "},
	} {
		if err := ping(config(row.change)); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, row.want)
		}
	}
}

func TestSentinelAndClusterCanBeSetByFields(t *testing.T) {
	t.Parallel()
	redistest.EachTopology(t, func(t *testing.T, d *redistest.Deployment) {
		d.Set(t, redistest.User, "+client|getname") // of this test
		o := d.Options()
		config := redisdb.Config{Username: redistest.User, Password: secretText(redistest.Password), ClientName: "by-fields"}
		switch d.Name {
		case "sentinel":
			config.Sentinel = redisdb.Sentinel{Master: o.MasterName, Addresses: o.Addrs[:1], Password: secretText(redistest.SentinelPassword)}
		case "cluster":
			config.Cluster.Addresses = o.Addrs[:1] // the others are discovered
		default:
			config.URL = secretText("redis://unknown:wrong@" + o.Addrs[0])
		}
		client, err := config.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		for key := range strings.FieldsSeq("a b c d e f") {
			if err := client.Set(t.Context(), "rollcall:{"+key+"}", key, 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if got := client.Do(t.Context(), "client", "getname").Val(); got != "by-fields" {
			t.Errorf("the connection is called %v", got)
		}
	})
}

// asynq's server, scheduler, inspector and web UI use our clients as the ACL user. The
// end of the test fails if that user was refused anything.
func TestAsynqWorksOnEveryTopology(t *testing.T) {
	t.Parallel()
	redistest.EachTopology(t, func(t *testing.T, d *redistest.Deployment) {
		open := func() redis.UniversalClient {
			client, err := redisdb.Open(d.URL)
			if err != nil {
				t.Fatal(err)
			}
			return client
		}
		rdb := open()
		defer rdb.Close()
		// The queues have tags of their own, so they are on several nodes.
		queues := map[string]int{"a.nickname": 1, "b.nickname": 1, "c.group": 1, "d.id": 1}
		done := make(chan string, 100)
		server := asynq.NewServerFromRedisClient(rdb, asynq.Config{
			Queues: queues, TaskCheckInterval: 20 * time.Millisecond, DelayedTaskCheckInterval: 100 * time.Millisecond,
			RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return 0 }, LogLevel: asynq.FatalLevel,
		})
		err := server.Start(asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
			retried, _ := asynq.GetRetryCount(ctx)
			switch {
			case task.Type() == "dead":
				defer func() { done <- "dead" }()
				return asynq.SkipRetry
			case task.Type() == "retried" && retried == 0:
				return errors.New("once more")
			}
			done <- task.Type()
			return nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		scheduler := asynq.NewSchedulerFromRedisClient(rdb, &asynq.SchedulerOpts{LogLevel: asynq.FatalLevel})
		if _, err := scheduler.Register("@every 1s", asynq.NewTask("scheduled", nil), asynq.Queue("b.nickname")); err != nil {
			t.Fatal(err)
		}
		if err := scheduler.Start(); err != nil {
			t.Fatal(err)
		}
		producer := asynq.NewClientFromRedisClient(rdb)
		for queue := range queues {
			for _, task := range []string{"plain", "retried", "dead"} {
				if _, err := producer.Enqueue(asynq.NewTask(task, nil), asynq.Queue(queue), asynq.Retention(time.Hour)); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := producer.Enqueue(asynq.NewTask("later", nil), asynq.Queue(queue), asynq.ProcessIn(time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		counts := map[string]int{}
		for counts["scheduled"] < 1 || counts["plain"]+counts["retried"]+counts["dead"]+counts["later"] < 4*len(queues) {
			select {
			case what := <-done:
				counts[what]++
			case <-time.After(time.Minute):
				t.Fatalf("only %v were processed", counts)
			}
		}
		wantPages(t, redisdb.ConnOpt(open()), queues)
		scheduler.Shutdown()
		server.Shutdown()
		inspect(t, asynq.NewInspectorFromRedisClient(rdb), queues)
	})
}

// wantPages requests what the web UI's pages request.
func wantPages(t *testing.T, conn asynq.RedisConnOpt, queues map[string]int) {
	t.Helper()
	ui := asynqmon.New(asynqmon.Options{RootPath: "/monitor", RedisConnOpt: conn})
	defer ui.Close()
	paths := []string{"queues", "queue_stats", "servers", "scheduler_entries", "redis_info"}
	for queue := range queues {
		for _, state := range []string{"active", "pending", "scheduled", "retry", "archived", "completed"} {
			paths = append(paths, "queues/"+queue+"/"+state+"_tasks")
		}
	}
	for _, path := range paths {
		answer := httptest.NewRecorder()
		ui.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/monitor/api/"+path, nil))
		if answer.Code != http.StatusOK {
			t.Errorf("page %s: %d %s", path, answer.Code, answer.Body)
		}
	}
}

// inspect does what an operator may do with the queues.
func inspect(t *testing.T, inspector *asynq.Inspector, queues map[string]int) {
	t.Helper()
	for queue := range queues {
		_, runErr := inspector.RunAllArchivedTasks(queue)
		_, deleteErr := inspector.DeleteAllCompletedTasks(queue)
		_, archiveErr := inspector.ArchiveAllPendingTasks(queue)
		_, historyErr := inspector.History(queue, 3)
		err := errors.Join(runErr, deleteErr, archiveErr, historyErr,
			inspector.PauseQueue(queue), inspector.UnpauseQueue(queue), inspector.CancelProcessing("unknown"), inspector.DeleteQueue(queue, true))
		if err != nil {
			t.Errorf("queue %s: %v", queue, err)
		}
	}
}
