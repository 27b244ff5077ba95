package monitor_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"rollcall/internal/access"
	"rollcall/internal/demo"
	"rollcall/internal/monitor"
	"rollcall/internal/redisdb"
	"rollcall/internal/redistest"
	"rollcall/tasks"
)

// The worker processes a school with every kind of fault. Then everything that left the
// process is searched: it must contain no secret and, with masking on, no name of a
// person.
func TestNothingThatLeavesTheWorkerContainsASecretOrAName(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute: make test-long")
	}
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		requests := some(demo.Requests())
		w.enqueue(requests)
		w.work()

		secrets := append(w.seen.tokens(), redisPassword, wrongAppSecret, demo.AppSecret, demo.Secret, ann.Password.Reveal())
		if len(secrets) < 8 {
			t.Errorf("no token or signature was seen, only %d secrets: the scan is incomplete", len(secrets))
		}
		names := personal(requests)
		masked, open := w.pages(false), w.pages(true)
		masked["log"], open["log"] = w.log.String(), w.openLog.String()

		for where, text := range masked {
			for _, name := range append(names, "Raw Message", base64.StdEncoding.EncodeToString([]byte(rawMessage))) {
				if strings.Contains(text, name) {
					t.Errorf("%s names %q:\n%s", where, name, around(text, name))
				}
			}
		}
		for _, pages := range []map[string]string{masked, open} {
			for where, text := range pages {
				for _, word := range secrets {
					if strings.Contains(text, word) {
						t.Errorf("%s holds a secret:\n%s", where, around(text, word))
					}
				}
			}
		}
		// The same search finds names where they may be shown, which proves that it
		// works.
		all := strings.Join(values(open), "\n")
		for _, name := range names {
			if !strings.Contains(all, name) {
				t.Errorf("%q was not found even where it may be shown", name)
			}
		}
		w.expectStory(masked["log"])
		w.expectMetrics(masked["/metrics"])
	})
}

// pages returns every page and every answer of the web UI's API, by its path.
func (w *world) pages(personal bool) map[string]string {
	w.t.Helper()
	server, err := monitor.Config{
		Address: "127.0.0.1:0", Redis: redisdb.ConnOpt(w.client()), Users: []monitor.User{ann}, ShowPersonalData: personal,
		Login:   access.NewLogin(access.LoginConfig{Users: access.NewUsers(ann)}),
		Metrics: w.metrics.Handler(), Ready: monitor.NewReadiness(w.rdb).Check, Level: new(slog.LevelVar),
	}.Listen(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- server.Serve(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	}()
	base, pages := strings.TrimSuffix(server.URL(), "/monitor/"), map[string]string{}
	read := func(path string) string {
		_, body := ask(w.t, request{method: http.MethodGet, url: base + path, user: ann})
		pages[path] = body
		return body
	}
	for _, path := range []string{
		"/healthz", "/readyz", "/metrics", "/log/level", "/monitor/", "/monitor/api/queues", "/monitor/api/queue_stats",
		"/monitor/api/servers", "/monitor/api/scheduler_entries", "/monitor/api/redis_info",
	} {
		read(path)
	}
	var listed struct {
		Queues []struct {
			Queue string `json:"queue"`
		} `json:"queues"`
	}
	if err := json.Unmarshal([]byte(pages["/monitor/api/queues"]), &listed); err != nil || len(listed.Queues) < 5 {
		w.t.Fatalf("%d queues: %v", len(listed.Queues), err)
	}
	for _, q := range listed.Queues {
		for _, state := range []string{"active", "pending", "scheduled", "retry", "archived", "completed"} {
			var list struct {
				Tasks []struct {
					ID string `json:"id"`
				} `json:"tasks"`
			}
			path := "/monitor/api/queues/" + q.Queue
			if err := json.Unmarshal([]byte(read(path+"/"+state+"_tasks?size=1000")), &list); err != nil {
				w.t.Errorf("%s %s: %v", q.Queue, state, err)
			}
			for _, task := range list.Tasks {
				read(path + "/tasks/" + task.ID)
			}
		}
	}
	return pages
}

func (w *world) expectStory(log string) {
	w.t.Helper()
	for _, want := range []string{
		`"level":"DEBUG","msg":"done"`, `"level":"INFO","msg":"done"`, `"level":"WARN","msg":"will retry"`,
		`"level":"ERROR","msg":"dead letter"`, `"level":"ERROR","msg":"on hold: `, `"code":"60124"`, `"code":"incorrect.reserved"`,
		`"request_id":"`, `"lane":"lakeside-dingtalk.nickname"`, `"target":"c…1(16)"`, `"class":"malformed"`, `"class":"doubtful"`,
	} {
		if !strings.Contains(log, want) {
			w.t.Errorf("the log does not contain %s", want)
		}
	}
}

func (w *world) expectMetrics(text string) {
	w.t.Helper()
	for _, want := range []string{
		`rollcall_lane_held{class="refused",lane="withdrawn-dt.nickname"} 1`,
		`rollcall_lane_held{class="refused",lane="lakeside-dingtalk.nickname"} 0`,
		`rollcall_tasks_total{class="malformed",lane="lakeside-dingtalk.nickname",outcome="dead"} 4`,
		`rollcall_attempts_total{action="retry",class="doubtful",lane="lakeside-dingtalk.id"} 2`,
		`rollcall_queue_tasks{lane="withdrawn-dt.nickname",priority="normal",state="pending"} 1`,
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			w.t.Errorf("%s is not measured", want)
		}
	}
}

// some leaves out most requests without anything special.
func some(all []tasks.Request) []tasks.Request {
	var picked []tasks.Request
	for i, r := range all {
		if i < 35 || i == 100 || i == 149 || i >= 200 {
			picked = append(picked, r)
		}
	}
	return picked
}

// personal returns every name and ID in the requests, and in the other enqueued tasks.
func personal(requests []tasks.Request) []string {
	names := []string{"Somebody Refused", "Unknown Field", "Misplaced Group", "Foreign Type"}
	for _, r := range requests {
		switch t := r.Task.(type) {
		case tasks.NicknameSync:
			names = append(names, t.Nickname)
		case tasks.GroupUpdate:
			names = append(names, t.Name)
		case tasks.IDChange:
			names = append(append(names, t.DingTalkID), t.Alternatives...)
		}
	}
	for i, name := range names { // as they stand in JSON
		quoted, err := json.Marshal(name)
		if err != nil {
			panic(err) // not for a string
		}
		names[i] = strings.Trim(string(quoted), `"`)
	}
	return names
}

func around(text, word string) string {
	at := strings.Index(text, word)
	return text[max(0, at-200):min(len(text), at+200)]
}

func values(pages map[string]string) []string {
	var all []string
	for _, text := range pages {
		all = append(all, text)
	}
	return all
}
