package browser_test

import (
	"strings"
	"testing"
	"time"

	"rollcall/internal/sandbox"
)

func TestAHoldAppearsIsProbedAndReleased(t *testing.T) {
	t.Parallel()
	for name, v := range views {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, sandbox.Scenario{})
			b := s.tab(browse(t), v).login(bea)
			b.shows("#sentence", "All 5 lanes work.")
			armed, err := s.platforms.Arm(sandbox.Fault{API: sandbox.APIGroupNick, Kind: sandbox.FaultAnswer, Code: "40089"})
			if err != nil {
				t.Fatal(err)
			}
			s.enqueue(nickname("u001", "7A new one"))
			b.shows("#sentence", "Tenant lakeside-dingtalk has been on hold since") // by itself
			b.shows("#sentence", "Replace the secret or grant the permission, then probe.")
			b.shows("main", "code 40089")
			s.platforms.Disarm(armed[0])
			b.press("form[action='/lanes/probe'] button", "Probe now")
			s.becomes("u001", "7A new one")
			b.shows("#sentence", "All 5 lanes work.")

			b.press("#hold summary", "")
			b.does("fill", "#scope", "lakeside-dingtalk.nickname")
			b.fill("#reason", "exams")
			b.press("#hold form button", "")
			b.shows(".notice", "lakeside-dingtalk.nickname is on hold.")
			b.shows("#sentence", "lakeside-dingtalk.nickname has been on hold since")
			b.shows("main", "exams")
			b.press("form[action='/lanes/release'] button", "")
			b.shows("#sentence", "All 5 lanes work.")
			b.open("/audit")
			b.shows("tbody tr:first-child", "bea")
		})
	}
}

// A page that refreshes itself leaves what the user is typing.
func TestWhatAUserTypesSurvivesTheRefreshOfThePage(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Scenario{})
	b := s.tab(browse(t), desktop).login(bea)
	b.press("#hold summary", "")
	b.fill("#reason", "exams")
	if _, err := evaluate[any](b, `document.activeElement.blur(), window.asked = 0, window.fetch = ((f) => (...a) => (window.asked++, f(...a)))(window.fetch), null`); err != nil {
		t.Fatal(err)
	}
	s.enqueue(nickname("u001", "7A new one"))
	s.becomes("u001", "7A new one")
	b.fill("#reason", "") // an empty form may be refreshed
	b.until("document.activeElement.blur(), window.asked > 0")
	b.until("document.querySelector('#hold').open")
}

func TestADeadLetterIsReplayedAndAnotherCorrectedInPlace(t *testing.T) {
	t.Parallel()
	for name, v := range views {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, sandbox.Scenario{Faults: []sandbox.Fault{
				{API: sandbox.APIGroupNick, User: "u001", Kind: sandbox.FaultAnswer, Code: "60121", First: 1},
			}})
			s.enqueue(nickname("u001", "7A new one"), nickname("u999", "7A new two"))
			b := s.tab(browse(t), v).login(cat)
			b.open("/dead-letters")
			s.until("two dead letters", func() bool {
				b.open("/dead-letters")
				text, err := evaluate[string](b, call("text", "#dead-sum"))
				return err == nil && text == "2 dead letters of 2 causes wait for a person."
			})
			b.shows("main", "60121")
			b.press(".cause:has(h2 a[href*='60121']) a.button", "Open")
			b.at("/dead-letters/")
			b.press("tbody td:last-child a", "")
			b.shows("h1", "Dead letter")
			b.press("form[action='/dead-letters/replay'] button", "")
			s.becomes("u001", "7A new one")

			b.open("/dead-letters")
			b.shows("#dead-sum", "1 dead letter of 1 cause waits for a person.")
			b.press(".cause a.button", "Open")
			b.press("tbody td:last-child a", "")
			b.press("main button", "Show them (recorded in the audit log)")
			b.shows("main", "are shown on this page")
			b.fill("input[name='set.user_id']", "u007")
			b.press("form[action='/dead-letters/correct'] button", "")
			s.becomes("u007", "7A new two")
			b.open("/dead-letters")
			b.shows("#dead-sum", "There are no dead letters.")
		})
	}
}

func TestAPersonIsFoundAndExplained(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Scenario{})
	s.enqueue(nickname("u001", "7A Huang Yong"))
	s.becomes("u001", "7A Huang Yong")
	chromium := browse(t)
	b := s.tab(chromium, desktop).login(ann)
	b.fill("#q", "u001")
	b.does("submit", "form.search")
	b.at(search("u001"))
	b.press("main tbody th a", "")
	b.shows("#conclusion", "Up to date.")
	b.press("main button", "Show them (recorded in the audit log)")
	b.shows("main", "are shown on this page")
	b.shows("main", "7A Huang Yong")
	b.shows("h1", "chat7Af3929/u001")

	viewer := s.tab(chromium, desktop).login(vic)
	viewer.open(b.at("/"))
	viewer.shows("#conclusion", "Up to date.")
	text, err := evaluate[string](viewer, call("text", "body"))
	if err != nil {
		t.Fatal(err)
	}
	for _, person := range []string{"u001", "Huang"} {
		if strings.Contains(text, person) {
			t.Errorf("a viewer sees %s: %s", person, text)
		}
	}
	b.open("/audit")
	b.shows("tbody", "ann")
}

func TestTheLanguageFollowsTheBrowserAndASwitch(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Scenario{})
	for _, noScripts := range []bool{false, true} {
		b := s.tab(browse(t), view{lang: "zh-CN,zh;q=0.9", width: 1280, height: 800, noScripts: noScripts}).login(cat)
		b.shows("#sentence", "全部 5 条通道工作正常")
		b.until("document.documentElement.lang === 'zh-CN'")
		b.open("/runs")
		b.shows("h1", "批次")
		b.press("button", "English")
		b.shows("h1", "Runs")
		b.open("/")
		b.shows("#sentence", "All 5 lanes work.")
		b.press("button", "中文")
		b.shows("#sentence", "全部 5 条通道工作正常")
	}
}

func TestAFileThatIsDroppedOnThePageIsUploadedAndAWrongOneIsRefused(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Scenario{})
	b := s.tab(browse(t), desktop).login(ann)
	b.open("/runs/new")
	b.does("drop", "form.upload", "wrong.csv", "tenant,chat_id,user_id,nickname\nlakeside-dingtalk,chat7Af3929,u 1,x\n")
	b.until("document.querySelector('#file').files.length === 1")
	b.press("form.upload button.primary", "")
	b.shows("#problems", "1 of 1 row has problems")
	b.shows("#problems", "Nothing was stored")
	b.until("document.activeElement.id === 'problems'")
	b.does("drop", "form.upload", "right.csv", "tenant,chat_id,user_id,nickname\nlakeside-dingtalk,chat7Af3929,u001,7A new one\n")
	b.press("form.upload button.primary", "")
	b.at("/runs/r")
	b.shows("h1", "right.csv")
}

// The pages can be used without a mouse.
func TestThePagesAreUsedByKeyboard(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Scenario{})
	b := s.tab(browse(t), desktop).login(bea)
	b.open("/schedules")
	b.keys("\t")
	b.until("document.activeElement.matches('.skip') && document.activeElement.getBoundingClientRect().width > 50")
	b.keys("\r")
	b.until("document.activeElement.id === 'main' || location.hash === '#main'")
	b.keys("\t")
	b.until("document.activeElement.textContent === 'courses'")
	b.keys("\r")
	b.at("/schedules/")
	b.until("document.querySelector('#pause-reason')")
	for end := time.Now().Add(patience); ; {
		at, err := evaluate[string](b, "document.activeElement.id")
		if err != nil {
			t.Fatal(err)
		}
		if at == "pause-reason" {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the field is not reached with the tabulator")
		}
		b.keys("\t")
	}
	b.keys("exams\r")
	b.shows(".notice", "courses is paused.")
}
