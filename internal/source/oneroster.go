package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// OneRosterSpec configures [OneRoster].
type OneRosterSpec struct {
	// Place is of a ZIP file, or of a directory with the files of one bundle.
	Place

	// Columns must be in the reading; see [OneRoster].
	Columns []string
	// MaxUnpacked is the largest size of the unpacked files in bytes, together and for
	// each time that one is read. 0: 1 GiB. One file has 512 MiB at most.
	MaxUnpacked int64
	// Zone decides which day it is, for the dates of enrolments. nil: that of the
	// machine.
	Zone *time.Location
}

const defaultUnpacked = 1 << 30

// Validate returns what is wrong, each beginning with the key of the configuration.
func (s OneRosterSpec) Validate() error {
	err := errors.Join(s.validate(), validColumns(s.Columns))
	if s.MaxUnpacked < 0 || s.MaxUnpacked > 8<<30 {
		err = errors.Join(err, fmt.Errorf("max_unpacked: %d bytes is not between 0 and %d", s.MaxUnpacked, int64(8<<30)))
	}
	return err
}

// OneRoster reads a CSV bundle of OneRoster 1.1 or 1.2
// (https://www.imsglobal.org/oneroster-v11-final-csv-tables,
// https://www.imsglobal.org/spec/oneroster/v1p2/bind/csv): one record for each user, in
// the order of users.csv, without those whose status is tobedeleted. Passwords are not
// read. The columns are:
//
//	sourcedId, identifier, username, enabledUser
//	givenName, middleName, familyName, preferredGivenName, preferredFamilyName
//	email, phone, grade
//	role, roles            with 1.2 only if roles.csv is bulk; role is the primary one
//	orgSourcedIds          the same
//	orgs                   names, if orgs.csv is bulk
//	homeroom               the title of the first class of this type
//	classes, classSourcedIds
//	terms                  titles, if academicSessions.csv is bulk
//
// The last four need classes.csv and enrollments.csv in bulk: with changes alone, the
// classes of a person are not known. An enrolment or role counts from its beginDate until
// the day before its endDate. Semicolons separate several values; one in a name becomes a
// comma.
//
// A reading is complete if each of these files is bulk or absent, and each row of them
// can be used: an enrolment of a user or class that the bundle does not have shows that a
// file was cut. Version is the SHA-256 of the content, with the day if dates decided.
type OneRoster struct{ spec OneRosterSpec }

// NewOneRoster returns a source of OneRoster bundles.
func NewOneRoster(spec OneRosterSpec) (*OneRoster, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	return &OneRoster{spec}, nil
}

// Read implements [Source].
func (o *OneRoster) Read(ctx context.Context, each func(columns []string, r Record) error) (Reading, error) {
	at, err := o.spec.find(ctx, true)
	if err != nil {
		return Reading{}, err
	}
	to := relay{each: each}
	reading, err := o.read(ctx, at, to.give)
	if err != nil {
		return Reading{}, to.explain(at.path, err)
	}
	if err := o.spec.unchanged(at); err != nil {
		return Reading{}, err
	}
	reading.Modified = at.modified
	return reading, nil
}

func (o *OneRoster) read(ctx context.Context, at found, each func(columns []string, r Record) error) (Reading, error) {
	b, err := openBundle(at, cmp.Or(o.spec.MaxUnpacked, defaultUnpacked))
	if err != nil {
		return Reading{}, err
	}
	defer b.close()
	m, err := readManifest(ctx, b)
	if err != nil {
		return Reading{}, err
	}
	version, err := b.version(ctx)
	if err != nil {
		return Reading{}, err
	}
	zone := o.spec.Zone
	if zone == nil {
		zone = time.Local
	}
	s := newSchool(b, m, time.Now().In(zone).Format(time.DateOnly))
	if err := s.load(ctx); err != nil {
		return Reading{}, err
	}
	columns := s.columns()
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	if err := missing(o.spec.Columns, names); err != nil {
		return Reading{}, Errorf(Malformed, "%w (a column of a file that is absent or delta is left out)", err)
	}
	n, err := s.people(ctx, columns, names, each)
	if err != nil {
		return Reading{}, err
	}
	if n == 0 {
		return Reading{}, Errorf(Empty, "users.csv has no user: check the export")
	}
	if s.dated {
		version += " " + s.today
	}
	return Reading{Columns: names, Complete: len(s.why) == 0, Why: strings.Join(s.why, "; "), Version: version}, nil
}
