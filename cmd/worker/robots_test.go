package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/internal/config"
	"rollcall/internal/logtest"
	"rollcall/internal/night"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/internal/sandbox"
)

const (
	robotToken  = "token-of-the-robot"
	robotSecret = "SECof-the-robot"
)

const robotsConfig = `redis: {url: %q}
http: {listen: "off"}
webhooks: [{name: grades, url: %q, secret: {env: WHSEC}}]
robots:
  - {name: teachers, organisation: lakeside, webhook: {env: ROBOT}, secret: {env: ROBOT_SECRET}, schedules: [nightly]}
organisations:
  - name: lakeside
    quota: {messages: 2}
    tenants:
      - {name: lakeside-dt, dingtalk: {api: "http://127.0.0.1:1", oapi: "http://127.0.0.1:1", app_key: a, app_secret: {env: S}}}
schedules:
  - {name: nightly, cron: 37 2 * * *, source: {files: {path: roster.csv}, tenant: lakeside-dt}}
  - {name: other, cron: 37 2 * * *, source: {files: {path: roster.csv}, tenant: lakeside-dt}}
`

// written is a worker that makes calls of webhooks and robots, with what they receive.
type written struct {
	*worker

	box   *sandbox.Sandbox
	hooks atomic.Int64 // calls of the webhook
	log   *logtest.Buffer
}

func writes(t *testing.T, robotURL string) *written {
	t.Helper()
	w := &written{log: &logtest.Buffer{}}
	var err error
	w.box, err = sandbox.New(sandbox.Config{World: sandbox.World{Organisations: []sandbox.Organisation{
		{Name: "lakeside", Robots: []sandbox.Robot{{Name: "teachers", Token: robotToken, Secret: robotSecret}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.box.Close)
	platform := httptest.NewServer(w.box)
	t.Cleanup(platform.Close)
	hook := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		w.hooks.Add(1)
		rw.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(hook.Close)
	if robotURL == "" {
		robotURL = platform.URL
	}
	secrets := map[string]string{
		"S": "s", "WHSEC": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAAAAAAAAAAA=", "ROBOT_SECRET": robotSecret,
		"ROBOT": robotURL + "/robot/send?access_token=" + robotToken,
	}
	cfg, err := config.Parse("rollcall.yaml", fmt.Appendf(nil, robotsConfig, redistest.Mini(t).URL(), hook.URL),
		func(name string) string { return secrets[name] }, judgeNights, judgeRobots)
	if err != nil {
		t.Fatal(err)
	}
	w.worker, err = newWorker(t.Context(), cfg, slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})), new(slog.LevelVar))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.worker.hooks.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return w
}

// announce stores the calls of a report.
func (w *written) announced(t *testing.T, r night.Report) {
	t.Helper()
	if err := w.worker.hooks.Announce(t.Context(), nightEvent(r)); err != nil {
		t.Fatal(err)
	}
}

func (w *written) until(t *testing.T, what string, yes func() bool) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	late := time.After(patience)
	for !yes() {
		select {
		case <-ticker.C:
		case <-late:
			t.Fatalf("timed out: %s\n%s", what, w.log)
		}
	}
}

func (w *written) messages(t *testing.T) int64 {
	t.Helper()
	months, err := pace.ReadMonths(t.Context(), w.rdb, "lakeside")
	if err != nil {
		t.Fatal(err)
	}
	return months[0].Messages
}

func held(schedule string, day int, decide string) night.Report {
	return night.Report{
		Schedule: schedule, Tick: time.Date(2026, 11, day, 18, 37, 0, 0, time.UTC), State: night.StateHeld, Run: "r1", Tenants: []string{"lakeside-dt"},
		Rows: 240, Complete: true, Decide: []string{decide + ": 60 of 300 members are missing, such as 王芳"},
	}
}

func TestARobotWritesOneMessageANight(t *testing.T) {
	t.Parallel()
	w := writes(t, "")
	w.announced(t, held("other", 27, "shrunk")) // the robot is not for it
	w.announced(t, held("nightly", 27, "shrunk"))
	w.until(t, "the first night", func() bool { return len(w.box.Effects()) == 1 && w.hooks.Load() == 2 })
	message := w.box.Effects()[0].Changes[0].New
	if !strings.Contains(message, "需要决定：成员减少过多") || strings.Contains(message, "王芳") {
		t.Errorf("the message is %q", message)
	}

	// The same night is done, and the next one is held.
	done := held("nightly", 27, "shrunk")
	done.State, done.Decide = night.StateDone, nil
	w.announced(t, done)
	w.until(t, "the end of the first night", func() bool { return len(w.log.Lines("no second message of a night")) == 1 })
	w.announced(t, held("nightly", 28, "older"))
	w.until(t, "the second night", func() bool { return len(w.box.Effects()) == 2 })
	if n := w.messages(t); n != 2 {
		t.Errorf("%d messages are counted, want 2", n)
	}

	// The month has no more messages.
	w.announced(t, held("nightly", 29, "older"))
	w.until(t, "the third night", func() bool { return len(w.log.Lines("call of a webhook failed; it is repeated")) == 1 })
	if line := w.log.Lines("call of a webhook failed; it is repeated")[0]; !strings.Contains(line, "has sent its 2 messages of") || w.messages(t) != 2 || len(w.box.Effects()) != 2 {
		t.Errorf("%d messages are counted, %d were sent: %s", w.messages(t), len(w.box.Effects()), line)
	}
	w.wantNoSecret(t)
}

// A robot that cannot be reached delays no webhook; its message is sent later, and counted
// once.
func TestADeadRobotDelaysNothing(t *testing.T) {
	t.Parallel()
	w := writes(t, "http://"+free(t))
	for day := range 5 {
		w.announced(t, held("nightly", 20+day, "shrunk"))
	}
	w.until(t, "webhooks and robots", func() bool {
		return w.hooks.Load() == 5 && len(w.log.Lines("call of a webhook failed; it is repeated")) >= 2
	})
	w.until(t, "nothing is counted", func() bool { return w.messages(t) == 0 })
	w.wantNoSecret(t)
}

// A message whose answer is lost may be in the group: it is not repeated.
func TestAMessageWithAnUnknownOutcomeIsNotRepeated(t *testing.T) {
	t.Parallel()
	w := writes(t, "")
	if _, err := w.box.Arm(sandbox.Fault{API: sandbox.APIRobot, Kind: sandbox.FaultReset, Applied: true, At: 1}); err != nil {
		t.Fatal(err)
	}
	w.announced(t, held("nightly", 27, "shrunk"))
	w.until(t, "the message", func() bool { return len(w.log.Lines("call of a webhook given up")) == 1 })
	if n := w.messages(t); n != 1 || len(w.box.Effects()) != 1 {
		t.Errorf("%d messages are counted, %d were sent", n, len(w.box.Effects()))
	}
	w.wantNoSecret(t)
}

func (w *written) wantNoSecret(t *testing.T) {
	t.Helper()
	for _, secret := range []string{robotToken, robotSecret, "sign="} {
		if lines := w.log.Lines(secret); len(lines) > 0 {
			t.Errorf("the log has %q: %s", secret, lines[0])
		}
	}
}

// What is wrong with a robot is reported at its line, without its credentials.
func TestCheckJudgesRobots(t *testing.T) {
	t.Parallel()
	whole := map[string]string{"S": "s", "WHSEC": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAAAAAAAAAAA=", "ROBOT_SECRET": robotSecret}
	for _, c := range []struct{ url, old, new, want string }{
		{"https://oapi.dingtalk.com/robot/send?access_token=" + robotToken, "", "", ""},
		{"https://evil.example/robot/send?access_token=" + robotToken, "", "", "not at evil.example"},
		{"http://oapi.dingtalk.com/robot/send?access_token=" + robotToken, "", "", "use https"},
		{"https://oapi.dingtalk.com/robot/send?access_token=" + robotToken, "schedules: [nightly]", "schedules: [weekly]", "names weekly, which is no schedule"},
		{"https://oapi.dingtalk.com/robot/send?access_token=" + robotToken, "teachers, organisation: lakeside", "teachers, organisation: riverside", "which is no organisation of this file"},
	} {
		text := fmt.Sprintf(robotsConfig, "redis://127.0.0.1:6379", "https://hooks.example.edu/")
		if c.old != "" {
			text = strings.Replace(text, c.old, c.new, 1)
		}
		getenv := func(name string) string {
			if name == "ROBOT" {
				return c.url
			}
			return whole[name]
		}
		cfg, err := config.Parse("rollcall.yaml", []byte(text), getenv, judgeNights, judgeRobots)
		if c.want == "" {
			if err != nil {
				t.Fatal(err)
			}
			plan, _ := newPlan(cfg, testStart)
			var out strings.Builder
			plan.write(&out)
			if !strings.Contains(out.String(), "teachers: schedules nightly, in zh, at most 2 messages of lakeside per month\n") {
				t.Errorf("the plan is:\n%s", &out)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), robotToken) {
			t.Errorf("%s: %v, want %q", c.url, err, c.want)
		}
	}
}

// The event of a night is made again from its report.
func TestTheScheduleOfAnEventOfANightIsFound(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"night-nightly-1795977420-held": "nightly", "night-of-the-school-1795977420-done": "of-the-school", "night-1795977420-held": "", "run-r1-done-1": "", "night-": "",
	} {
		if got, ok := nightOfEvent(id); got != want || ok != (want != "") {
			t.Errorf("%s is of %q, %v", id, got, ok)
		}
	}
	if !slices.Contains(webhookNames(&config.Config{Robots: []config.Robot{{Name: "teachers"}}}), "robot/teachers") {
		t.Error("the metrics have no robots")
	}
}
