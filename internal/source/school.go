package source

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"time"
)

// Bounds of what is kept in memory.
const (
	maxPeople     = 2_000_000  // users, 17 bytes each; the same for roles of 1.2
	maxEnrolments = 10_000_000 // 8 bytes each
	maxKept       = 64 << 20   // bytes of ids and titles of classes, organisations, terms, roles
)

// school is a bundle whose files are joined. Of users and enrolments it keeps numbers
// alone: the number of a user is their row among the rows of users.csv that have the form
// of a row.
type school struct {
	bundle   *bundle
	manifest manifest
	today    string // YYYY-MM-DD
	dated    bool   // a date decided
	why      []string

	users   []userKey // sorted by key, then by number
	state   []state   // by number
	orgs    texts     // names by id
	terms   texts     // titles by id
	classes []class
	classOf map[string]uint32 // by id
	taught  []enrolment       // sorted by user, then by class

	roleNames, orgIDs interned
	roles             []role // of 1.2, sorted by user, the primary one first
	kept              int
}

// userKey finds the number of a user by the hash of their id. Twelve bytes make two equal
// hashes among a million ids less likely than 1 in 10^16.
type userKey struct {
	key    [12]byte
	number uint32
}

type state uint8

const (
	live state = iota
	left       // tobedeleted
	unusable
	duplicate
)

type (
	texts map[string]string
	class struct {
		id, title, terms string
		homeroom, left   bool
	}
	enrolment struct{ user, class uint32 }
	role      struct {
		user, name, org uint32 // org: 0 is none
		rank            uint8  // 0: the primary one
	}
)

func newSchool(b *bundle, m manifest, today string) *school {
	return &school{
		bundle: b, manifest: m, today: today, orgs: texts{}, terms: texts{}, classOf: map[string]uint32{},
		orgIDs: interned{of: map[string]uint32{"": 0}, all: []string{""}}, roleNames: interned{of: map[string]uint32{}},
	}
}

func (s *school) whole(file string) bool { return s.manifest.mode[file] == bulk }

// hasClasses reports whether the classes of each person are known.
func (s *school) hasClasses() bool { return s.whole(classesFile) && s.whole(enrollmentsFile) }

// hasRoles reports whether the roles of each person are known: they are in users.csv in
// version 1.1.
func (s *school) hasRoles() bool { return s.manifest.version == "1.1" || s.whole(rolesFile) }

// load reads what is joined to the users.
func (s *school) load(ctx context.Context) error {
	if changed := s.manifest.deltas(); changed != nil {
		s.why = append(s.why, "the bundle has only the changes (delta) of "+strings.Join(changed, ", "))
	}
	if err := s.loadUsers(ctx); err != nil {
		return err
	}
	if s.whole(orgsFile) {
		if err := s.loadTexts(ctx, orgsFile, "name", s.orgs); err != nil {
			return err
		}
	}
	if s.whole(rolesFile) {
		if err := s.loadRoles(ctx); err != nil {
			return err
		}
	}
	if !s.hasClasses() {
		return nil
	}
	if s.whole(sessionsFile) {
		if err := s.loadTexts(ctx, sessionsFile, "title", s.terms); err != nil {
			return err
		}
	}
	if err := s.loadClasses(ctx); err != nil {
		return err
	}
	return s.loadEnrolments(ctx)
}

// read reads one file, and notes why not all of its rows could be used.
func (s *school) read(ctx context.Context, file string, needed []string, each func(line) (string, error)) error {
	why, err := s.bundle.lines(ctx, file, needed, each)
	if why != "" {
		s.why = append(s.why, why)
	}
	return err
}

func (s *school) loadUsers(ctx context.Context) error {
	// The second pass reports the rows that cannot be used.
	_, err := s.bundle.lines(ctx, usersFile, s.neededOfUsers(), func(l line) (string, error) {
		if len(s.state) >= maxPeople {
			return "", Errorf(TooLarge, "it has more than %d users: split the bundle", maxPeople)
		}
		now, fault := userOf(l)
		if fault == "" {
			s.users = append(s.users, userKey{keyOf(l.get("sourcedId")), uint32(len(s.state))}) //nolint:gosec // at most maxPeople
		}
		s.state = append(s.state, now)
		return fault, nil
	})
	slices.SortFunc(s.users, func(a, b userKey) int {
		return cmp.Or(bytes.Compare(a.key[:], b.key[:]), cmp.Compare(a.number, b.number))
	})
	alive := false // a user of the same id before
	for i, u := range s.users {
		alive = alive && s.users[i-1].key == u.key
		if alive && s.state[u.number] == live {
			s.state[u.number] = duplicate
		}
		alive = alive || s.state[u.number] == live
	}
	return err
}

func (s *school) neededOfUsers() []string {
	needed := []string{"sourcedId", "givenName", "familyName"}
	if s.manifest.version == "1.1" {
		needed = append(needed, "role")
	}
	return needed
}

// userOf returns whether a row of users.csv is in the roster.
func userOf(l line) (now state, fault string) {
	if l.get("sourcedId") == "" {
		return unusable, "sourcedId is missing"
	}
	return statusOf(l)
}

func keyOf(id string) [12]byte {
	sum := sha256.Sum256([]byte(id))
	return [12]byte(sum[:12])
}

// user finds the user of an id, and whether they are in the roster.
func (s *school) user(id string) (number uint32, alive, found bool) {
	key := keyOf(id)
	i, found := slices.BinarySearchFunc(s.users, key, func(u userKey, key [12]byte) int { return bytes.Compare(u.key[:], key[:]) })
	for ; i < len(s.users) && s.users[i].key == key; i++ {
		if number = s.users[i].number; s.state[number] == live {
			return number, true, true
		}
	}
	return 0, false, found
}

// statusOf returns whether a row is in the roster. Bulk files leave the status empty.
func statusOf(l line) (now state, fault string) {
	switch strings.ToLower(l.get("status")) {
	case "", "active":
		return live, ""
	case "tobedeleted", "inactive":
		return left, ""
	}
	return unusable, "status is neither active nor tobedeleted"
}

// currentOf returns the same for a row with a time: its endDate is the day after it.
func (s *school) currentOf(l line) (now state, fault string) {
	now, fault = statusOf(l)
	if now != live {
		return now, fault
	}
	for _, column := range []string{"beginDate", "endDate"} {
		date := l.get(column)
		if date == "" {
			continue
		}
		date = date[:min(len(date), len(time.DateOnly))] // a time may follow
		if _, err := time.Parse(time.DateOnly, date); err != nil {
			return unusable, column + " is not a date (YYYY-MM-DD)"
		}
		if s.dated = true; (s.today >= date) == (column == "endDate") {
			now = left
		}
	}
	return now, ""
}

// keep returns a copy of a text that stays in memory, up to the row after which it is full.
func (s *school) keep(text string) string {
	s.kept += len(text) + 32
	return strings.Clone(text)
}

// full returns an error if the texts that stay in memory are too large.
func (s *school) full() error {
	if s.kept > maxKept {
		return Errorf(TooLarge, "the ids and titles of classes and organisations have more than %d MiB: split the bundle", maxKept>>20)
	}
	return nil
}

// loadTexts reads the names of a file by id.
func (s *school) loadTexts(ctx context.Context, file, column string, into texts) error {
	return s.read(ctx, file, []string{"sourcedId", column}, func(l line) (string, error) {
		now, fault := statusOf(l)
		if now != live {
			return fault, nil
		}
		into[s.keep(l.get("sourcedId"))] = s.keep(plain(l.get(column)))
		return "", s.full()
	})
}

var separators = strings.NewReplacer(";", ",", "；", "，")

// plain replaces the characters that separate several values.
func plain(text string) string { return separators.Replace(text) }

// interned gives numbers to texts.
type interned struct {
	of  map[string]uint32
	all []string
}

func (s *school) intern(in *interned, text string) uint32 {
	if n, found := in.of[text]; found {
		return n
	}
	text = s.keep(text)
	n := uint32(len(in.all)) //nolint:gosec // bounded by maxKept
	in.of[text], in.all = n, append(in.all, text)
	return n
}
