package source

import (
	"cmp"
	"context"
	"slices"
	"strings"
)

// loadRoles reads the roles of version 1.2.
func (s *school) loadRoles(ctx context.Context) error {
	err := s.read(ctx, rolesFile, []string{"userSourcedId", "role"}, func(l line) (string, error) {
		user, now, fault := s.member(l)
		if now != live {
			return fault, nil
		}
		if len(s.roles) >= maxPeople {
			return "", Errorf(TooLarge, "it has more than %d roles: split the bundle", maxPeople)
		}
		r := role{user: user, name: s.intern(&s.roleNames, plain(l.get("role"))), org: s.intern(&s.orgIDs, plain(l.get("orgSourcedId")))}
		if !strings.EqualFold(l.get("roleType"), "primary") {
			r.rank = 1
		}
		s.roles = append(s.roles, r)
		return "", s.full()
	})
	slices.SortStableFunc(s.roles, func(a, b role) int {
		return cmp.Or(cmp.Compare(a.user, b.user), cmp.Compare(a.rank, b.rank))
	})
	return err
}

// member returns the user whom a row of roles or enrolments is about, and whether the row
// counts.
func (s *school) member(l line) (user uint32, now state, fault string) {
	if now, fault = s.currentOf(l); now != live {
		return 0, now, fault
	}
	user, alive, found := s.user(l.get("userSourcedId"))
	switch {
	case alive:
		return user, live, ""
	case found, s.manifest.mode[usersFile] == delta:
		return 0, left, ""
	}
	return 0, unusable, "its user is not in users.csv: a file was cut, or the export is wrong"
}

func (s *school) loadClasses(ctx context.Context) error {
	return s.read(ctx, classesFile, []string{"sourcedId", "title"}, func(l line) (string, error) {
		now, fault := statusOf(l)
		if fault != "" {
			return fault, nil
		}
		id := l.get("sourcedId")
		if _, repeated := s.classOf[id]; repeated || id == "" {
			return "sourcedId is missing, or another class has it", nil
		}
		var terms []string
		for _, term := range l.list("termSourcedIds") {
			if known := s.terms[term]; known != "" {
				terms = append(terms, known)
			}
		}
		c := class{
			id: s.keep(id), title: s.keep(plain(l.get("title"))), terms: s.keep(strings.Join(terms, ";")),
			homeroom: strings.EqualFold(l.get("classType"), "homeroom"), left: now == left,
		}
		s.classOf[c.id] = uint32(len(s.classes)) //nolint:gosec // bounded by maxKept
		s.classes = append(s.classes, c)
		return "", s.full()
	})
}

func (s *school) loadEnrolments(ctx context.Context) error {
	err := s.read(ctx, enrollmentsFile, []string{"classSourcedId", "userSourcedId"}, func(l line) (string, error) {
		user, now, fault := s.member(l)
		if now != live {
			return fault, nil
		}
		class, found := s.classOf[l.get("classSourcedId")]
		switch {
		case !found:
			return "its class is not in classes.csv: a file was cut, or the export is wrong", nil
		case s.classes[class].left:
			return "", nil
		case len(s.taught) >= maxEnrolments:
			return "", Errorf(TooLarge, "it has more than %d enrolments: split the bundle", maxEnrolments)
		}
		s.taught = append(s.taught, enrolment{user, class})
		return "", nil
	})
	slices.SortFunc(s.taught, func(a, b enrolment) int {
		return cmp.Or(cmp.Compare(a.user, b.user), cmp.Compare(a.class, b.class))
	})
	s.taught = slices.Compact(s.taught)
	return err
}

// person is a user with what is joined to them.
type person struct {
	line

	roles   []role
	classes []enrolment
}

// column is a column of the reading.
type column struct {
	name  string
	value func(p person) string
}

// columns returns the columns that are known for each person.
func (s *school) columns() []column {
	var all []column
	for _, name := range []string{
		"sourcedId", "identifier", "username", "enabledUser", "givenName", "middleName", "familyName",
		"preferredGivenName", "preferredFamilyName", "email", "phone",
	} {
		all = append(all, column{name, func(p person) string { return p.get(name) }})
	}
	all = append(all, column{"grade", func(p person) string { return joined(p.list("grades")) }})
	if s.hasRoles() {
		all = append(all,
			column{"role", func(p person) string { return first(s.rolesOf(p)) }},
			column{"roles", func(p person) string { return joined(s.rolesOf(p)) }},
			column{"orgSourcedIds", func(p person) string { return joined(s.orgsOf(p)) }},
		)
		if s.whole(orgsFile) {
			all = append(all, column{"orgs", s.orgNames})
		}
	}
	if !s.hasClasses() {
		return all
	}
	of := func(name string, value func(class) string) column {
		return column{name, func(p person) string {
			var values []string
			for _, e := range p.classes {
				values = append(values, value(s.classes[e.class]))
			}
			return joined(values)
		}}
	}
	all = append(all,
		column{"homeroom", s.homeroom},
		of("classes", func(c class) string { return c.title }),
		of("classSourcedIds", func(c class) string { return plain(c.id) }),
	)
	if s.whole(sessionsFile) {
		all = append(all, column{"terms", s.termsOf})
	}
	return all
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// joined joins the different ones of several values.
func joined(values []string) string {
	var all []string
	for _, value := range values {
		if value = plain(value); value != "" && !slices.Contains(all, value) {
			all = append(all, value)
		}
	}
	return strings.Join(all, ";")
}

func (s *school) rolesOf(p person) []string {
	if s.manifest.version == "1.1" {
		return []string{p.get("role")}
	}
	var all []string
	for _, r := range p.roles {
		all = append(all, s.roleNames.all[r.name])
	}
	return all
}

func (s *school) orgsOf(p person) []string {
	if s.manifest.version == "1.1" {
		return p.list("orgSourcedIds")
	}
	all := []string{p.get("primaryOrgSourcedId")}
	for _, r := range p.roles {
		all = append(all, s.orgIDs.all[r.org])
	}
	return all
}

func (s *school) orgNames(p person) string {
	var all []string
	for _, id := range s.orgsOf(p) {
		all = append(all, s.orgs[id])
	}
	return joined(all)
}

func (s *school) homeroom(p person) string {
	for _, e := range p.classes {
		if s.classes[e.class].homeroom {
			return s.classes[e.class].title
		}
	}
	return ""
}

func (s *school) termsOf(p person) string {
	var all []string
	for _, e := range p.classes {
		all = append(all, strings.Split(s.classes[e.class].terms, ";")...)
	}
	return joined(all)
}

// people gives a record of each user in the roster to a function, and returns their
// number.
func (s *school) people(ctx context.Context, columns []column, names []string, each func(columns []string, r Record) error) (int, error) {
	count, number := 0, uint32(0)
	why, err := s.bundle.lines(ctx, usersFile, s.neededOfUsers(), func(l line) (string, error) {
		n := number
		if number++; int(n) >= len(s.state) {
			return "", Errorf(NotReady, "it changed while it was read: read the bundle later")
		}
		p := person{line: l}
		p.roles, s.roles = split(s.roles, n, func(r role) uint32 { return r.user })
		p.classes, s.taught = split(s.taught, n, func(e enrolment) uint32 { return e.user })
		switch s.state[n] {
		case duplicate:
			return "another user has the same sourcedId", nil
		case live:
		default:
			_, fault := userOf(l)
			return fault, nil
		}
		fields := make([]string, len(columns))
		for i, c := range columns {
			fields[i] = c.value(p)
		}
		count++
		return "", each(names, Record{At: usersFile + ".csv " + l.at, Fields: fields})
	})
	if why != "" {
		s.why = append(s.why, why)
	}
	return count, err
}

// split returns those of the front that belong to a user, and the rest.
func split[T any](all []T, user uint32, of func(T) uint32) (own, rest []T) {
	n := 0
	for n < len(all) && of(all[n]) == user {
		n++
	}
	return all[:n], all[n:]
}
