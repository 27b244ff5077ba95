package main

import (
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
		from, err := nightSourceOf(s)
		if err == nil && from.spec != nil {
			err = from.spec.Validate()
		}
		report(err, "schedules", i, "source", from.key)
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

// nightSource is what a schedule reads. The zero value is that of a schedule without a source.
type nightSource struct {
	key  string // in the configuration
	spec interface{ Validate() error }
	open func(*worker) (source.Source, error) // connects to nothing
}

// nightSourceOf returns what a schedule reads. With an error, the source cannot be opened.
func nightSourceOf(s config.Schedule) (nightSource, error) {
	switch from := s.Source; {
	case from.Files != nil:
		f := from.Files
		spec := source.FilesSpec{
			Place: source.Place{Path: f.Path, Done: f.Done, Settle: time.Duration(f.Settle), MaxAge: time.Duration(f.MaxAge)},
			Form:  source.Form{Encoding: f.Encoding, Sheet: f.Sheet},
		}
		return nightSource{"files", spec, func(*worker) (source.Source, error) { return source.NewFiles(spec) }}, nil
	case from.HTTPS != nil:
		spec, err := httpsSpec(from.HTTPS)
		return nightSource{"https", spec, func(*worker) (source.Source, error) { return source.NewHTTPS(spec) }}, err
	case from.OneRoster != nil:
		b := from.OneRoster
		spec := source.OneRosterSpec{
			Place: source.Place{Path: b.Path, Done: b.Done, Settle: time.Duration(b.Settle), MaxAge: time.Duration(b.MaxAge)},
		}
		spec.Zone, _ = time.LoadLocation(s.Zone) // judged by config.Load
		return nightSource{"oneroster", spec, func(*worker) (source.Source, error) { return source.NewOneRoster(spec) }}, nil
	case from.SQL != nil:
		q := from.SQL
		spec := sqldb.Spec{Engine: sqldb.Engine(q.Engine), DSN: q.DSN.Value, Query: q.Query, Timeout: time.Duration(q.Timeout)}
		return nightSource{"sql", spec, func(*worker) (source.Source, error) { return sqldb.New(spec) }}, nil
	case from.Contacts != nil:
		spec, err := contactsSpec(from.Contacts)
		return nightSource{"contacts", spec, func(w *worker) (source.Source, error) { return w.contacts(spec, from.Contacts.Tenant) }}, err
	}
	return nightSource{}, nil
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

// sourceOf returns the source of a schedule that has one. It connects to nothing.
func (w *worker) sourceOf(s config.Schedule) (source.Source, error) {
	from, err := nightSourceOf(s)
	if err != nil {
		return nil, err
	}
	return from.open(w)
}

// contacts returns the contacts of a tenant as a source.
func (w *worker) contacts(spec contacts.Spec, tenant string) (source.Source, error) {
	app := w.tenants[tenant].app
	if app == nil {
		return nil, fmt.Errorf("the worker does not serve tenant %s yet: restart it", tenant)
	}
	return contacts.New(spec, app.client, app.pace)
}
