package source_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"rollcall/internal/source"
)

// sound checks what holds for each reading: an error has a cause, and records are of
// different people.
func sound(t *testing.T, s source.Source) {
	t.Helper()
	seen := map[string]bool{}
	reading, err := s.Read(context.Background(), func(columns []string, r source.Record) error {
		id := slices.Index(columns, "sourcedId")
		if len(columns) != len(r.Fields) || id < 0 || r.At == "" || r.Fields[id] == "" || seen[r.Fields[id]] {
			t.Errorf("%v of %v", r, columns)
		}
		seen[r.Fields[id]] = true
		return nil
	})
	fault, ok := errors.AsType[*source.Error](err)
	switch {
	case err != nil && (!ok || fault.Cause == "" || fault.Error() == ""):
		t.Errorf("%v", err)
	case err == nil && (len(seen) == 0 || reading.Version == "" || reading.Complete != (reading.Why == "")):
		t.Errorf("%d records, %+v", len(seen), reading)
	}
}

func FuzzOneRosterZIP(f *testing.F) {
	whole := zipOf(f, school11())
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add(zipOf(f, school12()))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(dir, "bundle.zip")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		sound(t, bundles(t, source.OneRosterSpec{Place: source.Place{Path: path}, MaxUnpacked: 1 << 20}))
	})
}

func FuzzOneRosterFiles(f *testing.F) {
	for _, bundle := range []map[string]string{school11(), school12()} {
		f.Add(bundle["manifest.csv"], bundle["users.csv"], bundle["roles.csv"], bundle["orgs.csv"], bundle["classes.csv"], bundle["enrollments.csv"])
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, manifest, users, roles, orgs, classes, enrollments string) {
		for name, content := range map[string]string{
			"manifest.csv": manifest, "users.csv": users, "roles.csv": roles, "orgs.csv": orgs, "classes.csv": classes, "enrollments.csv": enrollments,
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		sound(t, bundleAt(t, dir))
	})
}
