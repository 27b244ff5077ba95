package ui_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/access"
	"rollcall/internal/kinds"
	"rollcall/internal/redistest"
	"rollcall/internal/run"
	"rollcall/internal/table"
)

func TestAFileBecomesARunWithAPlan(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		b := r.as(access.Operator)
		p := b.upload(`C:\lists\names.csv`, "user_id,nickname\nu1,Annabelle Lee\nu2,王芳芳\n", "tenant", tenant, "chat", "chat1", "name", "class-7a", "canary", "0", "other", "1")
		made := r.plannedRun(p.id(t))
		want := run.Settings{Canary: -1, OtherApprover: true}
		if diff := cmp.Diff(want, made.Settings); diff != "" || made.Author != "operator" || made.Name != "class-7a" || made.Rows != 2 {
			t.Errorf("%+v: settings (-want +got):\n%s", made, diff)
		}
		if made.File != (run.File{Name: "names.csv", Encoding: "UTF-8"}) {
			t.Errorf("file: %+v", made.File)
		}
		page := b.get("/runs/" + made.ID)
		for _, text := range []string{"class-7a", "planned", "Look at the plan, then apply it: 2 calls", "names.csv", "chat1/", made.Plan.Digest[:8], "王**", "A…e(13)", "2 new"} {
			if !strings.Contains(page.text("main"), text) {
				t.Errorf("the page lacks %q: %s", text, page.text("main"))
			}
		}
		for _, name := range []string{"Annabelle", "王芳芳"} {
			if strings.Contains(page.body, name) {
				t.Errorf("an operator sees %s", name)
			}
			if admin := r.as(access.Administrator).get("/runs/" + made.ID); !strings.Contains(admin.body, name) {
				t.Errorf("an administrator does not see %s", name)
			}
		}
		if got := r.noted("run.uploaded"); !slices.Equal(got, []string{"operator: " + made.ID}) {
			t.Errorf("events of uploads: %v", got)
		}
		if got := r.noted("run.names"); !slices.Equal(got, []string{"administrator: " + made.ID}) {
			t.Errorf("events of names: %v", got)
		}
	})
}

// A newcomer begins with the file that the page offers, and changes its row.
func TestAnExampleOfTheFirstKindBecomesAPlan(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	b := r.as(access.Operator)
	form := b.get("/runs/new").body
	for _, k := range kinds.All() {
		if link := fmt.Sprintf(`href="/examples/%s"`, k.Name); !strings.Contains(form, link) {
			t.Errorf("the form lacks %s", link)
		}
	}
	for _, lang := range []string{"en", "zh"} {
		b.lang = lang
		file := b.get("/examples/nickname")
		if file.status != http.StatusOK || file.header.Get("Content-Type") != table.XLSX.Media() {
			t.Fatalf("%d %v", file.status, file.header)
		}
		p := b.upload("example.xlsx", file.body)
		if made := r.plannedRun(p.id(t)); made.State != run.StatePlanned || made.Rows != 1 {
			t.Errorf("%s: %+v", lang, made)
		}
	}
	if p := b.get("/examples/unknown"); p.status != http.StatusNotFound {
		t.Errorf("an unknown kind: %d", p.status)
	}
	if p := r.as(access.Viewer).get("/examples/nickname"); p.status != http.StatusForbidden {
		t.Errorf("a viewer: %d", p.status)
	}
}

func TestAFileWithProblemsIsRefusedAsAWhole(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		b := r.as(access.Operator)
		content := rows("u1,Ann", "u 2,<script>alert(1)</script>", "u3,Eve") + "nowhere-dt,chat1,u4,Tom\n"
		p := b.upload("bad.csv", content)
		if p.status != http.StatusUnprocessableEntity {
			t.Fatalf("%d %s", p.status, p.text("main"))
		}
		for _, text := range []string{"2 of 4 rows have problems", "Nothing was stored", "3 user_id u 2", "5 tenant nowhere-dt"} {
			if !strings.Contains(p.text("main"), text) {
				t.Errorf("the page lacks %q: %s", text, p.text("main"))
			}
		}
		if strings.Contains(p.body, "<script>alert") {
			t.Error("a value is markup")
		}
		if list, err := r.runs.List(t.Context(), run.Filter{}); err != nil || len(list) != 0 {
			t.Errorf("stored: %v, %v", list, err)
		}
		made := b.planned(content, "keep", "1")
		if made.Plan.Counts[run.RowImpossible] != 2 || made.Plan.Calls() != 2 {
			t.Errorf("with the wrong rows kept: %v", made.Plan.Counts)
		}
	})
}

func TestAFormWithoutAUsableFileSaysWhy(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	b := r.as(access.Operator)
	for want, send := range map[string]func() page{
		"Choose a file":                         func() page { return b.upload("", "") },
		"The file has no rows":                  func() page { return b.upload("a.csv", "tenant,chat_id,user_id,nickname\n") },
		"column tenant is missing":              func() page { return b.upload("a.csv", "user_id,nickname\nu1,Ann\n", "chat", "chat1") },
		"choose the kind":                       func() page { return b.upload("a.csv", "tenant,user_id,nickname,chat_id,dingtalk_id\ndt,u1,A,c,x\n") },
		"The trial must be a number":            func() page { return b.upload("a.csv", rows("u1,A"), "canary", "-1") },
		"The name must be":                      func() page { return b.upload("a.csv", rows("u1,A"), "name", "über") },
		"The file cannot be read: the file is ": func() page { return b.upload("a.csv", "") },
	} {
		if p := send(); p.status != http.StatusUnprocessableEntity || !strings.Contains(p.text("main"), want) {
			t.Errorf("want %q: %d %s", want, p.status, p.text("main"))
		}
	}
	if list, err := r.runs.List(t.Context(), run.Filter{}); err != nil || len(list) != 0 {
		t.Errorf("stored: %v, %v", list, err)
	}
}

func TestAnOperatorCannotAcceptGuardsInAdvance(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	for role, want := range map[access.Role][]string{access.Operator: nil, access.Approver: {"allow-suspicious"}} {
		made := r.as(role).planned(rows("u1,12345"), "allow", "allow-suspicious", "allow", "nonsense")
		if !slices.Equal(made.Settings.Allowed, want) {
			t.Errorf("%s accepts %v", role, made.Settings.Allowed)
		}
	}
}

const evil = `"><script>alert(1)</script>`

func TestNamesAndReasonsAreNoMarkup(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	b := r.as(access.Administrator)
	made := b.upload(evil+".csv", rows(`u1,"`+strings.ReplaceAll(evil, `"`, `""`)+`"`)).id(t)
	r.plannedRun(made)
	b.steer(made, "reject", "reason", evil)
	for _, path := range []string{"/runs", "/runs/" + made, "/runs?name=" + url.QueryEscape(evil), "/runs/" + made + "?show=" + url.QueryEscape(evil)} {
		p := b.get(path)
		if p.status != http.StatusOK || strings.Contains(p.body, "<script>alert") {
			t.Errorf("%s: %d, markup in the page", path, p.status)
		}
	}
	if p := b.get("/runs/" + made); !strings.Contains(p.text("main"), evil) {
		t.Errorf("the name is not on the page: %s", p.text("main"))
	}
}

func TestRowsAreLeftOutOfAPlanThatWasSeen(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		b := r.as(access.Operator)
		made := b.planned(rows("u1,A", "u2,B", "u3,C"))
		seen := made.Plan.Digest
		form := values("csrf", b.token("/"), "digest", seen, "row", "1", "row", "3")
		p := b.post("/runs/"+made.ID+"/exclude", form)
		now := r.plannedRun(p.id(t))
		if now.Plan.Counts[run.RowExcluded] != 2 || now.Plan.Digest == seen || !strings.Contains(p.body, "2 rows are left out") {
			t.Errorf("%v: %s", now.Plan.Counts, p.text(""))
		}
		// The plan is another one now: neither it nor what was seen before is applied.
		if p := b.steer(made.ID, "apply", "digest", seen); !strings.Contains(p.text(""), "not the one that you saw") {
			t.Errorf("applied with the digest of another plan: %s", p.text(""))
		}
		if p := b.post("/runs/"+made.ID+"/exclude", values("csrf", b.token("/"), "digest", "00000000", "row", "2")); !strings.Contains(p.text(""), "not the one that you saw") {
			t.Errorf("left out with the digest of another plan: %s", p.text(""))
		}
		if got := r.plannedRun(made.ID); got.State != run.StatePlanned || got.Plan.Counts[run.RowExcluded] != 2 {
			t.Errorf("%s %v", got.State, got.Plan.Counts)
		}
		if p := b.steer(made.ID, "exclude", "digest", now.Plan.Digest); !strings.Contains(p.text(""), "No row was ticked") {
			t.Errorf("without a row: %s", p.text(""))
		}
		for _, row := range []string{"0", "4", "x", "-1"} {
			if p := b.steer(made.ID, "exclude", "digest", now.Plan.Digest, "row", row); p.status != http.StatusBadRequest {
				t.Errorf("row %s: %d", row, p.status)
			}
		}
		b.steer(made.ID, "apply", "digest", now.Plan.Digest)
		if got := r.plannedRun(made.ID); !got.State.Applied() {
			t.Errorf("the run is %s", got.State)
		}
		if got := r.noted("run.applied"); !slices.Equal(got, []string{"operator: " + made.ID}) {
			t.Errorf("events: %v", got)
		}
		if got := r.noted("run.excluded"); !slices.Equal(got, []string{"operator: " + made.ID + ": 1, 3"}) {
			t.Errorf("events: %v", got)
		}
	})
}

func TestAHeldRunIsApprovedByAnotherPerson(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		author, other := r.as(access.Approver), r.as(access.Administrator)
		made := author.planned(rows("u1,12345"), "other", "1")
		digest := made.Plan.Digest
		page := author.get("/runs/" + made.ID)
		for _, text := range []string{"new values that look damaged: 1", "Submit for approval", "An approval accepts it", "--allow-suspicious"} {
			if !strings.Contains(page.text("main"), text) {
				t.Errorf("the page lacks %q: %s", text, page.text("main"))
			}
		}
		if p := author.steer(made.ID, "apply", "digest", digest); !strings.Contains(p.text(""), "a guard holds the run") {
			t.Errorf("applied: %s", p.text(""))
		}
		page = author.get("/runs/" + made.ID)
		if strings.Contains(page.body, made.ID+"/approve") || !strings.Contains(page.text("main"), "another person must approve it") {
			t.Errorf("the author may approve: %s", page.text("main"))
		}
		if p := author.steer(made.ID, "approve", "digest", digest); p.status != http.StatusForbidden || !strings.Contains(p.text("main"), "somebody else than its author, approver") {
			t.Errorf("the author approves: %d %s", p.status, p.text("main"))
		}
		if p := r.as(access.Operator).steer(made.ID, "approve", "digest", digest); p.status != http.StatusForbidden {
			t.Errorf("an operator approves: %d", p.status)
		}
		if p := other.steer(made.ID, "approve", "digest", "00000000"); !strings.Contains(p.text(""), "not the one that you saw") {
			t.Errorf("approved with the digest of another plan: %s", p.text(""))
		}
		if got := r.plannedRun(made.ID); got.State != run.StateHeld {
			t.Fatalf("the run is %s", got.State)
		}
		p := other.steer(made.ID, "approve", "digest", digest)
		if got := r.plannedRun(made.ID); !got.State.Applied() || got.By != "administrator" {
			t.Errorf("the run is %s by %s: %s", got.State, got.By, p.text(""))
		}
		if got := r.noted("run.approved"); !slices.Equal(got, []string{"administrator: " + made.ID}) {
			t.Errorf("events: %v", got)
		}
	})
}

func TestARunIsPausedResumedCancelledAndRejected(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	b, approver := r.as(access.Operator), r.as(access.Approver)
	made := b.planned(rows("u1,A"))
	if p := b.steer(made.ID, "pause"); !strings.Contains(p.text(""), "Nothing was done: the run is now in the state “planned”") && !strings.Contains(p.text(""), `in the state "planned"`) {
		t.Errorf("a planned run is paused: %s", p.text(""))
	}
	b.steer(made.ID, "apply", "digest", made.Plan.Digest)
	for _, c := range []struct {
		step, reason string
		want         run.State
	}{{"pause", "wrong list?", run.StatePaused}, {"resume", "", run.StateCanary}, {"cancel", strings.Repeat("错", 1000), run.StateCancelled}} {
		p := b.steer(made.ID, c.step, "reason", c.reason)
		got := r.plannedRun(made.ID)
		if got.State != c.want || got.By != "operator" || len(got.Reason) > 500 || !strings.HasPrefix(c.reason, got.Reason) {
			t.Errorf("%s: %s by %q, %q: %s", c.step, got.State, got.By, got.Reason, p.text(""))
		}
	}
	page := b.get("/runs/" + made.ID)
	for _, text := range []string{"uploading", "planned", "trial", "paused", "wrong list?", "cancelled"} {
		if !strings.Contains(page.text("main"), text) {
			t.Errorf("the timeline lacks %q: %s", text, page.text("main"))
		}
	}
	other := b.planned(rows("u2,B"))
	if p := b.steer(other.ID, "reject"); p.status != http.StatusForbidden {
		t.Errorf("an operator rejects: %d", p.status)
	}
	approver.steer(other.ID, "reject", "reason", "old list")
	if got := r.plannedRun(other.ID); got.State != run.StateRejected || got.Reason != "old list" {
		t.Errorf("%s %s", got.State, got.Reason)
	}
	for event, n := range map[string]int{"run.paused": 1, "run.resumed": 1, "run.cancelled": 1, "run.rejected": 1} {
		if got := r.noted(event); len(got) != n {
			t.Errorf("%s: %v", event, got)
		}
	}
}

func TestStepsNeedTheTokenOfAFormAndARun(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	b := r.as(access.Administrator)
	made := b.planned(rows("u1,A"))
	for _, step := range []string{"apply", "approve", "reject", "pause", "resume", "cancel", "plan", "undo", "exclude", "correct"} {
		for _, token := range []string{"", "x", r.as(access.Administrator).token("/")} {
			if p := b.post("/runs/"+made.ID+"/"+step, values("csrf", token, "digest", made.Plan.Digest, "row", "1")); p.status != http.StatusForbidden {
				t.Errorf("%s with the token %q: %d", step, token, p.status)
			}
		}
		if p := b.steer("rnosuchrunaaaaaaa", step, "digest", made.Plan.Digest, "row", "1"); p.status != http.StatusNotFound {
			t.Errorf("%s of a run that there is not: %d", step, p.status)
		}
	}
	if p := b.send("/runs/new", "a.csv", rows("u9,Z"), []string{"csrf", "x"}); p.status != http.StatusForbidden {
		t.Errorf("an upload with a wrong token: %d", p.status)
	}
	if got := r.plannedRun(made.ID); got.State != run.StatePlanned {
		t.Errorf("the run is %s", got.State)
	}
	if list, err := r.runs.List(t.Context(), run.Filter{}); err != nil || len(list) != 1 {
		t.Errorf("%d runs, %v", len(list), err)
	}
}

// link returns the address of a link of a page by its rel.
func (p page) link(t *testing.T, rel string) string {
	t.Helper()
	_, rest, found := strings.Cut(p.body, `rel="`+rel+`" href="`)
	if !found {
		t.Fatalf("%s has no link %s", p.path, rel)
	}
	address, _, _ := strings.Cut(rest, `"`)
	return strings.ReplaceAll(address, "&amp;", "&")
}

// names are those of the runs of a list.
func (p page) names() (all []string) {
	for _, row := range strings.Split(p.body, `<th scope="row">`)[1:] {
		_, rest, _ := strings.Cut(row, ">")
		name, _, _ := strings.Cut(rest, "<")
		all = append(all, name)
	}
	return all
}

func TestRunsAreListedPageByPage(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	for i := range 50 {
		name := fmt.Sprint("n", i)
		if i == 3 {
			name = "needle"
		}
		if _, err := r.runs.Create(t.Context(), run.Draft{Name: name, Author: "ann"}); err != nil {
			t.Fatal(err)
		}
	}
	b := r.as(access.Viewer)
	pages := func(path string) (names []string) {
		for range 10 {
			p := b.get(path)
			if p.status != http.StatusOK {
				t.Fatalf("%s: %d", path, p.status)
			}
			names = append(names, p.names()...)
			_, next, more := strings.Cut(p.body, `rel="next" href="`)
			if !more {
				return names
			}
			next, _, _ = strings.Cut(next, `"`)
			path = strings.ReplaceAll(next, "&amp;", "&")
		}
		t.Fatal("the list has no end")
		return nil
	}
	all := pages("/runs")
	if len(all) != 50 || all[0] != "n49" || all[49] != "n0" {
		t.Errorf("%d runs: %v", len(all), all)
	}
	// The way back from the oldest run shows the same pages.
	second := b.get("/runs").link(t, "next")
	third := b.get(second).link(t, "next")
	back := b.get(b.get(third).link(t, "prev"))
	if got := back.names(); len(got) != 20 || got[0] != "n29" || got[19] != "n10" || back.link(t, "next") == "" {
		t.Errorf("the page before the oldest: %v", got)
	}
	if newest := b.get(back.link(t, "prev")); !slices.Equal(newest.names(), all[:20]) || strings.Contains(newest.body, `rel="prev"`) {
		t.Errorf("the newest page: %v", newest.names())
	}
	if got := pages("/runs?name=needle"); !slices.Equal(got, []string{"needle"}) {
		t.Errorf("by name: %v", got)
	}
	if got := pages("/runs?state=uploading"); len(got) != 50 {
		t.Errorf("by state: %d", len(got))
	}
	if p := b.get("/runs?state=done"); !strings.Contains(p.text("main"), "Other runs were looked at") {
		t.Errorf("none on the first page: %s", p.text("main"))
	}
	if strings.Contains(b.get("/runs").body, "/runs/new") {
		t.Error("a viewer is offered to upload")
	}
}

func TestAListThatManyBrowsersRefreshIsReadOnceUntilAUserChangesSomething(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.Mini(t))
	create := func(name string) {
		t.Helper()
		if _, err := r.runs.Create(t.Context(), run.Draft{Name: name, Author: "ann"}); err != nil {
			t.Fatal(err)
		}
	}
	create("first")
	c := counter{new(atomic.Int64)}
	b := r.counted(c)
	live := map[string]string{access.LiveHeader: "1"}
	if p := b.do(http.MethodGet, "/runs", nil, live); !strings.Contains(p.text("main"), "first") {
		t.Fatal(p.text("main"))
	}
	create("second")
	c.n.Store(0)
	if p := b.do(http.MethodGet, "/runs", nil, live); strings.Contains(p.text("main"), "second") || c.n.Load() > 2 {
		t.Errorf("refreshed again: %d commands, %s", c.n.Load(), p.text("main"))
	}
	if p := b.get("/runs"); !strings.Contains(p.text("main"), "second") {
		t.Errorf("a page that is opened is new: %s", p.text("main"))
	}
	b.submit("/lanes/hold", "scope", lane, "reason", "test")
	if p := b.do(http.MethodGet, "/runs", nil, live); !strings.Contains(p.text("main"), "second") {
		t.Errorf("after a change by a user: %s", p.text("main"))
	}
}
