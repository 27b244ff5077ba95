package night_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"rollcall/internal/manual"
	"rollcall/internal/night"
	"rollcall/internal/pace"
)

// chronicle is what a page has of a night.
type chronicle struct {
	night   int
	chapter chapter
	notes   []string
	reports map[string]night.Report
	differ  []string
}

// mostListed is how many differences of one reason are listed one by one.
const mostListed = 3

// explained lists the differences after a night, each with its reason; many of one reason
// are counted.
func (y *year) explained(reports map[string]night.Report) []string {
	of := map[string][]string{}
	for _, d := range y.differ() {
		reason := y.reason(d)
		if reason == "" {
			switch r := reports[d.schedule]; r.State {
			case night.StateDone:
				reason = "carried over, as the month has no calls left"
			default:
				reason = fmt.Sprintf("the night of %s is `%s`", d.schedule, r.State)
			}
		}
		what := fmt.Sprintf("%s: `%s` is `%s`, not `%s`", d.schedule, d.slot, d.got, d.want)
		if d.member {
			what = fmt.Sprintf("%s: `%s` is in the chat", d.schedule, d.slot)
		}
		of[reason] = append(of[reason], what)
	}
	var lines []string
	for _, reason := range slices.Sorted(maps.Keys(of)) {
		if n := len(of[reason]); n > mostListed {
			lines = append(lines, fmt.Sprintf("%d values: %s", n, reason))
			continue
		}
		for _, what := range of[reason] {
			lines = append(lines, what+": "+reason)
		}
	}
	return lines
}

const preface = `<!-- generated: make update, from internal/night/simulation_test.go -->

# Thirty nights of a school

See what three schedules report in a month in which much goes wrong. A test carries out these nights against emulated platforms, and
compares the platforms with the roster after each: every difference is counted by a report, or named here with its reason.

The school has five classes of 20 students. Its three schedules read the same file: ` + "`nicknames`" + ` names the members of the classes'
DingTalk chats, ` + "`students`" + ` the students in ClassIn, ` + "`ids`" + ` gives everyone a DingTalk ID. The roster decides who is in the chat of
7B. The counts and reasons are those of the [report](nightly.md#the-report) at the end of the night; zeros are left out. Nights are held by
[guards](nightly.md#when-a-night-is-held).

`

// page writes what happened.
func (y *year) page() string {
	var page strings.Builder
	_, _ = page.WriteString(preface)
	for _, c := range y.written {
		day := tickOf(c.night).In(pace.Shanghai).Format("2006-01-02")
		_, _ = fmt.Fprintf(&page, "## Night %d, %s\n\n", c.night, day)
		if c.chapter.what != "" {
			_, _ = fmt.Fprintf(&page, "%s\n\n", c.chapter.what)
		}
		_, _ = page.WriteString(y.table(c))
		if list := slices.Concat(c.notes, c.differ); len(list) > 0 {
			_, _ = fmt.Fprintf(&page, "\n- %s\n", strings.Join(list, "\n- "))
		}
		_, _ = page.WriteString("\n")
	}
	_, _ = page.WriteString("## In the end\n\n")
	last := y.explained(y.written[len(y.written)-1].reports)
	_, _ = fmt.Fprintf(&page, "Of %d values of the roster the platforms have all but these:\n\n- %s\n", len(y.want()), strings.Join(last, "\n- "))
	// The directory of the test is not that of a school.
	return strings.ReplaceAll(page.String(), y.directory, "/srv/export")
}

func (y *year) table(c chronicle) string {
	var rows [][]string
	for _, each := range y.schedules {
		r := c.reports[each.Name]
		decide := strings.Join(r.Decide, "; ")
		if r.Again > 0 {
			decide += fmt.Sprintf(" (again: %d)", r.Again)
		}
		notified := ""
		if y.notified(r.Schedule, c.night) {
			notified = "yes"
		}
		rows = append(rows, []string{"`" + r.Schedule + "`", "`" + string(r.State) + "`", counts(r), decide, notified})
	}
	return manual.Table([]string{"schedule", "state", "counts", "decide", "notified"}, rows)
}

// counts lists what a report counts, without zeros.
func counts(r night.Report) string {
	var all []string
	add := func(what string, n int) {
		if n > 0 {
			all = append(all, fmt.Sprintf("%s %d", what, n))
		}
	}
	add("rows", r.Rows)
	add("unchanged", r.Unchanged)
	add("planned", r.Planned)
	add("applied", r.Applied)
	for i, of := range []map[string]int{r.Failed, r.SetAside} {
		for _, cause := range slices.Sorted(maps.Keys(of)) {
			add([]string{"failed", "set aside"}[i]+" `"+cause+"`", of[cause])
		}
	}
	add("conflicts", r.Conflicts)
	add("impossible", r.Impossible)
	add("carried over", r.CarriedOver)
	add("missing", r.Missing)
	add("returned", r.Returned)
	add("removed", r.Removed)
	add("restored", r.Restored)
	add("drift", r.Drift)
	return strings.Join(all, ", ")
}
