package ui_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"rollcall/internal/audit"
	"rollcall/internal/night"
	"rollcall/internal/redistest"
)

// schedule publishes schedules, as the worker that leads does.
func (o *office) schedule(names ...string) {
	o.t.Helper()
	for _, name := range names {
		text := `{"cron":"30 2 * * *","zone":"Asia/Shanghai","overlap":"queue","window":3600,"does":"roster /etc/rollcall/` + name + `.csv"}`
		if err := o.rdb.HSet(o.t.Context(), "rollcall:{schedule}:entries", name, text).Err(); err != nil {
			o.t.Fatal(err)
		}
	}
}

func TestSchedulesAreShownRunPausedAndResumed(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		o := newOffice(t, s)
		o.wants(o.get("viewer", "/schedules"), "There are no schedules.")
		o.schedule("nightly")
		body := o.get("operator", "/schedules")
		o.wants(body, "nightly", "roster /etc/rollcall/nightly.csv", "30 2 * * *", "Asia/Shanghai", "none yet", "No worker leads", "Run now", "Pause")
		zh := o.chinese("operator", "/schedules")
		o.wants(zh, "计划任务", "立即执行", "暂停", "尚未执行", "没有 worker 担任主导")
		wantTranslated(t, body)
		wantTranslated(t, zh)
		if err := o.rdb.Set(t.Context(), "rollcall:{schedule}:leader", "w", 0).Err(); err != nil {
			t.Fatal(err)
		}
		o.lacks(o.get("operator", "/schedules"), "No worker leads")

		if a := o.post("operator", "/schedules/nightly/pause", nil); a.status != http.StatusUnprocessableEntity {
			t.Errorf("paused without a reason: %d", a.status)
		}
		o.wants(o.after("operator", o.post("operator", "/schedules/nightly/pause", url.Values{"reason": {"holidays"}})), "nightly is paused.", "by operator: holidays")
		o.wants(o.get("operator", "/schedules"), "paused by operator: holidays", "Resume")
		o.wants(o.after("operator", o.post("operator", "/schedules/nightly/pause", url.Values{"reason": {"moving"}})), "the reason is replaced")
		o.wants(o.after("operator", o.post("operator", "/schedules/nightly/resume", nil)), "nightly is no longer paused.")
		o.wants(o.after("operator", o.post("operator", "/schedules/nightly/resume", nil)), "nightly was not paused.")
		o.wants(o.after("operator", o.post("operator", "/schedules/nightly/run", url.Values{"reason": {"the roster was corrected"}})),
			"is in the queue", "Started by operator: the roster was corrected", "waiting")
		for _, event := range []string{"schedule.paused", "schedule.resumed", "schedule.run"} {
			if e := o.events(event); len(e) == 0 || e[0].By != "operator" || e[0].Name != "nightly" {
				t.Errorf("%s: %+v", event, e)
			}
		}
		for _, target := range []string{"/schedules/nosuch/run", "/schedules/nosuch/resume"} {
			if a := o.post("operator", target, nil); a.status != http.StatusNotFound {
				t.Errorf("%s: %d", target, a.status)
			}
		}
		if a := o.do("viewer", http.MethodGet, "/schedules/nosuch", nil, nil); a.status != http.StatusNotFound {
			t.Errorf("a schedule that does not exist: %d", a.status)
		}
	})
}

func TestNightsOfAScheduleAreReported(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		o := newOffice(t, s)
		o.schedule("nightly")
		for i := range 12 {
			r := night.Report{
				Schedule: "nightly", Tick: time.Date(2026, 11, 1+i, 18, 30, 0, 0, time.UTC), State: night.StateDone, Run: fmt.Sprint("run-", i), Rows: 1200, Complete: true, Applied: 1000 + i,
			}
			if i == 11 {
				r.State, r.Decide = night.StateHeld, []string{"missing: 40 of 1200 members"}
				r.Failed = map[string]int{"rejected 40035": 3, "busy 500": 1, "panic": 1, "rejected 33012": 1, "unlisted 7": 1}
				r.Forecast = &night.Forecast{Organisation: "lakeside", Left: 5000, PerNight: 100, Nights: 50}
			}
			text, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			if err := o.rdb.HSet(t.Context(), "rollcall:{night:nightly}:reports", r.Tick.Format(time.RFC3339), text).Err(); err != nil {
				t.Fatal(err)
			}
		}
		body := o.get("viewer", "/schedules/nightly")
		o.wants(body, "2026-11-13 02:30:00", "waits for approval", "A person must decide: missing: 40 of 1200 members", "rows: 1,200", "applied: 1,011",
			"Failed: rejected 40035: 3, busy 500: 1, panic: 1, rejected 33012: 1, unlisted 7: 1",
			"Organisation lakeside has 5,000 calls left this month: about 50 nights.")
		wantTranslated(t, body)
		zh := o.chinese("viewer", "/schedules/nightly")
		wantTranslated(t, zh)
		o.wants(zh, "等待审批", "需要人工决定", "已生效 1,011", "夜间同步报告")
		if n := strings.Count(strings.Join(elements(t, body, "a", "href"), " "), "/runs/run-"); n != 10 {
			t.Errorf("%d nights, want the last 10", n)
		}
	})
}

func TestTheAuditLogIsReadByEventPersonAndPage(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		o := newOffice(t, s)
		o.wants(o.get("viewer", "/audit"), "No such events.")
		for i := range 120 {
			e := audit.Event{Event: "hold.left", Level: audit.Lane, Name: "lakeside-dt.nickname", Reason: fmt.Sprintf("reason-%03d", i), By: "worker-1"}
			if i%60 == 5 {
				e.Event, e.Class, e.By = "dead.replayed", "rejected", "Ann Lee"
				e.More = map[string]string{"count": "7", "first": "2026-11-27T02:00:00Z"}
			}
			if err := audit.Write(t.Context(), o.rdb, e); err != nil {
				t.Fatal(err)
			}
		}
		body := o.get("viewer", "/audit")
		o.wants(body, "hold ended", "worker-1", "reason-119")
		o.wants(o.chinese("viewer", "/audit"), "操作记录", "暂停结束")
		wantTranslated(t, body)
		wantTranslated(t, o.chinese("viewer", "/audit"))
		o.wants(o.chinese("viewer", "/audit?event=dead."), "被平台拒绝", "数量 7", "首次 2026-11-27 10:00:00")
		body = o.get("viewer", "/audit?event=dead.&by=ann")
		o.wants(body, "dead letters replayed", "Ann Lee", "reason-065", "reason-005", "count 7")
		o.lacks(body, "reason-119")
		o.wants(o.get("viewer", "/audit?about=reason-033"), "reason-033")
		rows, pages := 0, 0
		for page := "/audit"; page != ""; pages++ {
			body, next := o.get("viewer", page), ""
			rows += strings.Count(body, "reason-")
			for _, href := range elements(t, body, "a", "href") {
				if strings.Contains(href, "from=") {
					next = href
				}
			}
			page = next
		}
		if rows != 120 || pages != 3 {
			t.Errorf("%d events on %d pages, want 120 on 3", rows, pages)
		}
		if a := o.do("viewer", http.MethodGet, "/audit?from=+inf", nil, nil); a.status != http.StatusNotFound {
			t.Errorf("a cursor of somebody else: %d", a.status)
		}
	})
}
