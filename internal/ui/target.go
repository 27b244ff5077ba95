package ui

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"rollcall/internal/access"
	"rollcall/internal/audit"
	"rollcall/internal/explain"
	"rollcall/internal/hold"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/pace"
	"rollcall/internal/privacy"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

// targetBounds keep a page of a target below 50 commands.
var targetBounds = explain.Bounds{DeadLetters: 500, Tasks: 4, Edits: 4}

// unseenFor is the time after which a lane counts as without a worker: workers publish their
// lanes every minute.
const unseenFor = 3 * time.Minute

func (u *UI) targetRoutes() {
	u.handleMasked("/targets/{tenant}/{kind}", func(r *request) audit.Event {
		tenant, kind := r.PathValue("tenant"), tasks.Kind(r.PathValue("kind"))
		key, _ := u.targetKey(r, tenant, kind) // the page was made with it
		return audit.Event{
			Level: audit.Lane, Name: registry.Queue(tenant, kind, false), Reason: "target " + privacy.Target(kind, key) + " on the operations page",
		}
	}, u.targetPage)
	u.handle("POST /targets/{tenant}/{kind}/settle", access.Operator, u.targetSettle)
}

// targetKey returns the key of the target in the address of a page.
func (u *UI) targetKey(r *request, tenant string, kind tasks.Kind) (string, error) {
	q := r.URL.Query()
	if !q.Has("ref") {
		key := q.Get("target")
		if len(key) > mostKey || kinds.WrongKey(kind, key) != "" {
			return "", &userError{key: "target.form", status: 400}
		}
		return key, nil
	}
	s, err := newSeal(r.Context(), u.rdb)
	if err != nil {
		return "", err
	}
	key, ok := s.open(tenant, kind, q.Get("ref"))
	if !ok {
		return "", errNotFound
	}
	return key, nil
}

// mostKey bounds the key of a target, in bytes.
const mostKey = 600

// laneOf returns the lane of the target in the address of a page, and its key.
func (u *UI) laneOf(r *request) (lane registry.Lane, key string, err error) {
	tenant, kind := r.PathValue("tenant"), tasks.Kind(r.PathValue("kind"))
	if key, err = u.targetKey(r, tenant, kind); err != nil {
		return lane, "", err
	}
	lanes, err := registry.Read(r.Context(), u.rdb, time.Time{})
	if err != nil {
		return lane, "", err
	}
	i := slices.IndexFunc(lanes, func(l registry.Lane) bool { return l.Tenant == tenant && l.Kind == kind })
	if i < 0 {
		return lane, "", errNotFound
	}
	return lanes[i], key, nil
}

// targetView is what the page of a target shows.
type targetView struct {
	*explain.Target

	KindName       string
	Class          string // ok, warn, bad or quiet
	Sentence, Todo string
	DeadWaits      bool
	Stopped        []string // what stops the lane
	Fields         []fieldView
	Edits          []taskView
	MoreEdits      int
	Effects        []effectView
	DeadLetters    []deadView
	DeadRead       string
	Settle         string // address that settles an ID with an unknown outcome; empty: it has none
}

// fieldView is one field of a target.
type fieldView struct {
	Name  string
	Badge badge

	Wanted      string // "": see WantedKnown
	WantedKnown bool
	Latest      time.Time
	Pending     bool
	Task        taskView

	Value     string // that was applied
	Applied   bool
	Instead   string // of this value, which the platform did not take
	How       string // we know it
	At        time.Time
	RequestID string

	Unknown string // sentence about an unknown outcome
	Since   time.Time
	Notes   []string
	Locked  time.Time
	Resend  time.Time
}

// taskView is the state of a task.
type taskView struct {
	ID    string
	State string
	Since time.Time // when its change was enqueued
	Next  time.Time
	Error string
}

// effectView is an event in the history of a target.
type effectView struct {
	At                time.Time
	What              string
	RequestID, TaskID string
}

func (u *UI) targetPage(r *request, personal bool) (view, error) {
	lane, key, err := u.laneOf(r)
	if err != nil {
		return view{}, err
	}
	x, err := explain.NewReader(u.rdb).Read(r.Context(), lane, key, targetBounds, personal, u.now())
	if err != nil {
		return view{}, err
	}
	v := targetView{Target: x, KindName: r.kind(lane.Kind), DeadRead: num(targetBounds.DeadLetters)}
	if settles(x) {
		v.Settle = r.URL.EscapedPath() + "/settle?" + r.URL.RawQuery
	}
	if v.Stopped, err = u.stopped(r, lane); err != nil {
		return view{}, err
	}
	r.conclude(&v)
	for _, name := range x.Record.Names() {
		v.Fields = append(v.Fields, r.fieldView(x, name))
	}
	for i, e := range x.Record.Edits {
		if i == targetBounds.Edits {
			v.MoreEdits = len(x.Record.Edits) - i
			break
		}
		t := r.taskView(x.Tasks[e.TaskID])
		t.ID, t.Since = e.TaskID, time.UnixMicro(e.Revision)
		v.Edits = append(v.Edits, t)
	}
	for _, e := range x.Record.Effects {
		v.Effects = append(v.Effects, r.effectView(x, e))
	}
	for _, d := range x.Dead {
		d.Tenant = "" // no link to this page
		v.DeadLetters = append(v.DeadLetters, r.deadView(seal{}, d, personal))
	}
	return show("target.html", "more.target", v).refreshed(), nil
}

// stopped returns what stops a lane, in the user's language.
func (u *UI) stopped(r *request, l registry.Lane) ([]string, error) {
	name := registry.Queue(l.Tenant, l.Kind, false)
	status, err := pace.Read(r.Context(), u.rdb, []pace.Ref{{Organisation: l.Organisation, Lane: name}})
	if _, damaged := errors.AsType[*pace.DamagedError](err); err != nil && !damaged {
		return nil, err
	}
	if err := u.holds.Refresh(r.Context()); err != nil {
		return nil, err
	}
	scopes := []hold.Scope{{Level: hold.Lane, Name: name}, {Level: hold.Tenant, Name: l.Tenant}}
	if status[0].Metered {
		scopes = append(scopes, hold.Scope{Level: hold.Organisation, Name: l.Organisation})
	}
	if l.Address != "" {
		scopes = append(scopes, hold.Scope{Level: hold.Address, Name: l.Address})
	}
	var all []string
	for _, h := range u.holds.Of(scopes...) {
		if h.Until.IsZero() || u.now().Before(h.Until) {
			all = append(all, r.t("target.held", r.scope(h.Scope), h.Reason))
		}
	}
	if u.now().Sub(l.Seen) > unseenFor {
		all = append(all, r.t("target.noworker"))
	}
	return all, nil
}

// conclude puts the conclusion of a target into words.
func (r *request) conclude(v *targetView) {
	c := v.Conclude()
	v.Class, v.DeadWaits = wordClass(c.Word), c.DeadWaits
	key := conclusionKey(c)
	if v.Sentence = r.t(key); c.Field != "" && strings.Contains(r.ui.messages[key].EN, "%s") {
		v.Sentence = r.t(key, r.named("field.", c.Field))
	}
	v.Todo = r.hint(key + ".todo")
	if c.Word == explain.Dead && c.Detail == explain.Plain {
		v.Todo = r.advice(*c.Task.Dead, c.Task.Dead.Class, v.Personal)
	}
}

func conclusionKey(c explain.Conclusion) string {
	key := "conclusion." + string(c.Word)
	if c.Detail != explain.Plain {
		key += "." + string(c.Detail)
	}
	return key
}

func wordClass(w explain.Word) string {
	switch w {
	case explain.Settled, explain.Underway:
		return "ok"
	case explain.Waiting, explain.Doubt:
		return "warn"
	case explain.Unknown:
		return "quiet"
	case explain.Damaged, explain.Person, explain.Dead, explain.Vanished:
	}
	return "bad"
}

func (r *request) fieldView(x *explain.Target, name string) fieldView {
	f := x.Record.Fields[name]
	c := x.ConcludeField(name)
	v := fieldView{
		Name: r.named("field.", name), Badge: badge{wordClass(c.Word), r.t("word." + string(c.Word))},
		Pending: f.Latest > f.Applied, Applied: f.Applied != 0, Value: x.Value(name, f.Value), Instead: x.Value(name, f.Wanted),
	}
	if f.Latest > 0 {
		v.Latest = time.UnixMicro(f.Latest)
	}
	switch task := x.Tasks[f.TaskID]; {
	case v.Pending:
		v.Task = r.taskView(task)
		value, known := task.Values[name]
		v.Wanted, v.WantedKnown = x.Value(name, value), known
	default:
		v.Wanted, v.WantedKnown = x.Value(name, f.Value), f.Value != ""
		if f.Wanted != "" {
			v.Wanted = v.Instead
		}
	}
	r.howKnown(&v, x, f, name)
	if f.Unknown != 0 {
		v.Since = time.UnixMicro(f.Unknown)
		v.Unknown = r.unknownOutcome(x, f, name)
	}
	if !f.Late.IsZero() {
		v.Notes = append(v.Notes, r.t("target.late"))
		v.Resend = x.ResendAt
	}
	if f.Attempts > 0 {
		v.Notes = append(v.Notes, r.t("target.refused", num(f.Attempts)))
	}
	if f.Lock != nil {
		v.Locked = f.Lock.Until
		v.Notes = append(v.Notes, r.named("lock.", f.Lock.Why))
	}
	return v
}

// howKnown says from where the applied value of a field is known.
func (r *request) howKnown(v *fieldView, x *explain.Target, f ledger.State, name string) {
	if f.Applied == 0 {
		return
	}
	v.How, v.At = r.t("target.how.change"), time.UnixMicro(f.Applied)
	for _, e := range x.Record.Effects {
		if _, set := e.Set[name]; e.Revision != f.Applied || !set {
			continue
		}
		v.How, v.At, v.RequestID = r.t("target.how.accepted"), e.At, x.Masked(e.RequestID)
		if e.By != "" {
			v.How = r.t("target.how.person", e.By)
		}
		return
	}
}

func (r *request) unknownOutcome(x *explain.Target, f ledger.State, name string) string {
	switch {
	case f.Intent != nil:
		return r.t("target.unknown.id", x.Value(name, f.Intent.Value), num(f.Intent.Sends))
	case x.Record.InFlight:
		return r.t("target.unknown.running")
	case f.Answered:
		return r.t("target.unknown.unclear")
	}
	return r.t("target.unknown.none")
}

func (r *request) taskView(t explain.Task) taskView {
	v := taskView{ID: t.ID, Error: t.Error, State: r.named("asynq.", t.State)}
	switch {
	case t.ID == "":
		v.State = r.t("asynq.unread")
	case t.Dead != nil:
		v.State = r.t("asynq.dead")
	case t.State == "" && t.Open:
		v.State = r.t("asynq.vanished")
	case t.State == "":
		v.State = r.t("asynq.none")
	}
	if t.State == "retry" || t.State == "scheduled" {
		v.Next = t.Next
	}
	if t.State == "completed" {
		v.Error = ""
	}
	return v
}

func (r *request) effectView(x *explain.Target, e ledger.Event) effectView {
	v := effectView{At: e.At, RequestID: x.Masked(e.RequestID), TaskID: e.TaskID}
	if e.By != "" {
		v.What = r.t("target.effect.person", e.By, r.named("did.", e.Did))
		return v
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(e.Set)) {
		text := r.named("field.", name)
		if value := e.Set[name]; value != "" {
			text += ": " + x.Value(name, value)
		}
		parts = append(parts, text)
	}
	v.What = strings.Join(parts, ", ")
	if e.Did == ledger.DidResend {
		v.What = r.t("target.effect.resend", v.What)
	}
	return v
}
