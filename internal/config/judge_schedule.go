package config

import (
	"os"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// The bounds of package schedule.
const (
	longestJitter  = 12 * time.Hour
	shortestWindow = time.Minute
	longestWindow  = 72 * time.Hour
)

func (d *document) schedule(path []any, s *Schedule) {
	if s.Zone == "Local" {
		d.report(under(path, "zone"), "is Local, which differs between machines; write an IANA name, as in Asia/Shanghai or UTC")
	} else if _, err := time.LoadLocation(s.Zone); err != nil {
		d.report(under(path, "zone"), "is %s, which is not a time zone; write an IANA name, as in Asia/Shanghai or UTC", shortened(s.Zone))
	}
	d.cron(under(path, "cron"), s)
	if j := time.Duration(s.Jitter); j < 0 || j > longestJitter || j%time.Second != 0 {
		d.report(under(path, "jitter"), "is %s; it must be whole seconds, 0s to %s", s.Jitter, Duration(longestJitter))
	}
	if w := time.Duration(s.MisfireWindow); w < shortestWindow || w > longestWindow || w%time.Second != 0 {
		d.report(under(path, "misfire_window"), "is %s; it must be whole seconds, %s to %s", s.MisfireWindow, Duration(shortestWindow), Duration(longestWindow))
	}
	if s.Roster != "" {
		s.Roster = resolvePath(d.dir, s.Roster)
		d.roster(under(path, "roster"), s.Roster)
	}
	if s.Courses != nil {
		d.courses(under(path, "courses"), s.Courses)
	}
	d.night(path, s)
}

// night judges the keys of a nightly sync.
func (d *document) night(path []any, s *Schedule) {
	if s.Source == nil {
		if s.Absence != nil {
			d.report(under(path, "absence"), "has no effect without source; add a source, or remove it")
		}
		if s.Refresh != nil {
			d.report(under(path, "refresh"), "has no effect without source; add a source, or remove it")
		}
		if !s.Names.IsZero() {
			d.report(under(path, "names"), "has no effect without source; add a source, or remove it")
		}
		return
	}
	from := under(path, "source")
	d.rosterSource(from, s.Source)
	if !s.Names.IsZero() {
		d.names(from, s.Source)
	}
	if _, t := d.config.Tenant(s.Source.Tenant); t == nil && s.Source.Tenant != "" {
		d.report(under(from, "tenant"), "is %s, but this file has no tenant with that name", shortened(s.Source.Tenant))
	}
	if s.Absence != nil && s.Absence.Nights > 0 && len(s.Absence.Chats) == 0 {
		d.report(under(path, "absence", "nights"), "is %d, but no chats are given; list those whose members the roster decides", s.Absence.Nights)
	}
	if s.Refresh != nil {
		d.within(under(path, "refresh", "after"), s.Refresh.After, 24*time.Hour, 8760*time.Hour)
	}
	d.within(under(path, "approve_within"), s.ApproveWithin, time.Minute, 720*time.Hour)
}

func (d *document) cron(path []any, s *Schedule) {
	const form = "write minute, hour, day of the month, month and weekday, as in 30 2 * * * for half past two every night"
	switch fields := strings.Fields(s.Cron); {
	case len(fields) == 0:
		return // already reported
	case strings.HasPrefix(s.Cron, "@"):
		d.report(path, "is %s, a short form that is not supported; %s", shortened(s.Cron), form)
		return
	case strings.Contains(fields[0], "TZ="):
		d.report(path, "names a time zone; write it under zone")
		return
	case len(fields) != 5:
		d.report(path, "is %q, which has %d fields instead of five; %s", s.Cron, len(fields), form)
		return
	}
	parsed, err := cron.ParseStandard(s.Cron)
	switch {
	case err != nil:
		d.report(path, "is %q: %v; %s", s.Cron, err, form)
	case parsed.Next(time.Unix(0, 0).UTC()).IsZero():
		d.report(path, "is %q, a day that does not exist; %s", s.Cron, form)
	}
}

func (d *document) roster(path []any, file string) {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		d.report(path, "is the file %s, %s", file, reason(err))
		return
	case !info.Mode().IsRegular():
		d.report(path, "is %s, which is not a file; name a CSV file", file)
		return
	}
	f, err := os.Open(file)
	if err != nil {
		d.report(path, "is the file %s, %s", file, reason(err))
		return
	}
	_ = f.Close() // opened only for reading
	for _, t := range d.config.Tenants() {
		if t.Platform().NicknameMax > 0 {
			return
		}
	}
	d.report(path, "contains nicknames, but no tenant of this file is on DingTalk; add one, or sync courses instead")
}

func (d *document) courses(path []any, courses *Courses) {
	switch _, t := d.config.Tenant(courses.Tenant); {
	case t == nil:
		d.report(under(path, "tenant"), "is %s, but this file has no tenant with that name; %s", shortened(courses.Tenant), d.config.schools())
	case t.DingTalk != nil:
		d.report(under(path, "tenant"), "is %s, which is on DingTalk, but courses exist only on ClassIn; %s", courses.Tenant, d.config.schools())
	}
	seen := map[string]bool{}
	for i, id := range courses.IDs {
		if id != "" && seen[id] {
			d.report(under(path, "ids", i), "names course %s twice; remove one", id)
		}
		seen[id] = true
	}
}

// schools returns for which tenants courses can be synced.
func (c *Config) schools() string {
	var names []string
	for _, t := range c.Tenants() {
		if t.ClassIn != nil {
			names = append(names, t.Name)
		}
	}
	if len(names) == 0 {
		return "add a tenant with classin"
	}
	return "the tenants on ClassIn are " + strings.Join(names, ", ")
}
