package night_test

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"rollcall/internal/manual"
	"rollcall/internal/night"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/internal/sandbox"
)

var update = flag.Bool("update", false, "rewrite docs/nightly-simulation.md")

// TestThirtyNights carries out thirty nights of a school with three schedules, and compares
// the platforms with the roster after each: they differ only where the reports, or the
// script, say so. It writes docs/nightly-simulation.md.
func TestThirtyNights(t *testing.T) {
	t.Parallel()
	if testing.Short() && !*update {
		t.Skip("takes two minutes")
	}
	redistest.Stepped(t, func(t *testing.T, server *redistest.Server) {
		s := newTerm(t, server)
		y := &year{term: s, hidden: map[slot]self{}, refused: map[slot]string{}, leavers: map[string]int{}}
		for n, c := range script() {
			y.night(n+1, c)
		}
		switch page := y.page(); {
		case y.repeats() == 0:
			manual.Page(t, "../../docs/nightly-simulation.md", page, *update && server.Mini != nil)
		case *update:
			t.Error("the machine stood still, and calls were repeated: the page is not written")
		default:
			t.Log("the machine stood still, and calls were repeated, which reports count: the page is not compared")
		}
	})
}

// slot is a name, or an ID, on a platform.
type slot struct {
	schedule string // whose
	chat     string // of a nickname
	person   string
}

func (s slot) String() string {
	if s.chat != "" {
		return s.chat + "/" + s.person
	}
	return s.person
}

// self is a name that a member chose in the app.
type self struct {
	name  string
	night int
}

// year is what is known of a school beyond its roster.
type year struct {
	*term

	n       int
	square  bool            // roles are in square brackets
	hidden  map[slot]self   // what rollcall cannot see
	refused map[slot]string // why a platform does not accept a value
	leavers map[string]int  // user of the managed class → night on which they left the roster
	back    []string        // users who are added again tonight
	effects int             // effects before the night
	written []chronicle     // nights
}

// change changes a person of the roster.
func (y *year) change(user string, change func(*person)) {
	y.t.Helper()
	y.roster = slices.Clone(y.roster)
	i := slices.IndexFunc(y.roster, func(p person) bool { return p.user == user })
	if i < 0 {
		y.t.Fatalf("night %d: %s is not in the roster", y.n, user)
	}
	change(&y.roster[i])
}

// role gives people a role.
func (y *year) role(role string, numbers ...int) {
	y.t.Helper()
	for _, n := range numbers {
		y.change(fmt.Sprintf("u%03d", n), func(p *person) { p.role = role })
	}
}

// leave removes people from the roster.
func (y *year) leave(users ...string) {
	y.roster = slices.DeleteFunc(slices.Clone(y.roster), func(p person) bool {
		leaves := slices.Contains(users, p.user)
		if leaves && p.class == managedClass {
			y.leavers[p.user] = y.n
		}
		return leaves
	})
}

// join adds people of the first list to the roster.
func (y *year) join(people ...person) {
	for _, p := range people {
		if _, left := y.leavers[p.user]; left {
			y.back = append(y.back, p.user)
			delete(y.leavers, p.user)
		}
		y.roster = append(slices.Clone(y.roster), p)
	}
}

// renames lets a member choose a name in the app.
func (y *year) renames(user, name string) {
	y.t.Helper()
	i := slices.IndexFunc(y.roster, func(p person) bool { return p.user == user })
	chat := y.roster[i].chat()
	if !y.box.Rename(organisation, chat, user, name) {
		y.t.Fatalf("%s is not in %s", user, chat)
	}
	y.hidden[slot{ofNicknames, chat, user}] = self{name, y.n}
}

// arm arms a fault of the platform for tonight.
func (y *year) arm(f sandbox.Fault) {
	y.t.Helper()
	if _, err := y.box.Arm(f); err != nil {
		y.t.Fatal(err)
	}
}

// bans lets the platform ban the address at the next call.
func (y *year) bans() {
	y.banned, y.passed = true, false
	y.arm(sandbox.Fault{Kind: sandbox.FaultBan, Tenant: "ding-lakeside", For: ban})
}

// limit leaves the month so many calls.
func (y *year) limit(left int) {
	y.t.Helper()
	if err := y.set.SetQuota(y.t.Context(), organisation, pace.Quota{Calls: y.spent() + left}); err != nil {
		y.t.Fatal(err)
	}
}

// approve approves the run of a held night.
func (y *year) approve(r night.Report) {
	y.t.Helper()
	held, err := y.runs.Get(y.t.Context(), r.Run)
	if err == nil {
		_, err = y.runs.Approve(y.t.Context(), held.ID, held.Plan.Digest, "ann")
	}
	if err != nil {
		y.t.Fatal(err)
	}
}

// night carries out a night of all schedules, one after the other: what one spends of the
// month, the next does not have.
func (y *year) night(n int, c chapter) {
	y.t.Helper()
	y.n, y.effects, y.export, y.banned, y.back = n, len(y.box.Effects()), edition{}, false, nil
	y.pass(tickOf(n).Sub(y.now()))
	if c.before != nil {
		c.before(y)
	}
	switch {
	case y.export.late:
		y.remove(1, n)
	case y.export.again:
		y.remove(n-1, n)
	default:
		y.write(n)
	}
	reports := map[string]night.Report{}
	var notes []string
	for _, each := range y.schedules {
		got := y.carryOut(each, n)
		if got.State == night.StateWaiting {
			notes = append(notes, fmt.Sprintf("%s waited: `%s`, %s", each.Name, got.Cause, got.Why))
			y.write(n)
			y.pass(ban) // the next attempt
			got = y.carryOut(each, n)
			y.remove(n, n) // of the next schedule
		}
		if c.approve == each.Name && got.State == night.StateHeld {
			notes = append(notes, fmt.Sprintf("%s was held: %s", each.Name, strings.Join(got.Decide, "; ")))
			y.approve(got)
			got = y.until(each, n, night.Report.Final)
		}
		reports[each.Name] = got
	}
	if y.export.late {
		y.write(n)
	}
	y.judge(n, c, reports)
	for _, f := range y.box.Faults() {
		if f.Fired == 0 {
			y.t.Errorf("night %d: the fault %s has struck no call", n, f.Fault.Name)
		}
	}
	y.box.DisarmAll()
	y.written = append(y.written, chronicle{night: n, chapter: c, notes: notes, reports: reports, differ: y.explained(reports)})
}

// want returns the values that the roster means.
func (y *year) want() map[slot]string {
	all := map[slot]string{}
	for _, p := range y.roster {
		if p.status == "left" {
			continue
		}
		all[slot{ofNicknames, p.chat(), p.user}] = p.nickname(y.square)
		all[slot{schedule: ofStudents, person: p.uid}] = p.name + p.number
		all[slot{schedule: ofIDs, person: p.user}] = p.id
	}
	return all
}

// platforms returns the values that the platforms have.
func (y *year) platforms() map[slot]string {
	state, _ := y.box.State().Organisation(organisation)
	all := map[slot]string{}
	for _, e := range state.Employees {
		all[slot{schedule: ofIDs, person: e.UserID}] = e.DingTalkID
	}
	for _, c := range state.Chats {
		for _, m := range c.Members {
			all[slot{ofNicknames, c.ID, m.UserID}] = m.Nick
		}
	}
	for _, c := range state.Schools[0].Courses {
		for _, st := range c.Students {
			all[slot{schedule: ofStudents, person: st.UID}] = st.Nickname
		}
	}
	return all
}

// difference is a value of a platform that is not that of the roster.
type difference struct {
	slot
	got, want string
	member    bool // got: who is in a managed chat and not in the roster
}

// differ returns all differences, and forgets names that members chose and that were set again.
func (y *year) differ() []difference {
	want, got := y.want(), y.platforms()
	var all []difference
	for at, value := range want {
		if got[at] != value {
			all = append(all, difference{slot: at, got: got[at], want: value})
		}
	}
	for at := range got {
		if _, is := want[at]; !is && at.chat == "chat"+managedClass && at.person != "owner" {
			all = append(all, difference{slot: at, got: got[at], member: true})
		}
	}
	for at, chosen := range y.hidden {
		if got[at] != chosen.name {
			delete(y.hidden, at)
		}
	}
	slices.SortFunc(all, func(a, b difference) int {
		return strings.Compare(fmt.Sprint(a.schedule, a.chat, a.person), fmt.Sprint(b.schedule, b.chat, b.person))
	})
	return all
}

// reason returns why a value differs, by the script; "" if the script does not know.
func (y *year) reason(d difference) string {
	if chosen, is := y.hidden[d.slot]; is && d.got == chosen.name {
		return fmt.Sprintf("the member chose the name in the app on night %d; DingTalk has no call that shows it", chosen.night)
	}
	if since, left := y.leavers[d.person]; left && d.member {
		return fmt.Sprintf("missing since night %d; members of this chat are removed on the third night", since)
	}
	if slices.Contains(y.back, d.person) {
		return "added again tonight; named the next night"
	}
	return y.refused[d.slot]
}

// judge compares the reports of a night with the platforms.
func (y *year) judge(n int, c chapter, reports map[string]night.Report) {
	y.t.Helper()
	differ := y.differ()
	for _, each := range y.schedules {
		got, want := reports[each.Name], night.StateDone
		if state, special := c.states[each.Name]; special {
			want = state
		}
		if got.State != want {
			y.t.Fatalf("night %d of %s is %+v, want %s\n%s", n, each.Name, got, want, y.log)
		}
		y.judgeOne(n, got, differ)
	}
}

// judgeOne compares one report with the platform: each difference has a reason, of which
// the report has the count.
func (y *year) judgeOne(n int, got night.Report, differ []difference) {
	y.t.Helper()
	if changed := y.changed(got.Schedule); changed != got.Applied && y.repeats() == 0 {
		y.t.Errorf("night %d of %s changed %d values, and reports %d", n, got.Schedule, changed, got.Applied)
	}
	hidden, refused, restored, rest := 0, 0, 0, 0
	for _, d := range differ {
		if d.schedule != got.Schedule {
			continue
		}
		_, chosen := y.hidden[d.slot]
		switch reason := y.reason(d); {
		case d.member && reason == "":
			y.t.Errorf("night %d: %s is still in the chat", n, d)
		case d.member, chosen:
			hidden++
		case slices.Contains(y.back, d.person):
			restored++
		case reason != "":
			refused++
		default:
			rest++
		}
	}
	if got.State != night.StateDone {
		if got.Applied != 0 || rest+restored > 0 && len(got.Decide) == 0 {
			y.t.Errorf("night %d of %s differs from the roster without a reason: %+v", n, got.Schedule, got)
		}
		return
	}
	for what, counts := range map[string][2]int{
		"refused": {refused, count(got.Failed) + count(got.SetAside) + got.Impossible}, "restored": {restored, got.Restored},
		"carried over": {rest, got.CarriedOver}, "all": {refused + restored + rest, got.Drift},
	} {
		if counts[0] != counts[1] {
			y.t.Errorf("night %d of %s: %d values differ (%s), and the report says %d\n%v\n%+v", n, got.Schedule, counts[0], what, counts[1], differ, got)
		}
	}
}

// repeats counts the calls that set a value again: after a long stop of the machine the
// outcome of a call is unknown.
func (y *year) repeats() (n int) {
	for _, e := range y.box.Effects() {
		for _, c := range e.Changes {
			if e.API != sandbox.APIStudentNick && c.Old == c.New {
				n++
			}
		}
	}
	return n
}

func count(of map[string]int) int {
	n := 0
	for each := range maps.Values(of) {
		n += each
	}
	return n
}

// changed counts the values that a schedule has changed on the platforms tonight.
func (y *year) changed(schedule string) int {
	apis := map[string][]string{
		ofNicknames: {sandbox.APIGroupNick, sandbox.APIGroupUpdate}, ofStudents: {sandbox.APIEditStudent}, ofIDs: {sandbox.APIChangeID},
	}[schedule]
	n := 0
	for _, e := range y.box.Effects()[y.effects:] {
		for _, c := range e.Changes {
			if slices.Contains(apis, e.API) && c.Old != c.New {
				n++
			}
		}
	}
	return n
}
