package lanes

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/backlog"
	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/hold"
	"rollcall/internal/overview"
	"rollcall/internal/pace"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

var update = flag.Bool("update", false, "write the golden files of this package")

var threeAM = time.Date(2026, 3, 2, 3, 0, 0, 0, time.FixedZone("Asia/Shanghai", 8*60*60))

// troubledSurvey has two organisations: one with wrong credentials and a lane that a
// person holds, the other with a long name, a lane without a worker and a slow one.
func troubledSurvey() *Survey {
	march := pace.Month{Name: "2026-03", Spent: 4120, Ends: time.Date(2026, 4, 1, 0, 0, 0, 0, threeAM.Location())}
	lane := func(organisation, tenant string, kind tasks.Kind, pending int64, s pace.Status) overview.Lane {
		l := overview.Lane{Lane: registry.Lane{Organisation: organisation, Tenant: tenant, Kind: kind, Seen: threeAM.Add(-20 * time.Second)}}
		l.Bulk.Queue = backlog.Queue{Pending: pending, Active: 2, Scheduled: 40, Retry: 7, Archived: 3, Oldest: 3 * time.Hour}
		l.Urgent.Queue = backlog.Queue{Pending: 3}
		l.Pace = s
		l.Pace.Month, l.Pace.Spread, l.Pace.Booked = march, 12*time.Millisecond, 1000
		if len(s.Limits) == 0 {
			l.Pace.Limits = []pace.Limit{{Calls: 20, Per: time.Second}}
		}
		return l
	}
	metered := pace.Status{Metered: true, Quota: pace.Quota{Calls: 5000, Reserve: 500, Warn: 4000}, Allowed: 19.77, InUse: 19.5, Share: 1}
	credentials := hold.Hold{
		Scope: hold.Scope{Level: hold.Tenant, Name: "lakeside-dt"}, Class: hold.Refused, Probe: hold.ByToken, By: "worker-7f9c",
		Reason: "dingtalk gettoken: 40089: 不合法的corpid或corpsecret，请检查应用的凭证是否填写正确。: look at app_secret of the tenant in the configuration",
		Since:  threeAM.Add(-134 * time.Minute), Next: threeAM.Add(12 * time.Minute), Tries: 5,
	}
	person := hold.Hold{
		Scope: hold.Scope{Level: hold.Lane, Name: "lakeside-ci.course"}, Class: hold.Operator, Bulk: true, By: "ann@desk",
		Reason: "the roster\x1b[2J is wrong", Since: threeAM.Add(-30 * time.Hour), Until: threeAM.Add(6 * time.Hour),
	}
	ban := hold.Hold{
		Scope: hold.Scope{Level: hold.Address, Name: "office"}, Class: hold.Banned, By: "worker-7f9c", Reason: "90002: leave it alone",
		Since: threeAM, Until: threeAM.Add(5 * time.Minute),
	}
	group := lane("lakeside", "lakeside-dt", tasks.KindGroup, 120, metered)
	group.Holds = []hold.Hold{credentials}
	nickname := lane("lakeside", "lakeside-dt", tasks.KindNickname, 12400, metered)
	nickname.Holds = []hold.Hold{credentials}
	course := lane("lakeside", "lakeside-ci", tasks.KindCourse, 8, pace.Status{Allowed: 4.9, Share: 1})
	course.Holds = []hold.Hold{person}
	unserved := lane("hill", "hill-secondary-school-north-campus-dt", tasks.KindID, 1, pace.Status{
		Metered: true, Allowed: 19.77, Share: 1, Limits: []pace.Limit{{Calls: 1000, Per: pace.Day}}, Day: 990,
	})
	unserved.Unseen, unserved.Seen = true, threeAM.Add(-46*time.Minute)
	slow := lane("hill", "hill-ci", tasks.KindCourse, 5000, pace.Status{
		Allowed: 0.35, InUse: 0.3, Share: 0.36, Refused: 12, Bad: 30 * time.Millisecond, Paused: 45 * time.Second,
	})
	slow.Bulk.Due = 2
	idle := lane("hill", "hill-ci", tasks.KindNickname, 0, pace.Status{Allowed: 19.77, Share: 1})
	idle.Bulk, idle.Urgent = overview.Queue{}, overview.Queue{}
	return &Survey{Now: threeAM, Lanes: []overview.Lane{group, nickname, course, unserved, slow, idle}, Strays: []hold.Hold{ban}}
}

// printed is what a person sees; styled shows the styles as package console marks them.
func printed(styled, detailed bool, width int) string {
	var out bytes.Buffer
	p := &printer{&cli.Printer{Out: console.NewWriter(&out, "standard output", false), Now: threeAM, Width: width}}
	if styled {
		p.Out = &out
	}
	p.survey(troubledSurvey(), detailed)
	return out.String()
}

func TestTheSurveyMatchesTheGoldenFiles(t *testing.T) {
	t.Parallel()
	for name, got := range map[string]string{"lanes.txt": printed(false, false, cli.Columns), "lanes-detailed.txt": printed(false, true, cli.Columns)} {
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
			if n := console.Cells(strings.TrimSuffix(line, "\n")); n > cli.Columns {
				t.Errorf("%d columns: %s", n, line)
			}
		}
	}
}

func TestOnATerminalHoldsAreRedAndNothingElseChanges(t *testing.T) {
	t.Parallel()
	style := regexp.MustCompile(`[\x{fdd0}-\x{fdef}]`)
	for _, width := range []int{60, cli.Columns, 120} {
		styled := printed(true, true, width)
		if diff := cmp.Diff(printed(false, true, width), style.ReplaceAllString(styled, "")); diff != "" {
			t.Errorf("-plain +styled:\n%s", diff)
		}
		if !strings.HasPrefix(styled, string(console.Red)+"3 of 6 lanes on hold") || !strings.Contains(styled, "\n"+string(console.Red)+"HELD  tenant lakeside-dt") {
			t.Errorf("%q", styled)
		}
	}
}

func TestAHeldLaneHasNoEstimate(t *testing.T) {
	t.Parallel()
	bulk, full := hold.Hold{Bulk: true}, hold.Hold{}
	queue := func(n int64) overview.Queue { return overview.Queue{Queue: backlog.Queue{Pending: n}} }
	for name, row := range map[string]struct {
		lane overview.Lane
		want string
	}{
		"nothing waits":               {overview.Lane{}, "-"},
		"some tasks wait":             {overview.Lane{Bulk: queue(40), Urgent: queue(20)}, "3s"},
		"retries and what is due":     {overview.Lane{Bulk: overview.Queue{Queue: backlog.Queue{Retry: 20, Scheduled: 99, Due: 20}}}, "2s"},
		"held":                        {overview.Lane{Bulk: queue(40), Holds: []hold.Hold{full}}, "held"},
		"held and empty":              {overview.Lane{Holds: []hold.Hold{full}}, "held"},
		"bulk held, urgent tasks run": {overview.Lane{Urgent: queue(40), Holds: []hold.Hold{bulk}}, "2s"},
		"bulk held, others wait too":  {overview.Lane{Urgent: queue(40), Bulk: queue(1), Holds: []hold.Hold{bulk}}, "held"},
		"no worker":                   {overview.Lane{Bulk: queue(40), Unseen: true}, "?"},
	} {
		row.lane.Pace.Allowed = 20
		if got := etaText(row.lane); got != row.want {
			t.Errorf("%s: %s, want %s", name, got, row.want)
		}
	}
	if got := etaText(overview.Lane{Bulk: queue(1)}); got != "?" {
		t.Errorf("without a known rate: %s", got)
	}
}
