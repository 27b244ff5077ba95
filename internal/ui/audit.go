package ui

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"rollcall/internal/access"
	"rollcall/internal/audit"
	"rollcall/internal/hold"
)

const eventsOnPage = 50

func (u *UI) auditRoutes() { u.handle("GET /audit", access.Viewer, u.auditPage) }

// eventView is an event as the page shows it.
type eventView struct {
	audit.Event

	Title string // in the user's language
	Class string
	More  []sourceText
}

type sourceText struct{ Name, Text string }

// auditView is what the page of the audit log shows.
type auditView struct {
	Rows   []eventView
	Query  audit.Query
	Events []choice
	Next   string
	First  string
}

// eventSubjects are what the filter of events offers: the beginnings of their names.
var eventSubjects = []string{"run", "hold", "dead", "schedule", "night", "id", "key", "names", "data", "api", "web", "webhook"}

func (u *UI) auditPage(r *request) (view, error) {
	q := r.URL.Query()
	page := auditView{Query: audit.Query{Event: q.Get("event"), By: strings.TrimSpace(q.Get("by")), About: strings.TrimSpace(q.Get("about"))}}
	if !validEventID(q.Get("from")) {
		return view{}, errNotFound
	}
	events, next, err := audit.Find(r.Context(), u.rdb, page.Query, q.Get("from"), eventsOnPage)
	if err != nil {
		return view{}, err
	}
	for _, e := range events {
		page.Rows = append(page.Rows, r.event(e))
	}
	for _, subject := range eventSubjects {
		page.Events = append(page.Events, choice{subject + ".", r.named("subject.", subject), page.Query.Event == subject+"."})
	}
	link := func(from string) string {
		to := url.Values{}
		for name, text := range map[string]string{"event": page.Query.Event, "by": page.Query.By, "about": page.Query.About, "from": from} {
			if text != "" {
				to.Set(name, text)
			}
		}
		return "/audit?" + to.Encode()
	}
	if next != "" {
		page.Next = link(next)
	}
	if q.Get("from") != "" {
		page.First = link("")
	}
	out := show("audit.html", "audit.title", page)
	if q.Get("from") == "" {
		out = out.refreshed()
	}
	return out, nil
}

// event returns an event in the user's language. A reason is shown as it was recorded.
func (r *request) event(e audit.Event) eventView {
	v := eventView{Event: e, Title: r.named("event.", e.Event)}
	switch subject, _, _ := strings.Cut(e.Event, "."); {
	case e.Class == string(hold.Operator): // By says it
	case subject == "night":
		v.Class = r.named("night.", e.Class)
	default:
		v.Class = r.named("class.", e.Class)
	}
	for _, name := range slices.Sorted(maps.Keys(e.More)) {
		text := e.More[name]
		if at, err := time.Parse(time.RFC3339, text); err == nil {
			text = at.In(r.ui.zone).Format(time.DateTime)
		}
		v.More = append(v.More, sourceText{r.named("detail.", name), text})
	}
	return v
}

// validEventID reports whether a text is the id of an event, or empty.
func validEventID(text string) bool {
	return len(text) <= 42 && strings.Trim(text, "0123456789-") == "" && strings.Count(text, "-") <= 1
}
