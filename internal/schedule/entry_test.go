package schedule_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/schedule"
)

func next(t *testing.T, e schedule.Entry, after string, n int) []string {
	t.Helper()
	e.Name, e.Roster = "night", "roster.csv"
	var got []string
	from, err := time.Parse(time.RFC3339, after)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range schedule.Next(e, from, n) {
		got = append(got, at.Format(time.RFC3339))
	}
	return got
}

func TestNextIsInTheZoneOfTheEntry(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		entry schedule.Entry
		after string
		want  []string
	}{
		{
			schedule.Entry{Cron: "30 2 * * *", Zone: "Asia/Shanghai"},
			"2026-03-01T18:30:00Z",
			[]string{"2026-03-03T02:30:00+08:00", "2026-03-04T02:30:00+08:00"},
		},
		{
			schedule.Entry{Cron: "0 4 * * 1-5"},
			"2026-03-06T12:00:00Z",
			[]string{"2026-03-09T04:00:00Z", "2026-03-10T04:00:00Z"},
		},
		{
			schedule.Entry{Cron: "@every 10m"},
			"2026-03-01T18:33:07Z",
			[]string{"2026-03-01T18:40:00Z", "2026-03-01T18:50:00Z"},
		},
		{schedule.Entry{Cron: "0 0 29 2 *"}, "2026-03-01T00:00:00Z", []string{"2028-02-29T00:00:00Z"}},
		// On 29 March clocks go from 02:00 to 03:00: that night has no 02:30.
		{
			schedule.Entry{Cron: "30 2 * * *", Zone: "Europe/Berlin"},
			"2026-03-27T12:00:00Z",
			[]string{"2026-03-28T02:30:00+01:00", "2026-03-30T02:30:00+02:00"},
		},
		// On 25 October clocks go back from 03:00 to 02:00: 02:30 occurs twice.
		{
			schedule.Entry{Cron: "30 2 * * *", Zone: "Europe/Berlin"},
			"2026-10-24T12:00:00Z",
			[]string{"2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-26T02:30:00+01:00"},
		},
		// If midnight itself is skipped, that day's tick is skipped too.
		{
			schedule.Entry{Cron: "0 0 * * *", Zone: "America/Santiago"},
			"2026-09-05T12:00:00Z",
			[]string{"2026-09-07T00:00:00-03:00"},
		},
	} {
		if diff := cmp.Diff(row.want, next(t, row.entry, row.after, len(row.want))); diff != "" {
			t.Errorf("%s %s after %s (-want +got):\n%s", row.entry.Cron, row.entry.Zone, row.after, diff)
		}
	}
}

func TestNextOfARefusedEntryIsEmpty(t *testing.T) {
	t.Parallel()
	if got := next(t, schedule.Entry{Cron: "30 2 * *"}, "2026-03-01T18:30:00Z", 3); got != nil {
		t.Errorf("%v", got)
	}
}

// The configuration allows names of the same length, as docs/config.md says.
func TestANameHasAtMost39Characters(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "| required | 1 to 39 of `a-z`, `0-9` and `-`") {
		t.Error("docs/config.md names another length")
	}
	for length, good := range map[int]bool{39: true, 40: false} {
		e := schedule.Entry{Name: strings.Repeat("n", length), Cron: "30 2 * * *", Zone: "Asia/Shanghai", Roster: "roster.csv"}
		if _, err := schedule.New(schedule.Config{Entries: []schedule.Entry{e}, Redis: &redis.UniversalOptions{}}); (err == nil) != good {
			t.Errorf("a name of %d characters: %v", length, err)
		}
	}
}

func TestNewNamesEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	entry := func(change func(*schedule.Entry)) schedule.Entry {
		e := schedule.Entry{Name: "night", Cron: "30 2 * * *", Zone: "Asia/Shanghai", Roster: "roster.csv"}
		change(&e)
		return e
	}
	for want, e := range map[string]schedule.Entry{
		`schedule "Night": name: must be`:             entry(func(e *schedule.Entry) { e.Name = "Night" }),
		`cron: "30 2 * *": expected exactly 5 fields`: entry(func(e *schedule.Entry) { e.Cron = "30 2 * *" }),
		`cron: "": `: entry(func(e *schedule.Entry) { e.Cron = "" }),
		`cron: "61 2 * * *": end of range (61) above maximum (59)`: entry(func(e *schedule.Entry) { e.Cron = "61 2 * * *" }),
		`cron: write the time zone under zone, not in cron`:        entry(func(e *schedule.Entry) { e.Cron = "TZ=UTC" }),
		`cron: "0 0 30 2 *": this day does not exist`:              entry(func(e *schedule.Entry) { e.Cron = "0 0 30 2 *" }),
		`cron: "@every 1500ms": must be whole seconds`:             entry(func(e *schedule.Entry) { e.Cron = "@every 1500ms" }),
		`zone: "Asia/Peking" is unknown: write a name of the IANA`: entry(func(e *schedule.Entry) { e.Zone = "Asia/Peking" }),
		`zone: "Local" is unknown`:                                 entry(func(e *schedule.Entry) { e.Zone = "Local" }),
		`jitter: 500ms must be whole seconds, up to 12h`:           entry(func(e *schedule.Entry) { e.Jitter = 500 * time.Millisecond }),
		`jitter: 13h0m0s must be`:                                  entry(func(e *schedule.Entry) { e.Jitter = 13 * time.Hour }),
		`misfire window: 30s must be whole seconds, 1m to 72h`:     entry(func(e *schedule.Entry) { e.MisfireWindow = 30 * time.Second }),
		`overlap: "never" is unknown: write queue or skip`:         entry(func(e *schedule.Entry) { e.Overlap = "never" }),
		`it does nothing: give a roster file or courses`:           entry(func(e *schedule.Entry) { e.Roster = "" }),
		`it has a roster and courses`:                              entry(func(e *schedule.Entry) { e.Courses.Tenant = "ci" }),
		`courses: there are no ids`:                                entry(func(e *schedule.Entry) { e.Roster, e.Courses.Tenant = "", "ci" }),
		`courses: entry 2: course_id must be 1 to 19 digits`: entry(func(e *schedule.Entry) {
			e.Roster, e.Courses = "", schedule.Courses{Tenant: "ci", IDs: []string{"1", "x"}}
		}),
		`courses: entry 2: course "1" is listed twice`: entry(func(e *schedule.Entry) {
			e.Roster, e.Courses = "", schedule.Courses{Tenant: "ci", IDs: []string{"1", "1"}}
		}),
		`courses: entry 1: tenant is missing`: entry(func(e *schedule.Entry) { e.Roster, e.Courses = "", schedule.Courses{IDs: []string{"1"}} }),
	} {
		_, err := schedule.New(schedule.Config{Entries: []schedule.Entry{e}, Redis: &redis.UniversalOptions{}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that contains %q", err, want)
		}
	}
	good := entry(func(*schedule.Entry) {})
	_, err := schedule.New(schedule.Config{Entries: []schedule.Entry{good, good, {Name: "x"}}, Redis: &redis.UniversalOptions{}})
	if err == nil || strings.Count(err.Error(), "\n") != 2 || !strings.Contains(err.Error(), "its name is used twice") {
		t.Errorf("want an error with three problems:\n%v", err)
	}
	if _, err := schedule.New(schedule.Config{Entries: []schedule.Entry{good}}); err == nil {
		t.Error("no Redis, and no error")
	}
}
