package monitor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"rollcall/internal/access"
	"rollcall/internal/logtest"
	"rollcall/internal/monitor"
	"rollcall/internal/redistest"
	"rollcall/internal/secret"
)

// refusals counts refused logins.
type refusals struct {
	mu     sync.Mutex
	counts map[bool]int // by whether the login was checked
}

func (r *refusals) LoginRefused(checked bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = map[bool]int{}
	}
	r.counts[checked]++
}

func (r *refusals) all() map[bool]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts
}

func TestWrongLoginsAreSlowedDownCountedAndLogged(t *testing.T) {
	t.Parallel()
	var log logtest.Buffer
	var counts refusals
	start := time.Now()
	still := func() time.Time { return start } // no guess is free again
	login := access.NewLogin(access.LoginConfig{Users: access.NewUsers(ann), Observer: &counts, Log: log.Logger(), Now: still})
	url := serve(t, redistest.One(t), monitor.Config{Users: []monitor.User{ann}, Login: login, Log: log.Logger()})
	page := request{method: http.MethodGet, url: url + "/monitor/"}
	for range 20 { // a browser that was not asked for a password yet
		if status, _ := ask(t, page); status != http.StatusUnauthorized {
			t.Fatalf("without a login: %d", status)
		}
	}
	var got []int
	for i := range 40 {
		page.user = monitor.User{Name: "ann", Password: secret.New(fmt.Sprint("guess ", i))}
		status, _ := ask(t, page)
		got = append(got, status)
	}
	for i, status := range got {
		want := http.StatusUnauthorized
		if i >= 10 {
			want = http.StatusTooManyRequests
		}
		if status != want {
			t.Fatalf("the %dth guess: %d, want %d (all: %v)", i+1, status, want, got)
		}
	}
	// The right one reveals nothing now, either.
	page.user = ann
	if status, body := ask(t, page); status != http.StatusTooManyRequests || !strings.Contains(body, "retry in") {
		t.Errorf("the right password after them: %d %s", status, body)
	}
	if diff := cmp.Diff(map[bool]int{true: 10, false: 31}, counts.all()); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
	lines := log.Lines("login at the web UI refused")
	if len(lines) != 2 || !strings.Contains(lines[0], "user=ann") || !strings.Contains(lines[0], "address=127.0.0.1") || !strings.Contains(lines[0], "level=WARN") {
		t.Errorf("logged:\n%s", strings.Join(lines, "\n"))
	}
	if strings.Contains(log.String(), "guess 0") {
		t.Error("a password is in the log")
	}
}

// Some people type their password as the name.
func TestTheLogNamesOnlyUsersThatExist(t *testing.T) {
	t.Parallel()
	var log logtest.Buffer
	url := serve(t, redistest.One(t), monitor.Config{Users: []monitor.User{ann}, Log: log.Logger()})
	ask(t, request{method: http.MethodGet, url: url + "/monitor/", user: monitor.User{Name: "correct horse", Password: ann.Password}})
	if text := log.String(); strings.Contains(text, "horse") || !strings.Contains(text, "user=unknown") {
		t.Errorf("logged: %s", text)
	}
}

func TestChangesInTheWebUIAreRecordedWithTheirUser(t *testing.T) {
	t.Parallel()
	s := redistest.One(t)
	put(t, s, "nickname:sync", `{"v":1}`, asynq.TaskID("night:7"))
	var log logtest.Buffer
	var mu sync.Mutex
	var audited []monitor.Write
	url := serve(t, s, monitor.Config{Users: []monitor.User{ann}, Writable: true, Log: log.Logger(), Audit: func(_ context.Context, did monitor.Write) error {
		mu.Lock()
		defer mu.Unlock()
		audited = append(audited, did)
		return errors.New("Redis is full")
	}})
	api := url + "/monitor/api/queues/" + queue
	for _, r := range []request{
		{method: http.MethodGet, url: api},
		{method: http.MethodPost, url: api + ":pause"},
		{method: http.MethodPost, url: api + ":resume"},
		{method: http.MethodPost, url: api + "/pending_tasks/night:7:archive"},
		{method: http.MethodPost, url: api + "/archived_tasks/night:7:run"},
		{method: http.MethodPost, url: api + "/pending_tasks:batch_archive", body: `{"task_ids":["night:7"]}`},
		{method: http.MethodDelete, url: api + "/archived_tasks/night:7"},
		{method: http.MethodDelete, url: api + "/pending_tasks:delete_all"},
		{method: http.MethodDelete, url: api + "/pending_tasks/nosuch"},
		{method: http.MethodDelete, url: api},
	} {
		r.user = ann
		ask(t, r)
	}
	mu.Lock()
	defer mu.Unlock()
	want := []monitor.Write{
		{User: "ann", Action: "pause", Queue: queue},
		{User: "ann", Action: "resume", Queue: queue},
		{User: "ann", Action: "archive", Queue: queue, What: "pending_tasks/night:7"},
		{User: "ann", Action: "run", Queue: queue, What: "archived_tasks/night:7"},
		{User: "ann", Action: "batch_archive", Queue: queue, What: "pending_tasks"},
		{User: "ann", Action: "delete", Queue: queue, What: "archived_tasks/night:7"},
		{User: "ann", Action: "delete_all", Queue: queue, What: "pending_tasks"},
		{User: "ann", Action: "delete", Queue: queue},
	}
	if diff := cmp.Diff(want, audited); diff != "" {
		t.Errorf("audited (-want +got):\n%s", diff)
	}
	if lines := log.Lines("changed in the web UI"); len(lines) != len(want) || !strings.Contains(lines[0], "user=ann") || !strings.Contains(lines[0], "action=pause") {
		t.Errorf("logged:\n%s", strings.Join(lines, "\n"))
	}
	if lines := log.Lines("change in the web UI failed"); len(lines) != 1 || !strings.Contains(lines[0], "pending_tasks/nosuch") {
		t.Errorf("the change that failed is logged as:\n%s\nof:\n%s", strings.Join(lines, "\n"), log.String())
	}
	if len(log.Lines("Redis is full")) != len(want) {
		t.Error("a change that could not be recorded is not logged")
	}
}

func TestAChangeOfTheLogLevelIsLoggedWithItsUser(t *testing.T) {
	t.Parallel()
	var log logtest.Buffer
	url := serve(t, redistest.One(t), monitor.Config{Users: []monitor.User{ann}, Level: new(slog.LevelVar), Log: log.Logger()})
	if status, body := ask(t, request{method: http.MethodPut, url: url + "/log/level", body: "debug", user: ann}); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	if lines := log.Lines("log level changed"); len(lines) != 1 || !strings.Contains(lines[0], "user=ann") {
		t.Errorf("logged:\n%s", strings.Join(lines, "\n"))
	}
}
