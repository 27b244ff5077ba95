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
	url := serve(t, redistest.Mini(t), monitor.Config{Users: []monitor.User{ann}, Log: log.Logger(), Observer: &counts}.At(still))
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
	if len(lines) != 2 || !strings.Contains(lines[0], "user=ann") || !strings.Contains(lines[0], "address=127.0.0.1:") || !strings.Contains(lines[0], "level=WARN") {
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
	url := serve(t, redistest.Mini(t), monitor.Config{Users: []monitor.User{ann}, Log: log.Logger()})
	ask(t, request{method: http.MethodGet, url: url + "/monitor/", user: monitor.User{Name: "correct horse", Password: ann.Password}})
	if text := log.String(); strings.Contains(text, "horse") || !strings.Contains(text, "user=unknown") {
		t.Errorf("logged: %s", text)
	}
}

func TestAnAddressThatGuessedRecoversAndOthersAreNotAffected(t *testing.T) {
	t.Parallel()
	var g monitor.Guesses
	now := time.Date(2026, 11, 29, 2, 0, 0, 0, time.UTC)
	right := func(remote string, at time.Time) string {
		ok, wait := g.Check(remote, at, true)
		return fmt.Sprint(ok, wait)
	}
	for i := range 7000 {
		g.Check("192.0.2.7:4711", now.Add(time.Duration(i)*time.Millisecond), false)
		g.Check(fmt.Sprintf("[2001:db8:1:2::%x]:80", i), now.Add(time.Duration(i)*time.Millisecond), false)
	}
	now = now.Add(7 * time.Second)
	for remote, want := range map[string]string{
		"192.0.2.7:5000": "false 3s", "[::ffff:192.0.2.7]:1": "false 3s", "[2001:db8:1:2:ffff::1]:1": "false 3s",
		"192.0.2.8:5000": "true 0s", "[2001:db8:1:3::1]:1": "true 0s",
	} {
		if got := right(remote, now); got != want {
			t.Errorf("%s: %s, want %s", remote, got, want)
		}
	}
	if got := right("192.0.2.7:5000", now.Add(3*time.Second)); got != "true 0s" {
		t.Errorf("after the wait: %s", got)
	}
	if ok, _ := g.Check("192.0.2.7:5000", now.Add(3*time.Second), false); ok {
		t.Error("a wrong login is right")
	}
	if got := right("192.0.2.7:5000", now.Add(3*time.Second)); got == "true 0s" {
		t.Error("a second guess was answered after one interval")
	}
}

func TestGuessesOfManyAddressesNeedLittleMemoryAndShareOneCount(t *testing.T) {
	t.Parallel()
	var g monitor.Guesses
	now := time.Date(2026, 11, 29, 2, 0, 0, 0, time.UTC)
	answered := 0
	for i := range 20_000 {
		if _, wait := g.Check(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255), now, false); wait == 0 {
			answered++
		}
	}
	if n := g.Remembered(); n > 1025 || answered > 1024+10 {
		t.Errorf("%d addresses remembered, %d guesses answered", n, answered)
	}
	if ok, _ := g.Check("10.0.0.0:1", now, true); !ok {
		t.Error("an address with one wrong login may not log in")
	}
	if ok, _ := g.Check("192.0.2.1:1", now.Add(time.Minute), true); !ok || g.Remembered() > 1 {
		t.Errorf("after a minute: %t, %d addresses remembered", ok, g.Remembered())
	}
}

func TestChangesInTheWebUIAreRecordedWithTheirUser(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
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
	url := serve(t, redistest.Mini(t), monitor.Config{Users: []monitor.User{ann}, Level: new(slog.LevelVar), Log: log.Logger()})
	if status, body := ask(t, request{method: http.MethodPut, url: url + "/log/level", body: "debug", user: ann}); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	if lines := log.Lines("log level changed"); len(lines) != 1 || !strings.Contains(lines[0], "user=ann") {
		t.Errorf("logged:\n%s", strings.Join(lines, "\n"))
	}
}
