package ui

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"rollcall/internal/access"
	"rollcall/internal/night"
	"rollcall/internal/schedule"
)

const (
	ticksOnPage  = 20
	nightsOnPage = 10
)

func (u *UI) scheduleRoutes() {
	u.handle("GET /schedules", access.Viewer, u.schedulesPage)
	u.handle("GET /schedules/{name}", access.Viewer, u.schedulePage)
	u.handle("POST /schedules/{name}/run", access.Operator, u.scheduleRun)
	for _, s := range []scheduleSwitch{
		{"pause", true, u.schedules.Pause, "schedule.paused", "schedule.paused.again"},
		{"resume", false, u.schedules.Resume, "schedule.notpaused", "schedule.resumed"},
	} {
		u.handle("POST /schedules/{name}/"+s.action, access.Operator, func(r *request) (view, error) { return u.switchSchedule(r, s) })
	}
}

// scheduleSwitch pauses or resumes a schedule.
type scheduleSwitch struct {
	action  string // the last part of its address
	because bool   // it needs a reason
	do      func(ctx context.Context, name, by, reason string) (paused bool, err error)
	// The notices for a schedule that was not paused before, and for one that was.
	running, paused string
}

// scheduleView is a schedule as the pages show it.
type scheduleView struct {
	schedule.Info

	Address string
	Tick    *tickView // the last; nil: none yet
}

// tickView is a tick as the pages show it.
type tickView struct {
	schedule.Past

	Badge badge  // its state
	About string // the result, or why it was not carried out
	Began string // how late, and how long it took
}

func (r *request) tickView(p schedule.Past) tickView {
	v := tickView{Past: p, Badge: badge{"ok", r.named("tick.", string(p.State))}, About: r.result(p.Result)}
	switch p.State {
	case schedule.Failed, schedule.Missed, schedule.Deleted:
		v.Badge.Class = "bad"
	case schedule.Retrying, schedule.Skipped:
		v.Badge.Class = "warn"
	case schedule.Due, schedule.Waiting, schedule.Running:
		v.Badge.Class = "quiet"
	case schedule.Done:
	}
	if v.About == "" && p.By == "" {
		v.About = p.Reason
	}
	if !p.Start.IsZero() {
		v.Began = r.t("schedule.began", r.duration(max(0, p.Start.Sub(p.At))))
		if !p.End.IsZero() {
			v.Began = r.t("schedule.took", r.duration(max(0, p.Start.Sub(p.At))), r.duration(p.End.Sub(p.Start)))
		}
	}
	return v
}

func (r *request) scheduleView(i schedule.Info) scheduleView {
	v := scheduleView{Info: i, Address: scheduleAddress(i.Name)}
	if i.Last != nil {
		tick := r.tickView(*i.Last)
		v.Tick = &tick
	}
	return v
}

// scheduleList is what the page of all schedules shows.
type scheduleList struct {
	Leader bool
	Rows   []scheduleView
}

func (u *UI) schedulesPage(r *request) (view, error) {
	survey, err := u.schedules.List(r.Context())
	if err != nil {
		return view{}, err
	}
	list := scheduleList{Leader: survey.Leader}
	for _, i := range survey.Entries {
		list.Rows = append(list.Rows, r.scheduleView(i))
	}
	return show("schedules.html", "schedule.title", list).refreshed(), nil
}

// scheduleOne is what the page of one schedule shows.
type scheduleOne struct {
	Name     string
	Schedule *scheduleView // nil: no worker has it any more
	Leader   bool
	Ticks    []tickView // the newest first
	Nights   []nightView
}

// nightView is the report of a night as the page shows it.
type nightView struct {
	night.Report

	Badge     badge // its state
	RunAt     string
	Failures  []counted
	SetAsideN int
}

// counted is how often there is something.
type counted struct {
	Name string
	N    int
}

func (r *request) nightView(n night.Report) nightView {
	v := nightView{Report: n, Badge: badge{"ok", r.named("night.", string(n.State))}}
	switch n.State {
	case night.StateFailed, night.StateExpired, night.StateStopped:
		v.Badge.Class = "bad"
	case night.StateHeld, night.StatePaused, night.StateRejected, night.StateWaiting:
		v.Badge.Class = "warn"
	case night.StateSending, night.StateReplaced:
		v.Badge.Class = "quiet"
	case night.StateDone:
	}
	if n.Run != "" {
		v.RunAt = runAddress(n.Run)
	}
	for _, cause := range slices.Sorted(maps.Keys(n.Failed)) {
		v.Failures = append(v.Failures, counted{cause, n.Failed[cause]})
	}
	slices.SortStableFunc(v.Failures, func(a, b counted) int { return b.N - a.N })
	for _, count := range n.SetAside {
		v.SetAsideN += count
	}
	return v
}

func (u *UI) schedulePage(r *request) (view, error) {
	name := r.PathValue("name")
	survey, err := u.schedules.List(r.Context())
	if err != nil {
		return view{}, err
	}
	page := scheduleOne{Name: name, Leader: survey.Leader}
	if i := slices.IndexFunc(survey.Entries, func(i schedule.Info) bool { return i.Name == name }); i >= 0 {
		v := r.scheduleView(survey.Entries[i])
		page.Schedule = &v
	}
	past, err := u.schedules.History(r.Context(), name, ticksOnPage)
	if err != nil {
		return view{}, unknownSchedule(err)
	}
	for _, p := range slices.Backward(past) {
		page.Ticks = append(page.Ticks, r.tickView(p))
	}
	nights, err := night.History(r.Context(), u.rdb, name)
	if err != nil {
		return view{}, err
	}
	for _, n := range nights[:min(len(nights), nightsOnPage)] {
		page.Nights = append(page.Nights, r.nightView(n))
	}
	return show("schedule.html", "schedule.one", page).refreshed(), nil
}

// unknownSchedule turns the error about a name that no schedule has into one of the user.
func unknownSchedule(err error) error {
	if _, is := errors.AsType[*schedule.NotFoundError](err); is {
		return errNotFound
	}
	return err
}

func (u *UI) scheduleRun(r *request) (view, error) {
	reason, err := r.reason(false)
	if err != nil {
		return view{}, err
	}
	name := r.PathValue("name")
	tick, err := u.schedules.RunNow(r.Context(), name, r.User.By(), reason)
	if _, is := errors.AsType[*schedule.BusyError](err); is {
		return seeOther(scheduleAddress(name), "schedule.busy"), nil
	}
	if err != nil {
		return view{}, unknownSchedule(err)
	}
	return seeOther(scheduleAddress(name), "schedule.started", tick.ID()), nil
}

func (u *UI) switchSchedule(r *request, s scheduleSwitch) (view, error) {
	reason, err := r.reason(s.because)
	if err != nil {
		return view{}, err
	}
	name, notice := r.PathValue("name"), s.running
	before, err := s.do(r.Context(), name, r.User.By(), reason)
	if err != nil {
		return view{}, unknownSchedule(err)
	}
	if before {
		notice = s.paused
	}
	return seeOther(scheduleAddress(name), notice, name), nil
}

func scheduleAddress(name string) string { return "/schedules/" + url.PathEscape(name) }

// chineseDoes is what workers publish of a schedule, in English, and in Chinese.
var chineseDoes = [][2]string{
	{"nightly sync of files ", "每晚同步文件 "},
	{"nightly sync of https", "每晚同步 HTTPS 花名册"},
	{"nightly sync of oneroster ", "每晚同步 OneRoster "},
	{"nightly sync of sql ", "每晚同步数据库 "},
	{"nightly sync of contacts of ", "每晚同步通讯录 "},
	{"roster ", "花名册 "},
}

// result is what became of a tick, in the user's language.
func (r *request) result(text string) string {
	if r.Lang != chinese {
		return text
	}
	return stored.ReplaceAllString(text, "任务 $1 个：已存储 $2，已存在 $3，被拒绝 $4")
}

var stored = regexp.MustCompile(`^(\d+) tasks?: (\d+) stored, (\d+) already there, (\d+) refused`)

var coursesOf = regexp.MustCompile(`^(\d+) courses? of `)

// does is what a schedule does, in the user's language.
func (r *request) does(text string) string {
	if r.Lang != chinese {
		return text
	}
	for _, does := range chineseDoes {
		if rest, found := strings.CutPrefix(text, does[0]); found {
			rest, ruled := strings.CutSuffix(rest, ", named by its rule")
			if ruled {
				rest += "，按规则命名"
			}
			return does[1] + rest
		}
	}
	return coursesOf.ReplaceAllString(text, "$1 门课程，租户 ")
}
