package ui_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"

	"rollcall/internal/access"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/run"
	"rollcall/internal/sandbox"
	"rollcall/tasks"
)

// nicks are the nicknames that were set last, by member.
func nicks(box *sandbox.Sandbox) map[string]string {
	all := map[string]string{}
	for _, e := range box.Effects() {
		for _, c := range e.Changes {
			if c.Field == "nick" {
				all[e.Target.User] = c.New
			}
		}
	}
	return all
}

// done uploads and applies a file, and waits for the end of its run.
func (b *browser) done(content string) run.Run {
	b.r.t.Helper()
	return b.applied(b.planned(content, "canary", "0").ID)
}

// applied applies a planned run, and waits for its end.
func (b *browser) applied(id string) run.Run {
	b.r.t.Helper()
	b.steer(id, "apply", "digest", b.r.plannedRun(id).Plan.Digest)
	return b.r.until(id, func(made run.Run) bool { return made.State == run.StateDone })
}

func (b *browser) chinese() *browser {
	other := *b
	other.lang = "zh-CN"
	return &other
}

func TestFailedRowsAreCorrectedAndSentAgain(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		box := r.school(5)
		b := r.as(access.Administrator)
		made := b.done(rows("u1,Ann", "u2,Bob", "u99,Eve"))
		path := "/runs/" + made.ID
		const advice = "correct the user id in the roster"
		page := b.get(path + "?outcome=failed")
		for _, text := range []string{"3 of 3 rows have ended", "1 row needs a correction", "u99", "Eve", advice, "code"} {
			if !strings.Contains(page.text("main"), text) {
				t.Errorf("the page lacks %q: %s", text, page.text("main"))
			}
		}
		if strings.Contains(page.text("rows"), "Bob") {
			t.Error("a row that was applied is among those that failed")
		}
		if page := b.chinese().get(path + "?outcome=failed"); !strings.Contains(page.text("main"), "更正花名册中的用户 ID") {
			t.Errorf("no advice in Chinese: %s", page.text("main"))
		}

		form := b.get(path + "/correct")
		if form.status != http.StatusOK || !strings.Contains(form.body, `value="u99"`) || strings.Contains(form.body, `value="Ann"`) {
			t.Fatalf("%d: %s", form.status, form.body)
		}
		wrong := b.steer(made.ID, "correct", "row", "3", "3.user_id", "u 3", "3.nickname", evil)
		if wrong.status != http.StatusUnprocessableEntity || !strings.Contains(wrong.text("main"), "1 row still has problems") ||
			!strings.Contains(wrong.text("main"), "user_id") || strings.Contains(wrong.body, "<script>alert") {
			t.Errorf("%d: %s", wrong.status, wrong.text("main"))
		}
		if p := b.steer(made.ID, "correct", "3.user_id", "u3"); p.status != http.StatusUnprocessableEntity || !strings.Contains(p.text("main"), "No row is ticked") {
			t.Errorf("without a row: %d %s", p.status, p.text("main"))
		}
		if list, err := r.runs.List(t.Context(), run.Filter{}); err != nil || len(list) != 1 {
			t.Fatalf("%d runs, %v", len(list), err)
		}
		sent := b.steer(made.ID, "correct", "row", "3", "3.user_id", "u3", "3.nickname", "Eve")
		again := r.plannedRun(sent.id(t))
		if again.Rows != 1 || again.Plan.Calls() != 1 || again.ID == made.ID {
			t.Fatalf("%+v", again)
		}
		b.applied(again.ID)
		if got := nicks(box)["u3"]; got != "Eve" {
			t.Errorf("u3 is %q", got)
		}
		if got := r.noted("run.corrected"); !slices.Equal(got, []string{"administrator: " + again.ID + ": rows of run " + made.ID}) {
			t.Errorf("events: %v", got)
		}
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			operator := r.as(access.Operator)
			var form url.Values
			if method == http.MethodPost {
				form = values("csrf", operator.token("/"))
			}
			if p := operator.do(method, path+"/correct", form, nil); p.status != http.StatusForbidden || !strings.Contains(p.text("main"), "Your role does not show them") {
				t.Errorf("%s of a user who may not see names: %d %s", method, p.status, p.text("main"))
			}
		}
	})
}

func TestARunIsTakenBackAfterAPreviewAndVerified(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		box := r.school(5)
		b := r.as(access.Administrator)
		first := b.done(rows("u1,Ann", "u2,Bob", "u3,Eve"))
		if p := b.steer(first.ID, "undo"); !strings.Contains(p.text(""), "Nothing can be taken back") || !strings.HasPrefix(p.path, "/runs/"+first.ID) {
			t.Errorf("names whose old values are not known: %s %s", p.path, p.text(""))
		}
		second := b.done(rows("u1,Anna", "u2,Bobby", "u3,Eva", "u4,Tim"))
		preview := b.steer(second.ID, "undo")
		undo := r.plannedRun(preview.id(t))
		if undo.UndoOf != second.ID || undo.Plan.Calls() != 3 || undo.State != run.StatePlanned {
			t.Fatalf("%+v", undo)
		}
		for _, text := range []string{"Undo of names.csv", "takes back " + second.ID, "Anna", "Ann", "3 calls"} {
			if page := b.get("/runs/" + undo.ID); !strings.Contains(page.text("main"), text) {
				t.Errorf("the preview lacks %q: %s", text, page.text("main"))
			}
		}
		if got := nicks(box)["u1"]; got != "Anna" {
			t.Errorf("the preview changed u1 to %q", got)
		}
		b.done(rows("u2,Robert")) // after the preview
		b.applied(undo.ID)
		page := b.get("/runs/" + undo.ID + "?show=undo")
		for _, text := range []string{"2 restored", "3 skipped", "4 restored", "5 impossible", "the old value is not known"} {
			if !strings.Contains(page.text("rows"), text) {
				t.Errorf("the verification lacks %q: %s", text, page.text("rows"))
			}
		}
		if page := b.get("/runs/" + undo.ID + "?show=undo&verdict=skipped"); strings.Contains(page.text("rows"), "Eve") || !strings.Contains(page.text("rows"), "Bob the target was changed since the plan") {
			t.Errorf("skipped: %s", page.text("rows"))
		}
		got := nicks(box)
		if got["u1"] != "Ann" || got["u2"] != "Robert" || got["u3"] != "Eve" || got["u4"] != "Tim" {
			t.Errorf("names: %v", got)
		}
	})
}

func TestThePagesOfAVerificationLeadBackToItsFirstRows(t *testing.T) {
	t.Parallel()
	const members = 61 // three pages
	r := newRig(t, redistest.One(t))
	r.school(members)
	b := r.as(access.Administrator)
	var lines strings.Builder
	lines.WriteString("tenant,chat_id,user_id,nickname,previous\n")
	for i := range members {
		fmt.Fprintf(&lines, "%s,chat1,u%d,Eve %d,Ann %d\n", tenant, i+1, i+1, i+1)
	}
	made := b.applied(b.planned(lines.String(), "canary", "0", "trust", "1", "allow", "allow-changes").ID)
	undo := r.plannedRun(b.steer(made.ID, "undo").id(t))
	first := b.get("/runs/" + undo.ID + "?show=undo")
	next := regexp.MustCompile(`href="([^"]+)">Next rows`).FindStringSubmatch(first.body)
	if next == nil {
		t.Fatalf("no second page: %s", first.text("rows"))
	}
	page := b.get(html.UnescapeString(next[1]))
	back := regexp.MustCompile(`href="([^"]+)">First rows`).FindStringSubmatch(page.body)
	if want := "/runs/" + undo.ID + "?show=undo#rows"; back == nil || back[1] != want {
		t.Errorf("the link to the first rows is %q, want %q", back, want)
	}
}

func TestResultsAreDownloadedInTheEncodingOfTheUpload(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.school(3)
		b := r.as(access.Administrator)
		content, err := simplifiedchinese.GB18030.NewEncoder().String(rows("u1,黄勇（班长）", "u99,李涛"))
		if err != nil {
			t.Fatal(err)
		}
		made := b.done(content)
		path := "/runs/" + made.ID + "/download"
		csv := b.get(path + "?format=csv")
		text, err := simplifiedchinese.GB18030.NewDecoder().String(csv.body)
		if err != nil || !strings.HasPrefix(text, "kind,tenant,") || !strings.Contains(text, "黄勇（班长）") || strings.Contains(csv.body, "黄勇") {
			t.Errorf("%v: %q", err, text)
		}
		if got := csv.header.Get("Content-Type"); got != "text/csv; charset=gb18030" {
			t.Errorf("Content-Type: %s", got)
		}
		failed := b.chinese().get(path + "?format=csv&outcome=failed")
		text, _ = simplifiedchinese.GB18030.NewDecoder().String(failed.body)
		if strings.Contains(text, "黄勇") || !strings.Contains(text, "结果：处理办法") || !strings.Contains(text, "更正花名册中的用户 ID") || !strings.Contains(text, "用户ID") {
			t.Errorf("failed rows in Chinese: %q", text)
		}
		// The file is read again as it is.
		again := b.planned(failed.body)
		if again.Rows != 1 || again.Plan.Calls() != 1 {
			t.Errorf("planned again: %+v", again.Plan.Counts)
		}
		for format, begins := range map[string]string{"xlsx": "PK", "ndjson": `{"kind":"nickname"`} {
			p := b.get(path + "?format=" + format)
			if p.status != http.StatusOK || !strings.HasPrefix(p.body, begins) || !strings.Contains(p.header.Get("Content-Disposition"), made.ID+"."+format) {
				t.Errorf("%s: %d %v %.40q", format, p.status, p.header, p.body)
			}
		}
		if p := r.as(access.Approver).get(path + "?format=csv"); p.status != http.StatusForbidden || !strings.Contains(p.text("main"), "Your role does not show them") {
			t.Errorf("a user who may not see names: %d %s", p.status, p.text("main"))
		}
		for _, wrong := range []string{"?format=exe", "", "?format=../csv"} {
			if p := b.get(path + wrong); p.status != http.StatusNotFound {
				t.Errorf("%q: %d", wrong, p.status)
			}
		}
		if got := r.noted("run.downloaded"); len(got) != 4 || got[0] != "administrator: "+made.ID+": csv" || got[1] != "administrator: "+made.ID+": csv failed" {
			t.Errorf("events: %v", got)
		}
	})
}

func TestARunInAnotherLanguageHasNoTextOfOurs(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	b := r.as(access.Administrator).chinese()
	made := b.planned(rows("u1,12345", "u2,李涛", "u2,x", "u3,王芳"))
	for _, text := range []string{"1 个新值看起来已损坏", "是数字或日期，不像姓名", "第 3 条（第 4 行）对同一对象要求另一个值", "提交审批", "批准后放行", "命令行参数"} {
		if page := b.get("/runs/" + made.ID); !strings.Contains(page.text("main"), text) {
			t.Errorf("the page lacks %q: %s", text, page.text("main"))
		}
	}
	b.steer(made.ID, "apply", "digest", made.Plan.Digest)
	if page := b.get("/runs/" + made.ID); !strings.Contains(page.text("main"), "1 个新值看起来已损坏") {
		t.Errorf("the reason is not in Chinese: %s", page.text("main"))
	}
}

func TestAPageOfALongRunCostsFewCommands(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		const most = 50
		r := newRig(t, s)
		var lines []string
		for i := range 9000 {
			lines = append(lines, "u"+strings.Repeat("x", i%3)+string(rune('a'+i%26))+strings.Repeat("y", i%7)+",n")
		}
		b := r.as(access.Administrator)
		for range 45 {
			if _, err := r.runs.Create(t.Context(), run.Draft{}); err != nil {
				t.Fatal(err)
			}
		}
		made := b.planned(rows(lines...))
		b.steer(made.ID, "apply", "digest", made.Plan.Digest)
		b.r.as(access.Administrator).steer(made.ID, "approve", "digest", made.Plan.Digest)
		// One failed row in each block of rows.
		keys := ledger.RunKeys(organisation, string(tasks.KindNickname), ledger.RunName{Tenant: tenant, Run: made.ID}, 9000)
		for number := 1; number <= 4000; number += 256 {
			if err := r.rdb.SetRange(t.Context(), keys[0].Key, int64(number), string([]byte{ledger.RowDead})).Err(); err != nil {
				t.Fatal(err)
			}
		}
		c := counter{new(atomic.Int64)}
		b = r.counted(c)
		for _, path := range []string{
			"/runs", "/runs?state=done", "/runs/new", "/runs/" + made.ID, "/runs/" + made.ID + "?show=plan&decision=conflict", "/runs/" + made.ID + "?show=plan&decision=look",
			"/runs/" + made.ID + "?show=results&outcome=failed", "/runs/" + made.ID + "?show=results&outcome=impossible", "/runs/" + made.ID + "?show=results&after=8000",
		} {
			c.n.Store(0)
			if p := b.get(path); p.status != http.StatusOK {
				t.Errorf("%s: %d", path, p.status)
			}
			n := c.n.Load()
			t.Logf("%s: %d commands", path, n)
			if n > int64(most) {
				t.Errorf("%s: %d commands", path, n)
			}
		}
	})
}
