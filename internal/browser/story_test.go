package browser_test

import (
	"strings"
	"testing"

	"rollcall/internal/sandbox"
)

// views are those in which all of a run's life is tried.
var views = map[string]view{
	"desktop":         desktop,
	"phone":           phone,
	"without scripts": {lang: "en", width: 1280, height: 800, noScripts: true},
}

func TestAFileIsSentApprovedCorrectedAndTakenBack(t *testing.T) {
	t.Parallel()
	for name, v := range views {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, sandbox.Scenario{})
			s.enqueue(nickname("u001", "7A old one"), nickname("u007", "7A old two"), nickname("u013", "7A old three"))
			s.becomes("u013", "7A old three")
			chromium := browse(t)
			author, approver := s.tab(chromium, v).login(ann), s.tab(chromium, v).login(bea)

			run := author.uploads(s.write("spring.csv", "tenant,chat_id,user_id,nickname\n"+
				"lakeside-dingtalk,chat7Af3929,u001,7A new one\n"+
				"lakeside-dingtalk,chat7Af3929,u007,7A new two\n"+
				"lakeside-dingtalk,chat7Af3929,u013,7A new three\n"+
				"lakeside-dingtalk,chat7Af3929,u019,12345\n"+
				"lakeside-dingtalk,chat7Af3929,u999,7A no one\n"))
			author.shows("#rows", "7A old one → 7A new one")
			author.press("input[name=row][value='3']", "")
			author.press("form.exclude button", "")
			author.shows(".notice", "1 row is left out")
			author.press("form[action$='/apply'] button", "Submit for approval")
			author.shows("main", "You made this run: another person must approve it.")
			author.until("!document.querySelector('form[action$=\"/approve\"]')")

			approver.open(run)
			approver.shows(".guards", "holds the run")
			approver.press("form[action$='/approve'] button", "Approve and apply: 4 calls")
			approver.shows(".notice", "Approved")
			if v.noScripts {
				author.open(run) // a reload would remove ticks
			}
			author.shows("h1", "done") // by itself
			approver.shows("h1", "done")
			if got := s.nick("u001") + ", " + s.nick("u013"); got != "7A new one, 7A old three" {
				t.Errorf("the platform has %s", got)
			}

			author.shows("#sentence", "1 row needs a correction.")
			author.press("a[href$='/correct']", "")
			author.fill("input[name='5.user_id']", "u025")
			author.fill("input[name='5.nickname']", "7A corrected")
			author.press("main form button.primary", "")
			author.shows("main", "Apply: 1 call")
			author.press("form[action$='/apply'] button", "")
			author.shows("h1", "done")
			s.becomes("u025", "7A corrected")

			author.open(run)
			author.press("#do-undo summary", "")
			author.press("#do-undo button", "Show what would be taken back")
			author.shows("#rows", "7A new one → 7A old one")
			if got := s.nick("u001"); got != "7A new one" {
				t.Errorf("the preview set %s", got)
			}
			author.press("form[action$='/apply'] button", "")
			author.shows("h1", "done")
			s.becomes("u001", "7A old one")
			s.becomes("u007", "7A old two")
		})
	}
}

// uploads uploads a file, and returns the path of its run, whose plan it has seen.
func (b *tab) uploads(file string) string {
	b.t.Helper()
	b.open("/runs")
	b.press(".head a", "")
	b.choose("#file", file)
	b.press("form.upload summary", "")
	b.press("input[name=other]", "") // another person must approve
	b.press("form.upload button.primary", "")
	path := b.at("/runs/r")
	b.shows("main", "Plan")
	path, _, _ = strings.Cut(path, "?")
	return path
}
