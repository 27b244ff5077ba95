package browser_test

import (
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"rollcall/internal/demo"
	"rollcall/internal/sandbox"
)

var update = flag.Bool("update", false, "take the pictures of README, and rewrite the table of faults in docs/operations.md")

var (
	//go:embed testdata/layout.js
	layout string
	//go:embed testdata/axe/axe.min.js
	axe string
)

// looks are the ways in which each page is looked at.
var looks = []struct {
	name string
	view view
}{
	{"light", desktop},
	{"dark", view{lang: "en", width: 1280, height: 800, dark: true}},
	{"chinese", view{lang: "zh-CN", width: 1280, height: 800}},
	{"phone", phone},
	{"chinese-phone", view{lang: "zh-CN", width: 390, height: 844, dark: true}},
}

// latin is what a page in Chinese may have of Latin letters: names of products and platforms, of
// people and their targets, units, and names that the configuration gave.
var latin = strings.Join([]string{
	`[a-z*-]+\.csv`, `the timetable is being replaced|the school is closed until Monday`,
	`rollcall (?:find|repair|ids)\b`, `\b(?:HTTPS?|API|Webhook|http\.users)\b`, `/[^ ]*/`,
	`\b(?:rollcall|Redis|asynq|DingTalk|ClassIn|English|worker|Worker|AOF|maxmemory(?:-policy)?|noeviction|hold|MB|CSV|XLSX|NDJSON|ID|IDs|UID|UTC|GB18030|UTF|BOM|Asia/Shanghai)\b`,
	`\b(?:ann|bea|cat|vic)\b`, `lakeside[-a-zA-Z0-9_.]*`, `\b(?:nightly|courses)\b`, `\br[a-z0-9]{6,}\b`,
	`chat[0-9A-Za-z_*…]+`, `\b[ucd][0-9*…]+\b`, `--[a-z-]+`, `\b[0-9]+[hms]\b`, `[0-9A-F]{1,2}[AB]\b`, `\bGB\b`, `EUC|BIG5|UTF-?[0-9A-Z]*|GBK|LE|BE`,
}, "|")

func TestEveryPageIsLaidOutInEachLook(t *testing.T) { //nolint:tparallel // one tab shows a page after the other
	t.Parallel()
	s := newScene(t, demo.Scenario())
	pages := s.school()
	b := s.tab(browse(t), desktop).login(cat)
	for _, page := range pages {
		for _, look := range looks {
			t.Run(page.name+"/"+look.name, func(t *testing.T) {
				b.look(look.view)
				b.open(page.path)
				for _, fault := range b.layout(look.view) {
					t.Error(fault)
				}
				for _, fault := range b.axe() {
					t.Error(fault)
				}
				b.picture(page.name + "-" + look.name)
			})
		}
	}
	if *update {
		b.readme(pages)
	}
}

// readme takes the pictures of README.
func (b *tab) readme(pages []page) {
	b.t.Helper()
	b.look(view{lang: "en", width: 1280, height: 760})
	for name, of := range map[string]string{"page-now": "now", "page-run": "run-held", "page-dead-letters": "dead-letters"} {
		at := slices.IndexFunc(pages, func(p page) bool { return p.name == of })
		b.open(pages[at].path)
		if of == "run-held" {
			b.until(`document.querySelector(".plan").scrollIntoView(), true`)
		}
		content, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
		if err == nil {
			err = os.WriteFile(filepath.Join("..", "..", "docs", "images", name+".png"), content, 0o600)
		}
		if err != nil {
			b.t.Fatal(err)
		}
	}
}

// layout returns what is wrong with the page that is open.
func (b *tab) layout(v view) []string {
	b.t.Helper()
	words := ""
	if strings.HasPrefix(v.lang, "zh") {
		host, err := os.Hostname() // names the worker
		if err != nil {
			b.t.Fatal(err)
		}
		words = latin + "|" + regexp.QuoteMeta(host)
	}
	arg, err := json.Marshal(words)
	if err != nil {
		b.t.Fatal(err)
	}
	faults, err := evaluate[[]string](b, layout+"("+string(arg)+")")
	if err != nil {
		b.t.Fatal(err)
	}
	return faults
}

// finding is what axe-core finds.
type finding struct {
	ID     string
	Impact string
	Help   string
	Nodes  []struct {
		HTML           string
		FailureSummary string
	}
}

// axe returns what axe-core finds that is serious.
func (b *tab) axe() []string {
	b.t.Helper()
	run := axe + `; axe.run(document, {resultTypes: ["violations"]}).then((r) => r.violations.map((v) => ({ID: v.id, Impact: v.impact, Help: v.help,
		Nodes: v.nodes.slice(0, 3).map((n) => ({HTML: n.html, FailureSummary: n.failureSummary}))})))`
	found, err := evaluate[[]finding](b, run)
	if err != nil {
		b.t.Fatal(err)
	}
	var faults []string
	for _, f := range found {
		if f.Impact == "serious" || f.Impact == "critical" {
			faults = append(faults, fmt.Sprintf("axe-core: %s (%s): %s: %+v", f.ID, f.Impact, f.Help, f.Nodes))
		}
	}
	return faults
}

// picture writes a picture of the whole page into the directory ROLLCALL_SCREENSHOTS, if that
// is set.
func (b *tab) picture(name string) {
	b.t.Helper()
	dir := os.Getenv("ROLLCALL_SCREENSHOTS")
	if dir == "" {
		return
	}
	content, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), content, 0o600)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// page is a page with something on it.
type page struct{ name, path string }

// school lets a school work, with something on every page, and returns the pages.
func (s *scene) school() []page {
	s.t.Helper()
	s.enqueue(demo.Older())
	s.enqueue(demo.Requests()...)
	pages := []page{
		{"now", "/"},
		{"runs", "/runs"},
		{"new-run", "/runs/new"},
		{"dead-letters", "/dead-letters"},
		{"schedules", "/schedules"},
		{"schedule", "/schedules/nightly"},
		{"audit", "/audit"},
		{"search", search("u0")},
		{"nothing-found", search("zzz")},
		{"not-found", "/nowhere"},
	}
	chromium := browse(s.t)
	b := s.tab(chromium, desktop).login(ann)
	s.until("the first tasks have ended", func() bool { return len(s.platforms.Effects()) > 100 })

	held := b.uploads(s.write("autumn.csv", strings.Join([]string{
		"tenant,chat_id,user_id,nickname", "lakeside-dingtalk,chat7Af3929,u001,7A 黄勇（班长）", "lakeside-dingtalk,chat7Af3929,u007,7A 李佳琪",
		"lakeside-dingtalk,chat7Af3929,u013,45123", "lakeside-dingtalk,chat7Af3929,u019,7A 王芳", "lakeside-dingtalk,chat7Bf3929,u002,7B 张伟", "",
	}, "\n")))
	b.press("form[action$='/apply'] button", "Submit for approval")
	b.shows("h1", "waits for approval")
	done := b.uploads(s.write("classes.csv", strings.Join([]string{
		"tenant,chat_id,user_id,nickname", "lakeside-dingtalk,chat7Bf3929,u008,7B 陈静（学习委员）", "lakeside-dingtalk,chat7Bf3929,u014,7B 刘洋", "lakeside-dingtalk,chat7Bf3929,u998,7B 赵敏", "",
	}, "\n")))
	b.press("form[action$='/apply'] button", "")
	b.shows("h1", "done")
	b.press("#do-undo summary", "")
	b.press("#do-undo button", "")
	b.shows("h1", "Undo of classes.csv")
	undo, _, _ := strings.Cut(b.at("/"), "?")

	operator := s.tab(chromium, desktop).login(bea)
	operator.open("/schedules/courses")
	operator.press("form[action$='/run'] button", "")
	operator.shows(".notice", "in the queue")
	operator.open("/schedules/nightly")
	operator.fill("#pause-reason", "the school is closed until Monday")
	operator.press("#pause button", "")
	operator.shows(".notice", "is paused")
	operator.open("/")
	s.until("the tasks have ended", func() bool {
		text, err := evaluate[string](operator, call("text", "#lanes + .quiet"))
		return err == nil && text == "waiting tasks: 0"
	})
	operator.press("#hold summary", "")
	operator.does("fill", "#scope", "tenant lakeside-classin")
	operator.fill("#reason", "the timetable is being replaced")
	operator.press("#hold form button", "")
	operator.shows(".notice", "on hold")

	operator.open("/dead-letters")
	cause, _ := evaluate[string](operator, "document.querySelector('.cause h2 a').getAttribute('href')")
	discard, _ := evaluate[string](operator, "document.querySelector('.cause a[href*=discard]').getAttribute('href')")
	operator.open(cause)
	dead, _ := evaluate[string](operator, "document.querySelector('tbody td:last-child a').getAttribute('href')")
	operator.open(search("u0"))
	target, _ := evaluate[string](operator, "document.querySelector('tbody th a').getAttribute('href')")
	unknown, _ := evaluate[string](operator, "[...document.querySelectorAll('tbody tr')].find((r) => r.querySelector('.bad')).querySelector('th a').getAttribute('href')")
	return append(pages,
		page{"run-held", held}, page{"run-done", done}, page{"run-plan", done + "?show=plan"}, page{"run-correct", done + "/correct"}, page{"run-undo", undo},
		page{"dead-cause", cause}, page{"dead-discard", discard}, page{"dead-letter", dead}, page{"target", target}, page{"target-unknown", unknown},
	)
}

func TestTheLoginIsLaidOutInEachLook(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Scenario{})
	chromium := browse(t)
	for _, look := range looks {
		b := s.tab(chromium, look.view)
		b.open("/login")
		for i := range 2 {
			for _, fault := range append(b.layout(look.view), b.axe()...) {
				t.Errorf("%s: %s", look.name, fault)
			}
			b.picture(fmt.Sprintf("login-%d-%s", i, look.name))
			b.fill("#name", "ann")
			b.fill("#password", "wrong")
			b.press("main form button", "")
			b.until("document.querySelector('.problem')")
		}
	}
}

// The layout test finds what it is there for.
func TestTheLayoutTestFindsFaults(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Scenario{})
	b := s.tab(browse(t), desktop)
	for change, want := range map[string]string{
		`d.innerHTML = "<p data-style='width: 2000px'>wide wide</p>"`:                                                          `the page is 2\d{3} px wide`,
		`d.innerHTML = "<p data-style='width: 3em; overflow: hidden; white-space: nowrap'>a long sentence</p>"`:                `is clipped by <p`,
		`d.innerHTML = "<p data-style='width: 2em; overflow-wrap: anywhere'>sentences</p>"`:                                    `the word sentences is broken`,
		`d.innerHTML = "<p>one text</p><p data-style='margin-top: -2em'>another</p>"`:                                          `overlaps`,
		`d.innerHTML = "<button>one</button><button data-style='margin-left: -2em'>two</button>"`:                              `covers`,
		`d.innerHTML = "<label>x <input placeholder='a placeholder that is long' data-style='width: 4em !important'></label>"`: `does not fit`,
		`d.innerHTML = "<p>只有 one English word</p>", document.title = ""`:                                                      `not Chinese: "one word" in p`,
	} {
		look := desktop
		if strings.Contains(change, "只有") {
			look.lang = "zh-CN"
		}
		b.look(look)
		b.open("/login")
		if _, err := evaluate[any](b, `(() => { const d = document.querySelector("main"); `+change+`; for (const e of d.querySelectorAll("[data-style]")) e.style.cssText = e.dataset.style; })(), null`); err != nil {
			t.Fatal(err)
		}
		if faults := strings.Join(b.layout(look), "\n"); !regexp.MustCompile(want).MatchString(faults) {
			t.Errorf("%s: %q, want %s", change, faults, want)
		}
	}
	// axe-core too.
	if _, err := evaluate[any](b, `document.querySelector("main").innerHTML = "<input name='x'>", null`); err != nil {
		t.Fatal(err)
	}
	if faults := strings.Join(b.axe(), "\n"); !strings.Contains(faults, "label") {
		t.Errorf("axe-core finds %q", faults)
	}
}
