package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/backlog"
	"rollcall/internal/console"
	"rollcall/internal/hold"
	"rollcall/internal/pace"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

var threeAM = time.Date(2026, 3, 2, 3, 0, 0, 0, time.FixedZone("Asia/Shanghai", 8*60*60))

// aBadNight is two organisations of which one has wrong credentials, and the
// other a long name and a person who holds a lane.
func aBadNight() *survey {
	march := pace.Month{Name: "2026-03", Spent: 4120, Ends: time.Date(2026, 4, 1, 0, 0, 0, 0, threeAM.Location())}
	lane := func(organisation, tenant string, kind tasks.Kind, pending int64, s pace.Status) laneState {
		l := laneState{Lane: registry.Lane{Organisation: organisation, Tenant: tenant, Kind: kind, Seen: threeAM.Add(-20 * time.Second)}}
		l.bulk.Queue = backlog.Queue{Pending: pending, Active: 2, Scheduled: 40, Retry: 7, Archived: 3, Oldest: 3 * time.Hour}
		l.urgent.Queue = backlog.Queue{Pending: 3}
		l.pace = s
		l.pace.Month, l.pace.Spread, l.pace.Booked = march, 12*time.Millisecond, 1000
		if len(s.Limits) == 0 {
			l.pace.Limits = []pace.Limit{{Calls: 20, Per: time.Second}}
		}
		return l
	}
	metered := pace.Status{Metered: true, Quota: pace.Quota{Calls: 5000, Reserve: 500, Warn: 4000}, Allowed: 19.77, InUse: 19.5, Share: 1}
	credentials := hold.Hold{
		Place: hold.Place{Level: hold.Tenant, Name: "lakeside-dt"}, Class: hold.Refused, Probe: hold.ByToken, By: "worker-7f9c",
		Reason: "dingtalk gettoken: 40089: 不合法的corpid或corpsecret，请检查应用的凭证是否填写正确。: look at app_secret of the tenant in the configuration",
		Since:  threeAM.Add(-134 * time.Minute), Next: threeAM.Add(12 * time.Minute), Tries: 5,
	}
	person := hold.Hold{
		Place: hold.Place{Level: hold.Lane, Name: "lakeside-ci.course"}, Class: hold.Operator, Bulk: true, By: "ann@desk",
		Reason: "the roster\x1b[2J is wrong", Since: threeAM.Add(-30 * time.Hour), Until: threeAM.Add(6 * time.Hour),
	}
	ban := hold.Hold{
		Place: hold.Place{Level: hold.Address, Name: "office"}, Class: hold.Banned, By: "worker-7f9c", Reason: "90002: leave it alone",
		Since: threeAM, Until: threeAM.Add(5 * time.Minute),
	}
	group := lane("lakeside", "lakeside-dt", tasks.KindGroup, 120, metered)
	group.holds = []hold.Hold{credentials}
	nickname := lane("lakeside", "lakeside-dt", tasks.KindNickname, 12400, metered)
	nickname.holds = []hold.Hold{credentials}
	course := lane("lakeside", "lakeside-ci", tasks.KindCourse, 8, pace.Status{Allowed: 4.9, Share: 1})
	course.holds = []hold.Hold{person}
	gone := lane("hill", "hill-secondary-school-north-campus-dt", tasks.KindID, 1, pace.Status{
		Metered: true, Allowed: 19.77, Share: 1, Limits: []pace.Limit{{Calls: 1000, Per: pace.Day}}, Day: 990,
	})
	gone.unseen, gone.Seen = true, threeAM.Add(-46*time.Minute)
	slow := lane("hill", "hill-ci", tasks.KindCourse, 5000, pace.Status{
		Allowed: 0.35, InUse: 0.3, Share: 0.36, Refused: 12, Bad: 30 * time.Millisecond, Paused: 45 * time.Second,
	})
	slow.bulk.due = 2
	idle := lane("hill", "hill-ci", tasks.KindNickname, 0, pace.Status{Allowed: 19.77, Share: 1})
	idle.bulk, idle.urgent = queueState{}, queueState{}
	return &survey{now: threeAM, lanes: []laneState{group, nickname, course, gone, slow, idle}, strays: []hold.Hold{ban}}
}

// printed is what a person sees; styled shows the styles as package console marks them.
func printed(styled, detailed bool, width int) string {
	var out bytes.Buffer
	p := &printer{out: console.NewWriter(&out, "standard output", false), now: threeAM, width: width}
	if styled {
		p.out = &out
	}
	p.survey(aBadNight(), detailed)
	return out.String()
}

func TestABadNightIsSeenAtOnce(t *testing.T) {
	t.Parallel()
	for name, got := range map[string]string{"lanes.txt": printed(false, false, columns), "lanes-detailed.txt": printed(false, true, columns)} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s, -want +printed:\n%s", name, diff)
		}
		for line := range strings.Lines(got) {
			if n := cells(strings.TrimSuffix(line, "\n")); n > columns {
				t.Errorf("%d columns: %s", n, line)
			}
		}
	}
}

func TestOnATerminalHoldsAreRedAndNothingElseChanges(t *testing.T) {
	t.Parallel()
	style := regexp.MustCompile(`[\x{fdd0}-\x{fdef}]`)
	for _, width := range []int{60, columns, 120} {
		styled := printed(true, true, width)
		if diff := cmp.Diff(printed(false, true, width), style.ReplaceAllString(styled, "")); diff != "" {
			t.Errorf("-plain +styled:\n%s", diff)
		}
		if !strings.HasPrefix(styled, string(red)+"3 of 6 lanes on hold") || !strings.Contains(styled, "\n"+string(red)+"HELD  tenant lakeside-dt") {
			t.Errorf("%q", styled)
		}
	}
}

func TestLinesAreBrokenByWhatATerminalShows(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"  two\nwords\t", []string{"two words"}},
		{"exactly tn", []string{"exactly tn"}},
		{"one two three", []string{"one two", "three"}},
		{"averylongword is alone", []string{"averylongword", "is alone"}},
		{"不合法的corpid，请检查", []string{"不合法的", "corpid，请", "检查"}},
		{"ab 你好世界", []string{"ab 你好世", "界"}},
		{"run: " + glued("a b c d"), []string{"run:", "a b c d"}},
		{"\x1b[31mred \u0007", []string{`\u001b[31mred`, `\u0007`}},
		{"e\u0301e\u0301e\u0301 😀 e\u0301", []string{"e\u0301e\u0301e\u0301 😀 e\u0301"}},
		{"bad \xb2\xbb", []string{"bad \ufffd\ufffd"}},
	} {
		if diff := cmp.Diff(row.want, wrap(row.text, 10)); diff != "" {
			t.Errorf("%q, -want +got:\n%s", row.text, diff)
		}
	}
}

func TestLengthsOfTimeHaveTwoUnitsAtMost(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", time.Millisecond: "1s", 59 * time.Second: "59s", 90 * time.Second: "1m30s", 36*time.Minute + time.Second: "36m",
		134 * time.Minute: "2h14m", 47 * time.Hour: "47h00m", 164 * time.Hour: "6d20h", 3000 * 24 * time.Hour: "years",
	} {
		if got := short(d); got != want {
			t.Errorf("%s is told as %s, want %s", d, got, want)
		}
	}
}

func TestNobodyTellsWhenAHeldLaneIsDone(t *testing.T) {
	t.Parallel()
	bulk, full := hold.Hold{Bulk: true}, hold.Hold{}
	queue := func(n int64) queueState { return queueState{Queue: backlog.Queue{Pending: n}} }
	for name, row := range map[string]struct {
		lane laneState
		want string
	}{
		"nothing waits":              {laneState{}, "-"},
		"something does":             {laneState{bulk: queue(40), urgent: queue(20)}, "3s"},
		"retries and what is due":    {laneState{bulk: queueState{backlog.Queue{Retry: 20, Scheduled: 99}, 20}}, "2s"},
		"held":                       {laneState{bulk: queue(40), holds: []hold.Hold{full}}, "held"},
		"held and empty":             {laneState{holds: []hold.Hold{full}}, "held"},
		"bulk held, urgent ones go":  {laneState{urgent: queue(40), holds: []hold.Hold{bulk}}, "2s"},
		"bulk held, others wait too": {laneState{urgent: queue(40), bulk: queue(1), holds: []hold.Hold{bulk}}, "held"},
		"no worker":                  {laneState{bulk: queue(40), unseen: true}, "?"},
	} {
		row.lane.pace.Allowed = 20
		if got := row.lane.etaText(); got != row.want {
			t.Errorf("%s: %s, want %s", name, got, row.want)
		}
	}
	if got := (laneState{bulk: queue(1)}).etaText(); got != "?" {
		t.Errorf("at no known rate: %s", got)
	}
}
