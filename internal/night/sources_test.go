package night_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/manual"
	"rollcall/internal/night"
	"rollcall/internal/redistest"
	"rollcall/internal/run"
	"rollcall/internal/source"
)

// ways are the ways in which a source fails.
func ways() []string {
	return []string{
		"is down", "is slow, or still being written", "gives half of it", "lacks the last page", "refuses a department", "has wrong columns",
		"gives no permission", "gives an old content again", "is empty",
	}
}

// failure is a source that fails in one of the ways.
type failure struct {
	way  string
	want string // cause of a failed night, or guard that holds it
	says string // a part of the reason
	open func(t *testing.T) source.Source
}

// origin is a kind of source. good gives the members of a night.
type origin struct {
	rule     func(t *testing.T, r *rig) night.Rule // nil: the columns of a roster
	good     func(t *testing.T, n int, members []member) source.Source
	failures []failure
}

// cause reports whether want is the cause of a failed night.
func (f failure) cause() bool {
	return slices.Contains([]string{
		string(source.Down), string(source.Slow), string(source.Refused), string(source.Malformed), string(source.Missing), string(source.NotReady), string(source.Empty),
	}, f.want)
}

// pupils are the members before and after one of them is renamed.
func pupils() (before, after []member) {
	before = class("chat1", 1, 20)
	return before, rename(before, "u1", "Renamed")
}

// A source that fails sends nothing and removes no member, though a member who is missing
// for one night would be removed, and the report has the reason.
func TestASourceThatFailsSendsNothingAndRemovesNoMember(t *testing.T) {
	t.Parallel()
	long(t)
	for name, open := range map[string]func(t *testing.T) origin{
		"files": filesOrigin, "https": httpsOrigin, "oneroster": oneRosterOrigin, "contacts": contactsOrigin,
		"postgresql": postgreSQLOrigin, "mariadb": mariaDBOrigin,
	} {
		t.Run(name, func(t *testing.T) { //nolint:paralleltest // its failures are nights of one school
			t.Parallel()
			open(t).fails(t)
		})
	}
}

func (o origin) fails(t *testing.T) {
	before, after := pupils()
	r := newRig(t, redistest.One(t), before)
	r.night.Absence = night.Absence{Nights: 1, Chats: []string{"chat1"}}
	if o.rule != nil {
		r.night.Rule = o.rule(t, r)
	}
	r.work()
	for n, members := range [][]member{before, after} {
		r.night.Source = o.good(t, n+1, members)
		if got := r.whole(n + 1); got.State != night.StateDone || got.Drift != 0 {
			t.Fatalf("night %d is %+v", n+1, got)
		}
	}
	n := 3
	for _, f := range o.failures {
		if !t.Run(f.way, func(t *testing.T) { r.fails(t, n, f) }) { //nolint:paralleltest // a night after the other
			return
		}
		n++
	}
	r.night.Source = o.good(t, n, after)
	needed := r.calls() - r.repeats() // on a machine that stood still a call may be repeated
	if got := r.whole(n); got.State != night.StateDone || got.Missing != 0 || got.Drift != 0 || r.calls()-r.repeats() != needed {
		t.Errorf("the night on which the source is right again is %+v, with %d calls", got, r.calls()-r.repeats()-needed)
	}
}

// fails carries out a night whose source fails.
func (r *rig) fails(t *testing.T, n int, f failure) {
	t.Helper()
	calls, platform, runs := r.calls(), r.platform(), r.appliedRuns(t)
	r.night.Source = f.open(t)
	r.at(nightOf(n))
	_, err := r.nights.Run(t.Context(), r.night, nightOf(n))
	if _, again := errors.AsType[*source.Error](err); again {
		r.at(nightOf(n).Add(16 * time.Minute))
		_, err = r.nights.Run(t.Context(), r.night, nightOf(n))
	}
	if err != nil {
		t.Fatal(err)
	}
	got := r.report(n)
	reason := strings.Join(got.Decide, "; ")
	switch {
	case f.cause() && (got.State != night.StateFailed || string(got.Cause) != f.want || got.Run != ""):
		t.Errorf("the night is %+v, want failed because of %s", got, f.want)
	case !f.cause() && (got.State != night.StateHeld || !strings.HasPrefix(reason, f.want+": ")):
		t.Errorf("the night is %+v, want held by %s", got, f.want)
	}
	if !strings.Contains(reason, f.says) {
		t.Errorf("the report does not contain %q: %s", f.says, reason)
	}
	if diff := cmp.Diff(platform, r.platform()); diff != "" || r.calls() != calls {
		t.Errorf("%d calls; members and names (-before +after):\n%s", r.calls()-calls, diff)
	}
	if now := r.appliedRuns(t); now != runs {
		t.Errorf("%d runs were applied", now-runs)
	}
}

// appliedRuns counts the runs that were applied.
func (r *rig) appliedRuns(t *testing.T) (n int) {
	t.Helper()
	all, err := r.runs.List(t.Context(), run.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, made := range all {
		if !made.Applied.IsZero() {
			n++
		}
	}
	return n
}

// The page has a cell for each test above. Both databases fail alike.
func TestThePageOfSourcesHasTheFailures(t *testing.T) {
	t.Parallel()
	columns := []struct {
		title    string
		failures []failure
	}{
		{"files", fileFailures(nil)}, {"HTTPS", httpsFailures()}, {"OneRoster", oneRosterFailures(nil)}, {"SQL", sqlFailures(nil)}, {"contacts", contactsFailures()},
	}
	head := []string{"the source"}
	for _, c := range columns {
		head = append(head, c.title)
	}
	var rows [][]string
	for _, way := range ways() {
		row := []string{way}
		for _, c := range columns {
			i := slices.IndexFunc(c.failures, func(f failure) bool { return f.way == way })
			switch {
			case i >= 0 && c.failures[i].cause():
				row = append(row, "`"+c.failures[i].want+"`")
			case i >= 0:
				row = append(row, "held: `"+c.failures[i].want+"`")
			case way == "refuses a department":
				row = append(row, "–")
			default:
				t.Errorf("no test lets the source %s fail so that it %s", c.title, way)
			}
		}
		rows = append(rows, row)
	}
	for _, c := range columns {
		for _, f := range c.failures {
			if !slices.Contains(ways(), f.way) {
				t.Errorf("%s: there is no way %q", c.title, f.way)
			}
		}
	}
	manual.Parts(t, "../../docs/sources.md", map[string]string{"failures": manual.Table(head, rows)}, *update)
}
