package night_test

import (
	"strings"
	"testing"

	"rollcall/internal/night"
	"rollcall/internal/redistest"
)

// At most one message is sent by each robot for each night, by any worker.
func TestANightHasOneMessageOfEachRobot(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		one, other := night.New(night.Config{Redis: s.Client(t)}), night.New(night.Config{Redis: s.Client(t)})
		claim := func(by *night.Service, n int, robot string, want bool) {
			t.Helper()
			if got, err := by.ClaimMessage(t.Context(), "nightly", nightOf(n), robot); err != nil || got != want {
				t.Errorf("night %d, %s: %v, %v; want %v", n, robot, got, err, want)
			}
		}
		claim(one, 1, "teachers", true)
		claim(one, 1, "teachers", false)
		claim(other, 1, "teachers", false)
		claim(other, 1, "ops", true)
		claim(other, 2, "teachers", true)
		if err := other.ReturnMessage(t.Context(), "nightly", nightOf(1), "teachers"); err != nil {
			t.Fatal(err)
		}
		claim(one, 1, "teachers", true)
	})
}

func TestAMessageBeginsWithWhatToDecide(t *testing.T) {
	t.Parallel()
	r := full
	r.State, r.Decide = night.StateHeld, []string{"shrunk"}
	title, text := r.Markdown(night.Chinese, shanghai)
	if title != "nightly，2026-11-30 02:37 UTC+08:00 的同步：待审批" {
		t.Errorf("title %q", title)
	}
	for _, want := range []string{
		"### " + title + "\n\n- **需要决定：成员减少过多**\n- 来源：300 行", "\n- 偏差：可能与平台不一致 9 行\n",
		"\n> rollcall schedule report nightly --night 2026-11-29T18:37:00Z\n>\n> rollcall run show r1",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the message lacks %q:\n%s", want, text)
		}
	}
}
