package main

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"rollcall/internal/config"
	"rollcall/internal/console"
	"rollcall/internal/lane"
	"rollcall/internal/registry"
	"rollcall/internal/schedule"
	"rollcall/tasks"
)

// nextTimes is the number of next times shown for a schedule.
const nextTimes = 3

// plan is what a worker would run. It holds no secret.
type plan struct {
	Redis     redisPlan        `json:"redis"`
	HTTP      httpPlan         `json:"http"`
	API       []config.Token   `json:"api,omitempty"` // nil: no tokens
	Webhooks  []config.Webhook `json:"webhooks,omitempty"`
	Robots    []robotPlan      `json:"robots,omitzero"`
	Log       config.Log       `json:"log"`
	Stop      stopPlan         `json:"stop"`
	Egress    egressPlan       `json:"egress"`
	Quotas    []quotaPlan      `json:"quotas"` // of organisations on a platform with a quota
	Lanes     []lanePlan       `json:"lanes"`
	Schedules []schedulePlan   `json:"schedules"`
}

type redisPlan struct {
	Kind      string   `json:"kind"` // single, embedded, sentinel, cluster
	Addresses []string `json:"addresses"`
	Master    string   `json:"master,omitzero"`
	Username  string   `json:"username,omitzero"`
	Password  string   `json:"password_from,omitzero"`
	TLS       bool     `json:"tls"`
}

type httpPlan struct {
	Listen           string   `json:"listen"`
	TLS              string   `json:"tls,omitzero"` // address of the listener with TLS
	Proxy            []string `json:"proxy,omitzero"`
	Users            []string `json:"users"`
	Writable         bool     `json:"writable"`
	ShowPersonalData bool     `json:"show_personal_data"`
}

type robotPlan struct {
	Name         string   `json:"name"`
	Organisation string   `json:"organisation"`
	Messages     int      `json:"messages"` // of the organisation per month; 0: no quota
	Language     string   `json:"language"`
	Schedules    []string `json:"schedules,omitzero"` // nil: all with a source
}

type stopPlan struct {
	Longest string `json:"longest"`
	Granted string `json:"granted"`
}

type egressPlan struct {
	Name  string `json:"name"`
	Limit string `json:"limit"`
}

type quotaPlan struct {
	Organisation string `json:"organisation"`
	Calls        int    `json:"calls"`   // per month; 0: no quota
	Warn         int    `json:"warn"`    // percent of them
	Reserve      int    `json:"reserve"` // percent of them
}

type lanePlan struct {
	Name         string   `json:"name"`
	Organisation string   `json:"organisation"`
	Platform     string   `json:"platform"`
	Queues       []string `json:"queues"` // highest priority first
	Limit        string   `json:"limit"`
	Timeout      string   `json:"timeout"`
	Deadline     string   `json:"deadline"` // of one attempt
}

type schedulePlan struct {
	Name    string   `json:"name"`
	Cron    string   `json:"cron"`
	Zone    string   `json:"zone"`
	Jitter  string   `json:"jitter,omitzero"`
	Overlap string   `json:"overlap"`
	Window  string   `json:"misfire_window"`
	Roster  string   `json:"roster,omitzero"`
	Tenant  string   `json:"tenant,omitzero"`
	Courses int      `json:"courses,omitzero"`
	Source  string   `json:"source,omitzero"`
	Next    []string `json:"next"` // RFC 3339

	next []time.Time
}

// newPlan returns what a worker with cfg would run. It also checks the rosters of the
// schedules, and returns the findings.
func newPlan(cfg *config.Config, now time.Time) (*plan, []finding) {
	p := &plan{
		Redis:     newRedisPlan(cfg.Redis),
		HTTP:      newHTTPPlan(cfg.HTTP),
		API:       cfg.API.Tokens,
		Webhooks:  cfg.Webhooks,
		Log:       cfg.Log,
		Stop:      stopPlan{Longest: config.Duration(cfg.LongestStop()).String(), Granted: cfg.StopTimeout.String()},
		Egress:    egressPlan{Name: cfg.Egress.Name, Limit: config.Limit{Calls: cfg.Egress.Calls, Per: cfg.Egress.Per}.String()},
		Quotas:    []quotaPlan{},
		Schedules: []schedulePlan{},
	}
	for _, r := range cfg.Robots {
		p.Robots = append(p.Robots, robotPlan{
			Name: r.Name, Organisation: r.Organisation, Messages: cfg.Organisation(r.Organisation).Quota.Messages,
			Language: r.Language, Schedules: r.Schedules,
		})
	}
	for _, org := range cfg.Organisations {
		if slices.ContainsFunc(org.Tenants, func(t config.Tenant) bool { return t.Platform().Metered }) {
			p.Quotas = append(p.Quotas, quotaPlan{Organisation: org.Name, Calls: org.Quota.Calls, Warn: org.Quota.Warn, Reserve: org.Quota.Reserve})
		}
	}
	for org, t := range cfg.Tenants() {
		p.addLanes(org.Name, t)
	}
	var findings []finding
	for _, s := range cfg.Schedules {
		entry := scheduleEntry(s)
		sp := schedulePlan{
			Name: s.Name, Cron: s.Cron, Zone: s.Zone, Overlap: s.Overlap, Window: s.MisfireWindow.String(), Roster: s.Roster,
			next: schedule.Next(entry, now, nextTimes),
		}
		if s.Jitter > 0 {
			sp.Jitter = s.Jitter.String()
		}
		for _, at := range sp.next {
			sp.Next = append(sp.Next, at.Format(time.RFC3339))
		}
		if s.Courses != nil {
			sp.Tenant, sp.Courses = s.Courses.Tenant, len(s.Courses.IDs)
		}
		sp.Source = describeSource(s)
		p.Schedules = append(p.Schedules, sp)
		if s.Roster != "" {
			findings = append(findings, inspectRoster(cfg, s, now))
		}
	}
	return p, findings
}

func newRedisPlan(r config.Redis) redisPlan {
	p := redisPlan{Username: r.Username, Password: r.Password.String(), TLS: r.TLS != nil}
	switch {
	case r.Sentinel != nil:
		p.Kind, p.Master, p.Addresses = "sentinel", r.Sentinel.Master, r.Sentinel.Addresses
	case r.Cluster != nil:
		p.Kind, p.Addresses = "cluster", r.Cluster.Addresses
	case r.Embedded != "":
		p.Kind, p.Addresses = "embedded", []string{r.Embedded}
	default:
		p.Kind, p.Addresses = "single", []string{r.URL}
		if u, err := url.Parse(r.URL); err == nil {
			p.Addresses = []string{u.Redacted()}
			p.TLS = u.Scheme == "rediss"
		}
	}
	return p
}

func newHTTPPlan(h config.HTTP) httpPlan {
	p := httpPlan{Listen: h.Listen, Proxy: h.Proxy, Users: []string{}, Writable: h.Writable, ShowPersonalData: h.ShowPersonalData}
	if h.TLS != nil {
		p.TLS = h.TLS.Listen
	}
	for _, u := range h.Users {
		p.Users = append(p.Users, u.Name)
	}
	return p
}

func (p *plan) addLanes(organisation string, t *config.Tenant) {
	platform := t.Platform()
	for _, l := range platform.Lanes {
		kind := tasks.Kind(l.Kind)
		p.Lanes = append(p.Lanes, lanePlan{
			Name: t.Name + "." + string(kind), Organisation: organisation, Platform: platform.Name,
			Queues: []string{registry.Queue(t.Name, kind, true), registry.Queue(t.Name, kind, false)},
			Limit:  l.Limits.String(), Timeout: config.Duration(platform.Timeout).String(),
			Deadline: config.Duration(lane.Deadline(platform.Timeout)).String(),
		})
	}
}

func (p *plan) write(w io.Writer) {
	t := console.Columns(w)
	console.Fprintf(t, "redis\t%s\n", p.Redis)
	console.Fprintf(t, "http\t%s\n", p.HTTP)
	for _, token := range p.API {
		console.Fprintf(t, "token\t%s: %s, tenants %s, until %s\n", token.Name, strings.Join(token.Scopes, ", "), allOr(token.Tenants), token.Expires)
	}
	for _, h := range p.Webhooks {
		console.Fprintf(t, "webhook\t%s: events %s, tenants %s\n", h.Name, allOr(h.Events), allOr(h.Tenants))
	}
	for _, r := range p.Robots {
		console.Fprintf(t, "robot\t%s: schedules %s, in %s, %s\n", r.Name, allOr(r.Schedules), r.Language, r.ofMessages())
	}
	console.Fprintf(t, "log\t%s, %s, %s\n", p.Log.Level, p.Log.Format, people(p.Log.ShowPersonalData))
	console.Fprintf(t, "stop\ttakes at most %s; stop_timeout is %s\n", p.Stop.Longest, p.Stop.Granted)
	console.Fprintf(t, "egress\t%s, %s for all tenants together\n", p.Egress.Name, p.Egress.Limit)
	for _, q := range p.Quotas {
		console.Fprintf(t, "quota\t%s\n", q)
	}
	_ = t.Flush() // an output error is reported at the end

	console.Fprintf(t, "\nlane\tplatform\tlimit\ttimeout\tattempt\n")
	for _, l := range p.Lanes {
		console.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", l.Name, l.Platform, l.Limit, l.Timeout, l.Deadline)
	}
	_ = t.Flush()
	console.Fprintln(w, "A queue has the name of its lane; the queue of urgent tasks ends in .urgent.")
	for _, s := range p.Schedules {
		what := cmp.Or(s.Roster, s.Source)
		if what == "" {
			what = fmt.Sprintf("%d courses of %s", s.Courses, s.Tenant)
		}
		console.Fprintf(w, "\nschedule %s: %s (%s): %s\n", s.Name, s.Cron, s.Zone, what)
		layout := "Mon 2006-01-02 15:04 MST"
		if s.Jitter != "" { // its times are not at full minutes
			layout = "Mon 2006-01-02 15:04:05 MST"
		}
		for _, at := range s.next {
			console.Fprintf(w, "  %s\n", at.Format(layout))
		}
	}
}

// String describes the Redis on one line.
func (r redisPlan) String() string {
	text := r.Kind + " " + strings.Join(r.Addresses, " ")
	if r.Master != "" {
		text += ", master " + r.Master
	}
	if r.Kind == "embedded" {
		return text + ": in memory only"
	}
	text += ", user " + cmp.Or(r.Username, "default")
	if r.Password != "" {
		text += ", password from " + r.Password
	}
	if r.TLS {
		text += ", TLS"
	}
	return text
}

// String describes the listener on one line.
func (h httpPlan) String() string {
	if h.Listen == config.Off && h.TLS == "" {
		return "off: no web UI, metrics or probes"
	}
	users := "no login"
	if len(h.Users) > 0 {
		users = "login as " + strings.Join(h.Users, ", ")
	}
	access := "read-only"
	if h.Writable {
		access = "writable"
	}
	where := h.Listen
	if h.TLS != "" {
		where += ", with TLS " + h.TLS
	}
	if len(h.Proxy) > 0 {
		where += ", behind " + strings.Join(h.Proxy, " ")
	}
	return where + ", " + users + ", " + access + ", " + people(h.ShowPersonalData)
}

func (r robotPlan) ofMessages() string {
	if r.Messages == 0 {
		return "messages of " + r.Organisation + " are counted, without a monthly quota"
	}
	return fmt.Sprintf("at most %d messages of %s per month", r.Messages, r.Organisation)
}

func allOr(names []string) string { return cmp.Or(strings.Join(names, ", "), "all") }

// String describes the monthly quota of an organisation on one line.
func (q quotaPlan) String() string {
	if q.Calls == 0 {
		return q.Organisation + ": calls are counted, without a monthly quota"
	}
	kept := "none reserved"
	if q.Reserve > 0 {
		kept = fmt.Sprintf("the last %d %% reserved", q.Reserve)
	}
	return fmt.Sprintf("%s: %d calls per month; warning at %d %%, %s for urgent tasks", q.Organisation, q.Calls, q.Warn, kept)
}

func people(shown bool) string {
	if shown {
		return "personal data shown"
	}
	return "personal data masked"
}
