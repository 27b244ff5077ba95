package ui

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/access"
	"rollcall/internal/advice"
	"rollcall/internal/audit"
	"rollcall/internal/deadletter"
	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
	"rollcall/tasks"
)

const (
	causesOnPage = 15 // each costs a round trip
	deadOnPage   = 20
)

func (u *UI) deadRoutes() {
	u.handle("GET /dead-letters", access.Viewer, u.deadPage)
	u.handleMasked("/dead-letters/cause", func(r *request) audit.Event {
		c := causeOf(r.URL.Query())
		return audit.Event{Level: audit.Lane, Name: c.Lane, Class: c.Class, Reason: "dead letters on the operations page"}
	}, u.deadCausePage)
	u.handleMasked("/dead-letters/task", func(r *request) audit.Event {
		q := r.URL.Query()
		return audit.Event{Level: audit.Lane, Name: q.Get("lane"), Reason: "the dead letter of task " + q.Get("id") + " on the operations page"}
	}, u.deadTaskPage)
	u.handle("GET /dead-letters/confirm", access.Operator, u.deadConfirmPage)
	for _, s := range []settling{
		{"replay", deadletter.Replayed, u.dead.Replay},
		{"discard", deadletter.Discarded, u.dead.Discard},
	} {
		u.handle("POST /dead-letters/"+s.action, access.Operator, func(r *request) (view, error) { return u.settleDead(r, s) })
	}
	u.handle("POST /dead-letters/correct", access.Operator, u.deadCorrect)
}

// causeOf reads a cause from the parameters of an address or a form.
func causeOf(q url.Values) deadletter.LaneCause {
	return deadletter.LaneCause{Lane: q.Get("lane"), Class: q.Get("class"), Code: q.Get("code")}
}

func causeQuery(c deadletter.LaneCause) url.Values {
	return url.Values{"lane": {c.Lane}, "class": {c.Class}, "code": {c.Code}}
}

// causeAddress is the address of the page of a cause.
func causeAddress(c deadletter.LaneCause) string {
	return "/dead-letters/cause?" + causeQuery(c).Encode()
}

// causeView is a cause as the pages show it.
type causeView struct {
	deadletter.LaneCause
	ledger.DeadTrend

	Tenant              string
	ClassName, KindName string
	Day                 int64 // died in the last 24 hours
	Bars                []hourBar
	Todo, Message       string
	// Addresses of its page, and of those that replay or discard all.
	Address, Replay, Discard string
}

// hourBar is an hour of a trend, in units of its picture: 4 wide and 24 high.
type hourBar struct{ X, Y, Height int64 }

const hoursHeight = 24

func hourBars(counts []int64) []hourBar {
	bars, most := make([]hourBar, len(counts)), slices.Max(append([]int64{1}, counts...))
	for i, n := range counts {
		height := n * hoursHeight / most
		if n > 0 {
			height = max(height, 2)
		}
		bars[i] = hourBar{X: int64(4 * i), Y: hoursHeight - height, Height: height}
	}
	return bars
}

// causeView reads the trend of a cause; found is false if it has no dead letter any more. One
// round trip.
func (u *UI) causeView(r *request, c deadletter.LaneCause) (v causeView, found bool, err error) {
	trend, found, err := u.dead.Trend(r.Context(), c, u.now())
	if err != nil || !found {
		return v, found, err
	}
	tenant, kind, _ := strings.Cut(c.Lane, ".")
	v = causeView{
		LaneCause: c, DeadTrend: trend, Tenant: tenant,
		ClassName: r.named("class.", c.Class), KindName: r.kind(tasks.Kind(kind)),
		Bars: hourBars(trend.Periods), Message: deadletter.Shown(trend.Newest, false).Message,
		Todo: r.advice(trend.Newest, c.Class, false), Address: causeAddress(c),
		Replay: "/dead-letters/confirm?do=replay&" + causeQuery(c).Encode(), Discard: "/dead-letters/confirm?do=discard&" + causeQuery(c).Encode(),
	}
	if c.Class == string(outcome.Unverified) {
		v.Message = "" // of rollcall itself; Todo has it
	}
	for _, n := range trend.Periods {
		v.Day += n
	}
	return v, true, nil
}

// chosenCause reads the cause in the address of a page.
func (u *UI) chosenCause(r *request) (causeView, error) {
	v, found, err := u.causeView(r, causeOf(r.URL.Query()))
	if err == nil && !found {
		err = &userError{key: "dead.cause.empty", status: 404}
	}
	return v, err
}

// advice is what to do about a dead letter, in the user's language.
func (r *request) advice(d ledger.DeadLetter, class string, personal bool) string {
	d.Class = cmp.Or(d.Class, class)
	if d.Class == string(outcome.Unverified) {
		return r.t("dead.unverified.todo")
	}
	text := deadletter.Advice(d)
	if r.Lang == chinese {
		if zh := advice.Chinese(text); zh != text { // of a table, so it names no person
			return zh
		}
	}
	return deadletter.Shown(d, personal).Todo
}

// deadList is what the page of all dead letters shows.
type deadList struct {
	Total, Causes  int64
	Rows           []causeView
	Filter         deadletter.Filter
	Classes        []choice
	Kinds          []choice
	Tenants        []choice
	Previous, Next string // addresses; empty: none
}

func (u *UI) deadPage(r *request) (view, error) {
	q := r.URL.Query()
	f := deadletter.Filter{Tenant: q.Get("tenant"), Kind: tasks.Kind(q.Get("kind")), Class: q.Get("class")}
	all, err := u.dead.LaneCauses(r.Context(), deadletter.Filter{})
	if err != nil {
		return view{}, err
	}
	list := deadList{Filter: f}
	for _, class := range outcome.OfDeadLetters() {
		list.Classes = append(list.Classes, choice{string(class), r.named("class.", string(class)), f.Class == string(class)})
	}
	list.Kinds = r.kinds(f.Kind)
	var tenants []string
	var chosen []deadletter.LaneCause
	for _, c := range all {
		tenant, kind, _ := strings.Cut(c.Lane, ".")
		tenants = append(tenants, tenant)
		if (f.Tenant == "" || f.Tenant == tenant) && (f.Kind == "" || string(f.Kind) == kind) && (f.Class == "" || f.Class == c.Class) {
			chosen = append(chosen, c)
			list.Total += c.DeadLetters
		}
	}
	list.Tenants, list.Causes = choices(tenants, f.Tenant), int64(len(chosen))
	from := pageStart(q.Get("from"), len(chosen))
	to := min(from+causesOnPage, len(chosen))
	page := func(from int) string {
		q.Set("from", strconv.Itoa(from))
		return "/dead-letters?" + q.Encode()
	}
	if from > 0 {
		list.Previous = page(max(0, from-causesOnPage))
	}
	if to < len(chosen) {
		list.Next = page(to)
	}
	for _, c := range chosen[from:to] {
		v, found, err := u.causeView(r, c)
		if err != nil {
			return view{}, err
		}
		if found {
			list.Rows = append(list.Rows, v)
		}
	}
	return show("dead.html", "dead.title", list).list(), nil
}

// pageStart reads the first row of a page of a list with n rows.
func pageStart(text string, n int) int {
	from, err := strconv.Atoi(text)
	if err != nil || from < 0 || from >= n {
		return 0
	}
	return from
}

// deadView is a dead letter as the pages show it.
type deadView struct {
	ledger.DeadLetter

	ClassName string
	Advice    string // in the user's language
	Address   string // of its page
	TargetAt  string // address of the page of its target; empty: it has none
	RunAt     string // address of its run
}

func (r *request) deadView(s seal, d ledger.DeadLetter, personal bool) deadView {
	v := deadView{
		DeadLetter: deadletter.Shown(d, personal), ClassName: r.named("class.", d.Class), Advice: r.advice(d, d.Class, personal),
		Address: deadAddress(d.Lane, d.ID),
	}
	if d.Target != "" && d.Tenant != "" {
		v.TargetAt = s.target(d.Tenant, tasks.Kind(d.Kind), d.Target)
	}
	if d.Run != "" {
		v.RunAt = runAddress(d.Run)
	}
	return v
}

// deadCause is what the page of one cause shows.
type deadCause struct {
	Cause    causeView
	Rows     []deadView
	Personal bool
	Count    int64
	First    string // address of the first page; empty: this is it
	Next     string
}

func (u *UI) deadCausePage(r *request, personal bool) (view, error) {
	q := r.URL.Query()
	v, err := u.chosenCause(r)
	if err != nil {
		return view{}, err
	}
	page := deadCause{Cause: v, Personal: personal}
	if page.Count, err = u.dead.CountOf(r.Context(), v.LaneCause, time.Time{}); err != nil {
		return view{}, err
	}
	s, err := newSeal(r.Context(), u.rdb)
	if err != nil {
		return view{}, err
	}
	dead, next, err := u.dead.Page(r.Context(), v.LaneCause, ledger.Cursor(q.Get("from")), deadOnPage)
	if err != nil {
		return view{}, err
	}
	for _, d := range dead {
		page.Rows = append(page.Rows, r.deadView(s, d, personal))
	}
	if q.Get("from") != "" {
		page.First = v.Address
	}
	if next != "" {
		q.Set("from", string(next))
		page.Next = "/dead-letters/cause?" + q.Encode()
	}
	out := show("dead_cause.html", "dead.cause.title", page)
	if q.Get("from") == "" {
		out = out.refreshed()
	}
	return out, nil
}

// deadAddress is the address of the page of a dead letter.
func deadAddress(lane, id string) string {
	return "/dead-letters/task?" + url.Values{"lane": {lane}, "id": {id}}.Encode()
}

// deadIn reads a dead letter by the lane and the id of its task.
func (u *UI) deadIn(ctx context.Context, q url.Values) (ledger.DeadLetter, error) {
	d, err := u.dead.In(ctx, q.Get("lane"), q.Get("id"))
	if missing(err) {
		return d, &userError{key: "dead.missing", status: 404}
	}
	return d, err
}
