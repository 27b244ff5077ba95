package browser_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/internal/demo"
	"rollcall/internal/manual"
	"rollcall/internal/sandbox"
	"rollcall/tasks"
)

// drill is a fault at night: what the page says about it, and what rings. The texts are those
// of the page, with … for what differs each time.
type drill struct {
	fault    string
	sentence string // in English
	todo     string
	chinese  string // part of the sentence and what to do
	alert    string
	scenario sandbox.Scenario
	// cause causes the fault in a scene whose worker runs, and returns when it did. browser is
	// of somebody who uploads files.
	cause func(s *scene, author *tab) time.Time
}

func drills() []drill {
	return []drill{
		{
			fault:    "credentials are revoked",
			sentence: "Tenant lakeside-dingtalk has been on hold since …: …invalidClientIdOrSecret…. Next probe …",
			todo:     "Check the app key and the app secret in the developer console. Replace the secret or grant the permission, then probe.",
			chinese:  "凭据或权限被拒绝（invalidClientIdOrSecret）。…然后探测。",
			alert:    "RollcallAccessRefused",
			cause: func(s *scene, _ *tab) time.Time {
				return s.strikes(sandbox.Fault{API: sandbox.APIToken, Kind: sandbox.FaultAnswer, Code: "invalidClientIdOrSecret"},
					sandbox.Fault{API: sandbox.APIGroupNick, Kind: sandbox.FaultExpiredToken})
			},
		},
		{
			fault:    "the platform is down",
			sentence: "lakeside-dingtalk.nickname has been on hold since …",
			todo:     "Nothing to do at first: workers probe by themselves. If it lasts, look at the platform's status page.",
			chinese:  "平台故障或没有响应。…请查看平台的状态页。",
			alert:    "RollcallLaneHeld",
			cause:    func(s *scene, _ *tab) time.Time { return s.strikes(sandbox.Fault{Kind: sandbox.FaultRefused}) },
		},
		{
			fault:    "the platform has banned our address",
			sentence: "… has been on hold since …. It ends at …",
			todo:     "Wait for its end. If it comes back, lower the configured limits.",
			chinese:  "被平台封禁或限流…请等待其结束。",
			alert:    "RollcallLaneHeld",
			cause:    func(s *scene, _ *tab) time.Time { return s.strikes(sandbox.Fault{Kind: sandbox.FaultBan}) },
		},
		{
			fault:    "the calls of the month are spent",
			sentence: "Organisation lakeside has been on hold since …. It ends at …",
			todo:     "Buy more calls, then release; or raise quota.calls in the configuration and reload; or wait.",
			chinese:  "机构 lakeside 自 …调用量已用完…购买更多调用量",
			alert:    "RollcallLaneHeld",
			scenario: sandbox.Scenario{Limits: &sandbox.Limits{MonthlyQuota: 3}},
			cause:    func(s *scene, _ *tab) time.Time { return s.strikes() },
		},
		{
			fault:    "Redis is full",
			sentence: "Since …: Redis is full and refuses writes: no task can be stored or sent.",
			todo:     "Raise maxmemory, or delete data of other programs. Never delete keys of rollcall.",
			chinese:  "Redis 内存已满，拒绝写入…请调大 maxmemory",
			alert:    "RollcallNotReady",
			cause: func(s *scene, _ *tab) time.Time {
				if err := s.rdb.ConfigSet(s.t.Context(), "maxmemory", "1mb").Err(); err != nil {
					s.t.Fatal(err)
				}
				return time.Now()
			},
		},
		{
			fault:    "Redis is lost",
			sentence: "Since …: Redis cannot be reached or does not answer.",
			todo:     "Check that Redis runs, its address and the network.",
			chinese:  "无法连接 Redis，或 Redis 没有响应。 请检查 Redis 是否运行",
			alert:    "RollcallNotReady",
			cause: func(s *scene, _ *tab) time.Time {
				at := time.Now()
				s.redis.Stop(s.t)
				return at
			},
		},
		{
			fault:    "a worker is dead",
			sentence: "Worker … died at …. Its tasks run again within a minute. Other workers that run: 1.",
			todo:     "Check its log and its service manager, and start it again.",
			chinese:  "异常退出。…请查看其日志和服务管理器，并重新启动。",
			alert:    "RollcallWorkerDead",
			cause: func(s *scene, _ *tab) time.Time {
				other := s.start()
				s.page = s.pages[0] // the page of the one that lives
				s.until("the other worker is listed", func() bool { return s.servers() > 1 })
				at := time.Now()
				other.Kill()
				return at
			},
		},
		{
			fault:    "a task kills its workers",
			sentence: "lakeside-dingtalk.nickname: workers died with tasks, which were given up: 1.",
			todo:     "Find the cause in the workers' logs, then replay one after another. Open",
			chinese:  "反复导致 worker 崩溃而被放弃…再逐条重放",
			alert:    "RollcallPoison",
			cause:    (*scene).poison,
		},
		{
			fault:    "a schedule missed its time",
			sentence: "Schedule courses missed its time at …: no worker began it within 1 min.",
			todo:     "Run it now, or wait until …. Open",
			chinese:  "计划任务 courses 错过了 …请立即执行，或等到",
			alert:    "RollcallScheduleFailed",
			cause:    (*scene).misses,
		},
		{
			fault:    "a run is held",
			sentence: "Run … has been waiting for a decision since …",
			todo:     "Look at its plan, then approve or reject it. Open",
			chinese:  "等待审批…请查看计划，然后批准或拒绝。",
			alert:    "RollcallRunHeld",
			cause: func(s *scene, author *tab) time.Time {
				author.uploads(s.write("spring.csv", "tenant,chat_id,user_id,nickname\nlakeside-dingtalk,chat7Af3929,u001,12345\n")) // it looks damaged
				at := time.Now()
				author.press("form[action$='/apply'] button", "Submit for approval")
				return at
			},
		},
	}
}

// strikes lets the worker send a name, arms faults, and enqueues the names of 24 people, which
// meet them.
func (s *scene) strikes(faults ...sandbox.Fault) time.Time {
	s.t.Helper()
	s.enqueue(nickname("u001", "7A before"))
	s.becomes("u001", "7A before")
	if _, err := s.platforms.Arm(faults...); err != nil {
		s.t.Fatal(err)
	}
	at := time.Now()
	chats := []string{"chat7Af3929", "chat7Bf3929", "chat8Af3929", "chat8Bf3929", "chat9Af3929", "chat9Bf3929"}
	for i := range 24 {
		s.enqueue(tasks.Request{Task: tasks.NicknameSync{
			Tenant: demo.DingTalk, ChatID: chats[i%len(chats)], UserID: fmt.Sprintf("u%03d", i+1), Nickname: fmt.Sprint("after ", i),
		}})
	}
	return at
}

// servers counts the workers that asynq lists.
func (s *scene) servers() int {
	listed, err := s.rdb.ZRange(s.t.Context(), "asynq:servers", 0, -1).Result()
	if err != nil {
		s.t.Fatal(err)
	}
	processes := map[string]bool{}
	for _, key := range listed { // asynq:servers:{host:pid:id}
		processes[strings.Join(strings.Split(key, ":")[2:4], ":")] = true
	}
	return len(processes)
}

// poison lets three workers die while a task runs.
func (s *scene) poison(*tab) (at time.Time) {
	s.t.Helper()
	if _, err := s.platforms.Arm(sandbox.Fault{API: sandbox.APIGroupNick, Kind: sandbox.FaultHang}); err != nil {
		s.t.Fatal(err)
	}
	s.enqueue(nickname("u001", "7A poison"))
	for death := range 3 {
		s.until("the task runs", func() bool {
			sent := 0
			for _, c := range s.platforms.Calls() {
				if c.API == sandbox.APIGroupNick {
					sent++
				}
			}
			return sent > death
		})
		at = time.Now()
		s.workers[death].Kill()
		s.start()
	}
	return at
}

// misses lets a schedule look as if no worker had run for eight days: its state in Redis says up
// to when its times were decided.
func (s *scene) misses(*tab) time.Time {
	s.t.Helper()
	const state = "rollcall:{schedule}:state:courses"
	s.until("the schedule is led", func() bool { return s.rdb.HExists(s.t.Context(), state, "until").Val() })
	s.workers[0].Kill()
	if err := s.rdb.HSet(s.t.Context(), state, "until", time.Now().AddDate(0, 0, -8).Unix()).Err(); err != nil {
		s.t.Fatal(err)
	}
	s.until("no leader", func() bool { return s.rdb.Exists(s.t.Context(), "rollcall:{schedule}:leader").Val() == 0 })
	at := time.Now()
	s.start()
	return at
}

// follows reports whether the parts of a pattern, which … separates, are in a text in this order.
func follows(text, pattern string) bool {
	for part := range strings.SplitSeq(pattern, "…") {
		_, after, found := strings.Cut(text, part)
		if !found {
			return false
		}
		text = after
	}
	return true
}

// The drills run one after another, because their times are measured: nothing depends on those.
func TestAtNightThePageSaysWhatIsWrongAndWhatToDoAndAnAlertRings(t *testing.T) { //nolint:paralleltest // see above
	chromium := browse(t)
	var times strings.Builder
	for _, d := range drills() {
		t.Run(d.fault, func(t *testing.T) { //nolint:paralleltest // see above
			s := newScene(t, d.scenario)
			author, viewer, alerts := s.tab(chromium, desktop).login(ann), s.tab(chromium, desktop).login(vic), s.watch()
			at := d.cause(s, author)
			if s.page != viewer.page {
				viewer = s.tab(chromium, desktop).login(vic)
			}
			if len(s.pages) > 1 {
				alerts = s.watch()
			}
			var got string
			viewer.retry("the sentence", func() string {
				var err error
				if got, err = evaluate[string](viewer, call("text", "#sentence")); err != nil || !follows(got, d.sentence+"…"+d.todo) {
					return fmt.Sprintf("%q, %v, want %q and %q", got, err, d.sentence, d.todo)
				}
				return ""
			})
			page := time.Since(at)
			if text := s.chinese(); !follows(text, d.chinese) {
				t.Errorf("in Chinese: %q, want %q", text, d.chinese)
			}
			s.rings(alerts, d.alert)
			line := fmt.Sprintf("%-36s page %5.1f s, alert %5.1f s\n", d.fault, page.Seconds(), time.Since(at).Seconds())
			times.WriteString(line)
			t.Logf("%s%s", line, got)
		})
	}
	t.Logf("from the fault to the sentence on the page, and to the condition of the alert:\n%s", times.String())
}

// The table in docs/operations.md is that of the drills.
func TestThePageOfOperationsListsTheFaults(t *testing.T) {
	t.Parallel()
	var rows [][]string
	for _, d := range drills() {
		todo := strings.TrimSuffix(d.todo, " Open")
		rows = append(rows, []string{d.fault, d.sentence, todo, fmt.Sprintf("[%s](runbook/%[1]s.md)", d.alert)})
	}
	table := manual.Table([]string{"fault", "sentence on the page", "next step", "alert and runbook"}, rows)
	manual.Parts(t, filepath.Join("..", "..", "docs", "operations.md"), map[string]string{"faults": table}, *update)
}
