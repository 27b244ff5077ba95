// Package contacts reads DingTalk's contacts as a roster: it walks the departments and
// lists the users of each.
//
// It must not know kinds of task, Redis, runs or what the columns are used for. A reading
// changes nothing at the platform and is not metered; it is only limited in its rate.
package contacts

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"rollcall/internal/source"
	"rollcall/providers/dingtalk"
)

// DefaultLimit bounds the people of a reading where the configuration does not.
const DefaultLimit = 200_000

const (
	// maxDepartments bounds the departments of a reading.
	maxDepartments = 50_000
	// maxPages bounds the pages of a department. A page may be empty and have a
	// successor.
	maxPages = 5000
)

// The columns of a reading. Each record is a person.
const (
	ColumnUserID    = "userid"
	ColumnName      = "name" // as in the organisation's contacts
	ColumnJobNumber = "job_number"
	ColumnTitle     = "title"
	ColumnEmail     = "email"
	// ColumnDepartmentIDs, ColumnDepartments and ColumnPaths have one entry for each
	// department of the person that was read, separated by semicolons, in the same order.
	// A semicolon in a name becomes a comma. A path begins with the first department that
	// was read: "Riverside School/Grade 3/Class 2".
	ColumnDepartmentIDs = "department_ids"
	ColumnDepartments   = "departments"
	ColumnPaths         = "department_paths"
	ColumnActive        = "active"            // "true" if the person has ever logged in
	ColumnExclusive     = "exclusive_account" // "true" for an enterprise account
)

// Columns returns the columns in their order.
func Columns() []string {
	return []string{
		ColumnUserID, ColumnName, ColumnJobNumber, ColumnTitle, ColumnEmail,
		ColumnDepartmentIDs, ColumnDepartments, ColumnPaths, ColumnActive, ColumnExclusive,
	}
}

// Spec is what is read.
type Spec struct {
	// Departments are read with everything below them. Empty: the whole organisation.
	Departments []int64
	// Exclude are departments that are not read, nor what is below them. Their absence
	// does not make a reading incomplete.
	Exclude []int64
	// Limit is the largest number of people. 0: [DefaultLimit].
	Limit int
}

// Validate reports what is wrong with s.
func (s Spec) Validate() error {
	if s.Limit < 0 {
		return fmt.Errorf("limit is %d; it must not be negative", s.Limit)
	}
	seen := map[int64]bool{}
	for _, id := range s.Departments {
		switch {
		case id == 0:
			return errors.New("departments: 0 is no id of a department; the whole organisation is 1")
		case seen[id]:
			return fmt.Errorf("departments: %d is listed twice", id)
		case slices.Contains(s.Exclude, id):
			return fmt.Errorf("department %d is both read and excluded; remove it from one of the lists", id)
		}
		seen[id] = true
	}
	if slices.Contains(s.Exclude, dingtalk.RootDepartment) {
		return errors.New("exclude: department 1 is the whole organisation")
	}
	return nil
}

// Pace waits before each request. An app may make 20 requests a second to each API.
type Pace interface {
	// Wait blocks until the next request to an API may leave; the API is one of
	// [dingtalk.APIUsers] and its siblings. After an error nothing is sent, and the
	// reading ends with it.
	Wait(ctx context.Context, api string) error
}

// Source reads the contacts of one organisation. It is safe for concurrent use.
type Source struct {
	spec   Spec
	client *dingtalk.Client
	pace   Pace
	waits  waits
}

// New returns a Source that reads with an app's client. It sends nothing.
func New(spec Spec, client *dingtalk.Client, pace Pace) (*Source, error) {
	if err := spec.Validate(); err != nil {
		return nil, fmt.Errorf("contacts: %w", err)
	}
	if len(spec.Departments) == 0 {
		spec.Departments = []int64{dingtalk.RootDepartment}
	}
	if spec.Limit == 0 {
		spec.Limit = DefaultLimit
	}
	return &Source{spec: spec, client: client, pace: pace, waits: usualWaits}, nil
}

// Read reads the departments first and their users then; a person in several departments
// is one record, where they are listed first.
//
// The reading is not complete if a department or a person cannot be seen by the app, if
// the platform refuses a department, or if the pages of a list do not fit together. Read
// fails if the platform cannot be reached, refuses the app, or lists no person.
func (s *Source) Read(ctx context.Context, each func(columns []string, r source.Record) error) (source.Reading, error) {
	r := newReading(s, each)
	if err := r.departments(ctx); err != nil {
		return source.Reading{}, err
	}
	for _, d := range r.tree {
		if err := r.people(ctx, d); err != nil {
			return source.Reading{}, err
		}
	}
	return r.result()
}
