package config

import (
	"errors"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Judge checks parts of a configuration whose meaning another package knows. report adds
// the problems of err, which may be joined errors, at the value that path leads to: keys,
// and positions in lists. A problem that begins with a key of that value is reported
// there. A nil error is no problem.
type Judge func(c *Config, report func(err error, path ...any))

// rosterSource judges where a roster is read, but for what package source knows.
func (d *document) rosterSource(path []any, s *RosterSource) {
	if f := s.Files; f != nil && f.Path != "" {
		d.pattern(under(path, "files", "path"), &f.Path)
	}
	if b := s.OneRoster; b != nil && b.Path != "" {
		d.pattern(under(path, "oneroster", "path"), &b.Path)
	}
	if h := s.HTTPS; h != nil {
		d.secret(under(path, "https", "url"), &h.URL)
		d.secret(under(path, "https", "bearer"), &h.Bearer)
		d.secret(under(path, "https", "password"), &h.Password)
		if h.CA != "" {
			h.CA = resolvePath(d.dir, h.CA)
		}
	}
	if q := s.SQL; q != nil {
		d.secret(under(path, "sql", "dsn"), &q.DSN)
	}
	if k := s.Contacts; k != nil && k.Tenant != "" {
		if _, t := d.config.Tenant(k.Tenant); t == nil || t.DingTalk == nil {
			d.report(under(path, "contacts", "tenant"), "is %s, but this file has no tenant on DingTalk with that name", shortened(k.Tenant))
		}
	}
}

func (d *document) pattern(path []any, file *string) {
	*file = resolvePath(d.dir, *file)
	if _, err := filepath.Match(*file, ""); err != nil {
		d.reportOnce(path, "is %s, which is not a pattern; close each [ with ]", shortened(*file))
	}
}

// names judges what a source may have besides a rule for names.
func (d *document) names(path []any, s *RosterSource) {
	if s.Tenant == "" {
		d.report(under(path, "tenant"), "is missing; with names, write the tenant of all people")
	}
	for key, given := range map[string]bool{"kind": s.Kind != "", "chat": s.Chat != "", "columns": len(s.Columns) > 0} {
		if given {
			d.report(under(path, key), "has no effect with names, which has such a key of its own; remove it")
		}
	}
}

// firstWords is the key at the beginning of a problem, and the number of an entry.
var firstWords = regexp.MustCompile(`^(?:the )?([A-Za-z_.]+)(?: ([0-9]+))?`)

// locate reports the problems of err. A value with a problem already gets no other.
func (d *document) locate(err error, path ...any) {
	if err == nil {
		return
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range many.Unwrap() {
			d.locate(one, path...)
		}
		return
	}
	if faults, ok := errors.AsType[*yaml.LoadErrors](err); ok {
		for _, fault := range faults.Errors {
			d.reportLine(fault.Mark.Line, path, "is wrong: %s", fault.Message)
		}
		return
	}
	at, rest := d.inside(path, err.Error())
	begin := d.position(at) + " "
	if slices.ContainsFunc(d.problems, func(p Problem) bool { return strings.HasPrefix(p.Text, begin) }) {
		return
	}
	d.report(at, "%s", rest)
}

// inside finds the value in path that a problem begins with, and returns what follows.
func (d *document) inside(path []any, problem string) (at []any, rest string) {
	words := firstWords.FindStringSubmatch(problem)
	if words == nil {
		return path, "is wrong: " + problem
	}
	at = path
	for step := range strings.SplitSeq(strings.ToLower(words[1]), ".") {
		at = under(at, step)
	}
	if number, err := strconv.Atoi(words[2]); err == nil {
		for _, list := range []string{words[1], words[1] + "s"} {
			if entry := under(path, list, number-1); d.at(entry) != nil {
				return entry, "is wrong: " + problem
			}
		}
	}
	if d.at(at) == nil {
		return path, "is wrong: " + problem
	}
	rest = strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(problem, "the "), words[1]))
	if after, colon := strings.CutPrefix(rest, ":"); colon {
		return at, "is wrong:" + after
	}
	return at, rest
}
