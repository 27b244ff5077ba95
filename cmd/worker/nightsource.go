package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"rollcall/internal/config"
	"rollcall/internal/naming"
	"rollcall/internal/readfile"
	"rollcall/internal/source"
	"rollcall/internal/source/contacts"
	"rollcall/internal/source/sqldb"
)

// contactsPerSecond is the pace of each API of contacts: DingTalk takes 20 from an app, and
// other programs may use the same one.
const contactsPerSecond = 10

// caMax is the largest file with certificates, in bytes.
const caMax = 1 << 20

// judgeNights reports the problems of sources and rules that their packages find.
func judgeNights(c *config.Config, report func(err error, path ...any)) {
	for i, s := range c.Schedules {
		if s.Source == nil {
			continue
		}
		key, spec, err := specOf(s)
		if err == nil && spec != nil {
			err = spec.Validate()
		}
		report(err, "schedules", i, "source", key)
		if !s.Names.IsZero() {
			_, err := ruleOf(s)
			report(err, "schedules", i, "names")
		}
	}
}

// ruleOf compiles the rule for names of a schedule.
func ruleOf(s config.Schedule) (*naming.Rule, error) {
	spec, err := naming.Load(&s.Names)
	if err != nil {
		return nil, err
	}
	return naming.Compile(spec)
}

// specOf returns what a schedule reads, and its key in the configuration. The spec is nil if
// the schedule has no source.
func specOf(s config.Schedule) (key string, spec interface{ Validate() error }, err error) {
	switch from := s.Source; {
	case from.Files != nil:
		f := from.Files
		return "files", source.FilesSpec{
			Place: source.Place{Path: f.Path, Done: f.Done, Settle: time.Duration(f.Settle), MaxAge: time.Duration(f.MaxAge)},
			Form:  source.Form{Encoding: f.Encoding, Sheet: f.Sheet},
		}, nil
	case from.HTTPS != nil:
		spec, err := httpsSpec(from.HTTPS)
		return "https", spec, err
	case from.OneRoster != nil:
		b := from.OneRoster
		spec := source.OneRosterSpec{
			Place: source.Place{Path: b.Path, Done: b.Done, Settle: time.Duration(b.Settle), MaxAge: time.Duration(b.MaxAge)},
		}
		spec.Zone, _ = time.LoadLocation(s.Zone) // judged by config.Load
		return "oneroster", spec, nil
	case from.SQL != nil:
		q := from.SQL
		return "sql", sqldb.Spec{Engine: sqldb.Engine(q.Engine), DSN: q.DSN.Value, Query: q.Query, Timeout: time.Duration(q.Timeout)}, nil
	case from.Contacts != nil:
		spec, err := contactsSpec(from.Contacts)
		return "contacts", spec, err
	}
	return "", nil, nil
}

func httpsSpec(h *config.RosterHTTPS) (source.HTTPSSpec, error) {
	spec := source.HTTPSSpec{
		Form: source.Form{Encoding: h.Encoding, Sheet: h.Sheet},
		URL:  h.URL.Value, Bearer: h.Bearer.Value, Username: h.Username, Password: h.Password.Value,
		Timeout: time.Duration(h.Timeout), MaxAge: time.Duration(h.MaxAge),
	}
	if h.CA == "" {
		return spec, nil
	}
	content, err := readfile.Whole(h.CA, caMax)
	if err != nil {
		return spec, fmt.Errorf("ca: %w", err)
	}
	spec.CA = content
	return spec, nil
}

func contactsSpec(c *config.RosterContacts) (contacts.Spec, error) {
	var spec contacts.Spec
	for _, list := range []struct {
		key  string
		from []string
		to   *[]int64
	}{{"departments", c.Departments, &spec.Departments}, {"exclude", c.Exclude, &spec.Exclude}} {
		for _, text := range list.from {
			id, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return spec, fmt.Errorf("%s: %q is no id of a department", list.key, text)
			}
			*list.to = append(*list.to, id)
		}
	}
	return spec, nil
}

// describeSource returns where the roster of a nightly sync is, without secrets; "" if s is
// none.
func describeSource(s config.Schedule) string {
	if s.Source == nil {
		return ""
	}
	what := ""
	switch from := s.Source; {
	case from.Files != nil:
		what = "files " + from.Files.Path
	case from.HTTPS != nil:
		what = "https"
	case from.OneRoster != nil:
		what = "oneroster " + from.OneRoster.Path
	case from.SQL != nil:
		what = "sql " + from.SQL.Engine
	case from.Contacts != nil:
		what = "contacts of " + from.Contacts.Tenant
	}
	if !s.Names.IsZero() {
		what += ", named by its rule"
	}
	return what
}

// sourceOf returns the source of a schedule. It connects to nothing.
func (w *worker) sourceOf(s config.Schedule) (source.Source, error) {
	_, spec, err := specOf(s)
	if err != nil {
		return nil, err
	}
	switch spec := spec.(type) {
	case source.FilesSpec:
		return source.NewFiles(spec)
	case source.HTTPSSpec:
		return source.NewHTTPS(spec)
	case source.OneRosterSpec:
		return source.NewOneRoster(spec)
	case sqldb.Spec:
		return sqldb.New(spec)
	case contacts.Spec:
		tenant := s.Source.Contacts.Tenant
		app := w.tenants[tenant].app
		if app == nil {
			return nil, fmt.Errorf("the worker does not serve tenant %s yet: restart it", tenant)
		}
		return contacts.New(spec, app.client, app.pace)
	}
	return nil, errors.New("there is no source")
}
