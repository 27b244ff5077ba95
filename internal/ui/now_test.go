package ui_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/internal/access"
	"rollcall/internal/audit"
	holds "rollcall/internal/hold"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	"rollcall/internal/run"
	"rollcall/tasks"
)

// hold puts the tenant on hold because its credentials are refused.
func hold(t *testing.T, r *rig, reason string) holds.Hold {
	t.Helper()
	now := time.Now()
	h, _, err := holds.NewStore(r.rdb).Put(t.Context(), holds.Hold{
		Scope: holds.Scope{Level: holds.Tenant, Name: tenant}, Class: holds.Refused, Probe: holds.ByToken, Reason: reason, By: "worker-1",
		Since: now.Add(-time.Hour), Next: now.Add(10 * time.Minute),
		Seen: holds.Seen{Host: "oapi.dingtalk.com", Status: 200, Code: "40089", First: now.Add(-time.Hour), Last: now, Count: 3},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.state.Refresh()
	return h
}

// sentence returns the first sentence and its alarms, in a language.
func (b *browser) sentence() string {
	p := b.get("/")
	return p.text("sentence") + " | " + p.text("others")
}

func wantWords(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%q lacks %q", text, word)
		}
	}
}

func TestTheSentenceNamesWhatIsWrongAndWhatToDo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil  func(t *testing.T, r *rig)
		en, zh []string
	}{
		"nothing": {
			func(*testing.T, *rig) {},
			[]string{"All 2 lanes work."},
			[]string{"全部 2 条通道工作正常"},
		},
		"credentials are refused": {
			func(t *testing.T, r *rig) {
				hold(t, r, "app secret refused (40089) · to do: check the app key and the app secret in the developer console")
			},
			[]string{"Tenant lakeside-dt has been on hold since", "app secret refused (40089)", "Next probe", "Check the app key", "then probe"},
			[]string{"租户 lakeside-dt 自", "凭据或权限被拒绝（40089）", "下次探测", "在开发者后台核对 AppKey"},
		},
		"the month is spent": {
			func(t *testing.T, r *rig) {
				_, _, err := holds.NewStore(r.rdb).Put(t.Context(), holds.Hold{
					Scope: holds.Scope{Level: holds.Tenant, Name: tenant}, Class: holds.Quota, Reason: "all of the month's 5000 calls are spent", By: "w",
					Until: time.Now().Add(30 * time.Hour),
				})
				if err != nil {
					t.Fatal(err)
				}
			},
			[]string{"5000 calls are spent", "It ends at", "Buy more calls"},
			[]string{"调用量已用完", "将于", "购买更多调用量"},
		},
		"the platform is down": {
			func(t *testing.T, r *rig) {
				_, _, err := holds.NewStore(r.rdb).Put(t.Context(), holds.Hold{
					Scope: holds.Scope{Level: holds.Lane, Name: lane}, Class: holds.Failing, Probe: holds.ByTask, Reason: "the platform fails", By: "w",
				})
				if err != nil {
					t.Fatal(err)
				}
			},
			[]string{lane + " has been on hold since", "the platform fails", "workers probe by themselves"},
			[]string{"平台故障", "worker 会自动探测"},
		},
		"no worker": {
			func(_ *testing.T, r *rig) { r.beat("host-a", 1, time.Now().Add(-5*time.Minute)) },
			[]string{"No worker has run since", "Start a worker"},
			[]string{"没有 worker 在运行", "请启动 worker"},
		},
		"one of two workers died": {
			func(_ *testing.T, r *rig) { r.beat("host-b", 2, time.Now().Add(-25*time.Second)) },
			[]string{"Worker host-b/2 died at", "Other workers that run: 1", "Check its log"},
			[]string{"Worker host-b/2 于", "异常退出"},
		},
		"a run is held": {
			heldRun,
			[]string{"Run night has been waiting for a decision since", "approve or reject"},
			[]string{"批次 night 自", "等待审批"},
		},
		"the lanes are published by no worker": {
			func(t *testing.T, r *rig) { r.rdb.Del(t.Context(), "rollcall:lanes") },
			[]string{"No worker has published a lane"},
			[]string{"没有 worker 发布通道"},
		},
		"asynq's pause button": {
			func(t *testing.T, r *rig) { r.rdb.Set(t.Context(), "asynq:{"+lane+"}:paused", 1, 0) },
			[]string{"pause button is set on a queue of " + lane},
			[]string{"已在 asynq 中暂停"},
		},
		"poison": {
			func(t *testing.T, r *rig) {
				r.rdb.SAdd(t.Context(), "rollcall:dead:lanes", lane)
				r.rdb.HSet(t.Context(), "rollcall:{"+lane+"}:dead:causes", "poison|", 2)
			},
			[]string{lane + ": workers died with tasks, which were given up: 2.", "Dead letters that wait for a person: 2."},
			[]string{"反复导致 worker 崩溃", "2 条死信"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, redistest.Mini(t))
			c.spoil(t, r)
			r.state.Refresh()
			b := r.as(access.Viewer)
			wantWords(t, b.sentence(), c.en...)
			b.lang = "zh-CN,zh;q=0.9,en;q=0.5"
			wantWords(t, b.sentence(), c.zh...)
		})
	}
}

// heldRun makes a run that a guard holds.
func heldRun(t *testing.T, r *rig) {
	t.Helper()
	made, err := r.runs.Create(t.Context(), run.Draft{Name: "night", Author: "cron", Guards: []run.Guard{{Name: "shrunk", What: "the roster shrank"}}})
	if err != nil {
		t.Fatal(err)
	}
	row := run.Row{Request: tasks.Request{Task: tasks.NicknameSync{Tenant: tenant, ChatID: "chat1", UserID: "u1", Nickname: "n"}}}
	if _, err := r.runs.Add(t.Context(), made.ID, 0, []run.Row{row}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.runs.Seal(t.Context(), made.ID, 1); err != nil {
		t.Fatal(err)
	}
	made, err = r.runs.Plan(t.Context(), made.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	if made, err = r.runs.Apply(t.Context(), made.ID, made.Plan.Digest, "cron"); err != nil || made.State != run.StateHeld {
		t.Fatalf("%s, %v", made.State, err)
	}
}

func TestTheWorstComesFirst(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.Mini(t))
	r.beat("host-b", 2, time.Now().Add(-25*time.Second))
	hold(t, r, "app secret refused")
	p := r.as(access.Viewer).get("/")
	wantWords(t, p.text("sentence"), "app secret refused")
	wantWords(t, p.text("others"), "host-b/2 died")
}

func TestANoteAboutAWorkerThatWasReplacedHidesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.Mini(t))
	r.beat("host-a", 2, time.Now().Add(-25*time.Second))
	b := r.as(access.Viewer)
	wantWords(t, b.get("/").text("sentence"), "All 2 lanes work.")
	heldRun(t, r)
	r.state.Refresh()
	p := b.get("/")
	wantWords(t, p.text("sentence"), "Run night has been waiting for a decision since")
	wantWords(t, p.text("others"), "host-a/2 died", "another one was started on its host")
}

func TestAFullOrUnavailableRedisIsTheSentence(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.Mini(t))
	b := r.as(access.Viewer)
	wantWords(t, b.sentence(), "All 2 lanes work.")
	r.redis.Mini.SetError("OOM command not allowed when used memory > 'maxmemory'.")
	r.state.Refresh()
	wantWords(t, b.sentence(), "Since", "Redis is full", "Raise maxmemory")
	if p := b.get("/"); !strings.Contains(p.text(""), lane) {
		t.Error("the lanes that were last read are not shown")
	}
	r.redis.Mini.SetError("")
	r.state.Refresh()
	wantWords(t, b.sentence(), "All 2 lanes work.")
}

func TestOperatorsHoldProbeAndRelease(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		b := r.as(access.Operator)
		if p := b.submit("/lanes/hold", "scope", lane, "reason", "wrong roster", "for", "2h"); p.path != "/" || !strings.Contains(p.text(""), lane+" is on hold. Running tasks finish") {
			t.Fatalf("%s: %s", p.path, p.text(""))
		}
		wantWords(t, b.sentence(), lane+" has been on hold since", "wrong roster", "It ends at")
		held := all(t, r)
		if len(held) != 1 || held[0].By != "operator" || held[0].Class != holds.Operator || held[0].Until.IsZero() {
			t.Fatalf("%+v", held)
		}
		if p := b.submit("/lanes/release", "hold", held[0].ID()); p.path != "/" || len(all(t, r)) != 0 {
			t.Fatalf("released: %s", p.text("main"))
		}
		wantWords(t, b.sentence(), "All 2 lanes work.")

		refused := hold(t, r, "app secret refused")
		if p := b.submit("/lanes/probe", "hold", refused.ID()); p.path != "/" {
			t.Fatalf("probed: %s", p.text("main"))
		}
		if now := all(t, r)[0]; now.Next.After(time.Now()) {
			t.Errorf("the probe is due at %s", now.Next)
		}
		if p := b.submit("/lanes/release", "hold", refused.ID()); p.path != "/" || len(all(t, r)) != 0 {
			t.Fatalf("released: %s", p.text("main"))
		}
		if p := b.submit("/lanes/release", "hold", refused.ID()); p.status != http.StatusConflict {
			t.Errorf("a hold that has ended: %d %s", p.status, p.text("main"))
		}
		events, err := audit.Read(t.Context(), r.rdb, 10)
		if err != nil {
			t.Fatal(err)
		}
		var seen []string
		for _, e := range events {
			if e.By == "operator" {
				seen = append(seen, e.Event)
			}
		}
		if got := strings.Join(seen, " "); got != "hold.entered hold.left hold.probe hold.left" {
			t.Errorf("events of the user: %s", got)
		}
	})
}

func all(t *testing.T, r *rig) []holds.Hold {
	t.Helper()
	store := holds.NewStore(r.rdb)
	if err := store.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	return store.All()
}

// Fifty open browsers get one rendering, each with the token of its own session.
func TestARefreshedPageIsTheSameForAllWithTheirOwnTokens(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.Mini(t))
	refused := hold(t, r, "app secret refused")
	live := map[string]string{access.LiveHeader: "1"}
	one, two, viewer := r.as(access.Operator), r.as(access.Operator), r.as(access.Viewer)
	first, second := one.do(http.MethodGet, "/", nil, live), two.do(http.MethodGet, "/", nil, live)
	if a, b := csrfField.FindStringSubmatch(first.body), csrfField.FindStringSubmatch(second.body); a == nil || b == nil || a[1] == b[1] || a[1] != one.token("/") || b[1] != two.token("/") {
		t.Errorf("tokens %v and %v", a, b)
	}
	if strings.Contains(first.body, "<nav") || first.text("sentence") == "" || first.text("main") != second.text("main") {
		t.Errorf("a refreshed page: %s", first.body)
	}
	if p := viewer.do(http.MethodGet, "/", nil, live); strings.Contains(p.body, "/lanes/release") {
		t.Error("a viewer gets the buttons of an operator")
	}
	two.lang = "zh-CN"
	wantWords(t, two.do(http.MethodGet, "/", nil, live).text("sentence"), "租户")
	if p := one.submit("/lanes/release", "hold", refused.ID()); p.path != "/" {
		t.Fatal(p.text("main"))
	}
	wantWords(t, one.do(http.MethodGet, "/", nil, live).text("sentence"), "All 2 lanes work.")
}

func TestAHoldThatOnlyTheConfigurationEndsStays(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.Mini(t))
	h, _, err := holds.NewStore(r.rdb).Put(t.Context(), holds.Hold{
		Scope: holds.Scope{Level: holds.Organisation, Name: organisation}, Class: holds.Quota, Reason: "spent", By: "w", Until: time.Now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	b := r.as(access.Operator)
	if p := b.submit("/lanes/release", "hold", h.ID()); p.status != http.StatusUnprocessableEntity || len(all(t, r)) != 1 {
		t.Errorf("the quota of the configuration: %d %s", p.status, p.text("main"))
	}
	if err := pace.NoteMonthSpent(t.Context(), r.rdb, organisation); err != nil {
		t.Fatal(err)
	}
	if p := b.submit("/lanes/release", "hold", h.ID()); p.path != "/" || len(all(t, r)) != 0 {
		t.Errorf("the quota that the platform reported: %d %s", p.status, p.text("main"))
	}
}

func TestFormsOfHoldsAreChecked(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.Mini(t))
	b := r.as(access.Operator)
	for _, pairs := range [][]string{
		{"scope", "elsewhere.nickname", "reason", "x"},
		{"scope", "", "reason", "x"},
		{"scope", lane, "reason", " "},
		{"scope", lane, "reason", strings.Repeat("x", 600)},
		{"scope", lane, "reason", "x", "for", "soon"},
		{"scope", lane, "reason", "x", "for", "-2h"},
	} {
		if p := b.submit("/lanes/hold", pairs...); p.status != http.StatusUnprocessableEntity {
			t.Errorf("%v: %d", pairs, p.status)
		}
	}
	if n := len(all(t, r)); n != 0 {
		t.Errorf("%d holds", n)
	}
}

func TestThePageNowWithManyLanesCostsFewCommandsAndShowsThoseThatNeedAPerson(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.Mini(t))
	var lanes []registry.Lane
	for i := range 100 {
		name := fmt.Sprintf("school-%03d", i)
		for _, kind := range []tasks.Kind{tasks.KindNickname, tasks.KindGroup} {
			lanes = append(lanes, registry.Lane{Organisation: name, Tenant: name, Kind: kind})
		}
		l := pace.New(r.rdb, pace.Config{
			Organisation: name, Name: name + ".nickname", Limits: []pace.Limit{{Calls: 20, Per: time.Second}}, Metered: true,
			Quota: pace.Quota{Calls: 1000 + i},
		})
		if err := l.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
	if err := registry.Publish(t.Context(), r.rdb, lanes); err != nil {
		t.Fatal(err)
	}
	if err := pace.NoteMonthSpent(t.Context(), r.rdb, "school-077"); err != nil {
		t.Fatal(err)
	}
	c := counter{new(atomic.Int64)}
	b := r.counted(c)
	r.state.Refresh()
	c.n.Store(0)
	p := b.get("/")
	if n := c.n.Load(); p.status != http.StatusOK || n > 50 {
		t.Errorf("%d, %d commands", p.status, n)
	}
	main := p.text("main")
	wantWords(t, main, "Show all 202 lanes", "Show the calls of all 100 organisations", "Calls of school-077 in")
	if n := strings.Count(main, "Calls of school-"); n != 12 {
		t.Errorf("%d months", n)
	}
	if n := strings.Count(b.get("/?lanes=all").text("main"), "Calls of school-"); n != 100 {
		t.Errorf("%d of all months", n)
	}
	// A select of so many scopes is no use: one is typed.
	if p := b.submit("/lanes/hold", "scope", "tenant school-099", "reason", "test"); p.path != "/" || len(all(t, r)) != 1 {
		t.Errorf("a typed scope: %d %s", p.status, p.text("main"))
	}
}
