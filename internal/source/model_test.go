package source_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rollcall/internal/source"
)

// The join with sorted numbers gives what maps of everything would.
func TestTheJoinAgreesWithAModel(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		user, class := rapid.IntRange(0, 12), rapid.IntRange(0, 5)
		status := rapid.SampledFrom([]string{"", "active", "tobedeleted"})
		users := [][]string{{"sourcedId", "status", "givenName", "familyName", "role"}}
		classes := [][]string{{"sourcedId", "status", "title", "classType"}}
		enrolments := [][]string{{"classSourcedId", "status", "userSourcedId"}}

		var people []string // in the roster, in order
		title, member := map[string]string{}, map[string]map[string]bool{}
		known := map[string]bool{}
		complete := true
		for n := range rapid.IntRange(1, 15).Draw(t, "users") {
			id, s := fmt.Sprintf("u%d", user.Draw(t, "user")), status.Draw(t, "status")
			users = append(users, []string{id, s, strconv.Itoa(n), "x", "student"})
			known[id] = true
			if s == "tobedeleted" {
				continue
			}
			if member[id] != nil {
				complete = false
				continue
			}
			people, member[id] = append(people, id), map[string]bool{}
		}
		left := map[string]bool{}
		for n := range 4 {
			id, s := fmt.Sprintf("c%d", n), status.Draw(t, "status of the class")
			classes = append(classes, []string{id, s, "title " + id, "scheduled"})
			title[id], left[id] = "title "+id, s == "tobedeleted"
		}
		usable := false
		for range rapid.IntRange(0, 30).Draw(t, "enrolments") {
			who, c, s := fmt.Sprintf("u%d", user.Draw(t, "member")), fmt.Sprintf("c%d", class.Draw(t, "class")), status.Draw(t, "status")
			enrolments = append(enrolments, []string{c, s, who})
			switch {
			case s == "tobedeleted", known[who] && member[who] == nil:
				usable = true
			case !known[who], title[c] == "":
				complete = false
			default:
				usable = true
				member[who][c] = !left[c]
			}
		}
		for name, content := range map[string]string{
			"manifest.csv": manifestOf("1.1", "users", "classes", "enrollments"),
			"users.csv":    csvOf(t, users...), "classes.csv": csvOf(t, classes...), "enrollments.csv": csvOf(t, enrolments...),
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s, err := source.NewOneRoster(source.OneRosterSpec{Place: source.Place{Path: dir, Settle: soon}})
		if err != nil {
			t.Fatal(err)
		}
		var want, have []string
		for _, id := range people {
			var titles []string
			for c := range 4 {
				if id2 := fmt.Sprintf("c%d", c); member[id][id2] {
					titles = append(titles, title[id2])
				}
			}
			want = append(want, id+": "+strings.Join(titles, ";"))
		}
		reading, err := s.Read(t.Context(), func(columns []string, r source.Record) error {
			have = append(have, r.Fields[0]+": "+r.Fields[slices.Index(columns, "classes")])
			return nil
		})
		switch {
		case len(people) == 0, len(enrolments) > 1 && !usable:
			if err == nil {
				t.Fatal("a bundle without a usable row is read")
			}
		case err != nil:
			t.Fatal(err)
		case reading.Complete != complete:
			t.Fatalf("complete: %t, want %t: %s", reading.Complete, complete, reading.Why)
		default:
			if diff := cmp.Diff(want, have); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

// It does not run in parallel with other tests, whose memory would be counted.
func TestAMillionPeopleAreNotHeldInMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 150 MiB")
	}
	dir := t.TempDir()
	var users, enrolments strings.Builder
	users.WriteString("sourcedId,status,givenName,familyName,role,username,identifier,grades\n")
	enrolments.WriteString("sourcedId,classSourcedId,userSourcedId\n")
	for i := range 1_000_000 {
		fmt.Fprintf(&users, "user-%08d,,三%d,张,student,zhangsan%d,S%d,07\n", i, i, i, i)
		fmt.Fprintf(&enrolments, "e%d,c%d,user-%08d\ne%d-2,c%d,user-%08d\n", i, i%1000, i, i, (i+1)%1000, i)
	}
	var classes strings.Builder
	classes.WriteString("sourcedId,title\n")
	for i := range 1000 {
		fmt.Fprintf(&classes, "c%d,Class %d\n", i, i)
	}
	write(t, dir, "manifest.csv", manifestOf("1.1", "users", "classes", "enrollments"))
	write(t, dir, "classes.csv", classes.String())
	write(t, dir, "enrollments.csv", enrolments.String())
	path := write(t, dir, "users.csv", users.String())
	users.Reset()
	enrolments.Reset()
	bundle, err := source.NewOneRoster(source.OneRosterSpec{Place: source.Place{Path: dir, Settle: soon}})
	if err != nil {
		t.Fatal(err)
	}
	file, err := source.NewFiles(source.FilesSpec{Place: source.Place{Path: path, Settle: soon}})
	if err != nil {
		t.Fatal(err)
	}
	for most, s := range map[uint64]source.Source{64 << 20: bundle, 8 << 20: file} {
		var memory runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&memory)
		before, n := memory.HeapAlloc, 0
		reading, err := s.Read(t.Context(), func([]string, source.Record) error {
			if n++; n%250_000 == 0 {
				runtime.GC()
				runtime.ReadMemStats(&memory)
				if memory.HeapAlloc > before+most {
					t.Errorf("%T holds %d KiB after %d records", s, (memory.HeapAlloc-before)>>10, n)
				}
			}
			return nil
		})
		if err != nil || n != 1_000_000 || !reading.Complete {
			t.Errorf("%T: %d records, %+v, %v", s, n, reading, err)
		}
	}
}
