package source_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/source"
)

func files(t *testing.T, spec source.FilesSpec) *source.Files {
	t.Helper()
	if spec.Settle == 0 {
		spec.Settle = soon
	}
	s, err := source.NewFiles(spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func at(path string) source.FilesSpec { return source.FilesSpec{Place: source.Place{Path: path}} }

const people = "学号,姓名\n1,张三\n2, 李四 \n"

var twoPeople = []map[string]string{{"学号": "1", "姓名": "张三"}, {"学号": "2", "姓名": "李四"}}

func TestEveryFormatGivesTheSameRecords(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"utf8.csv":    people,
		"bom.csv":     "\ufeff" + people,
		"gb18030.csv": gb18030(t, people),
		"semi.csv":    strings.ReplaceAll(people, ",", ";"),
		"book.xlsx":   workbook(t, []any{"学号", "姓名"}, []any{1, "张三"}, []any{"2", "李四"}),
		"lines.ndjson": `{"学号":"1","姓名":"张三"}
{"学号":2,"姓名":"李四"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, t.TempDir(), name, content)
			got := read(t, files(t, at(path)))
			if diff := cmp.Diff(twoPeople, got.records); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]string{"学号", "姓名"}, got.Columns); diff != "" {
				t.Error(diff)
			}
			if !got.Complete || got.Why != "" || got.Modified.IsZero() || !strings.HasPrefix(got.Version, "sha256:") {
				t.Errorf("%+v", got.Reading)
			}
		})
	}
}

func TestARecordSaysWhereItIs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	got := read(t, files(t, at(write(t, dir, "a.csv", "id,name\n1,\"A\nB\"\n2,C\n"))))
	if diff := cmp.Diff([]string{"line 2", "line 4"}, got.at); diff != "" {
		t.Error(diff)
	}
	got = read(t, files(t, at(write(t, dir, "a.xlsx", workbook(t, []any{"id"}, []any{"1"})))))
	if diff := cmp.Diff([]string{"row 2"}, got.at); diff != "" {
		t.Error(diff)
	}
}

func TestAnObjectHasColumnsOfItsOwn(t *testing.T) {
	t.Parallel()
	path := write(t, t.TempDir(), "a.ndjson", `{"id":"1","name":"A"}`+"\n"+`{"name":"B","id":"2","grade":"7"}`+"\n"+`{"name":"C"}`+"\n")
	spec := at(path)
	spec.Columns = []string{"id"}
	got := read(t, files(t, spec))
	if diff := cmp.Diff([]map[string]string{{"id": "1", "name": "A"}, {"id": "2", "name": "B", "grade": "7"}}, got.records); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"id", "name", "grade"}, got.Columns); diff != "" {
		t.Error(diff)
	}
	if got.Complete || !strings.Contains(got.Why, `1 of 3 rows cannot be used; the first: line 3: no column "id"`) {
		t.Errorf("%+v", got.Reading)
	}
}

func TestTheNewestMatchIsRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	age(t, write(t, dir, "b.csv", "id\nold\n"), 2*time.Hour)
	age(t, write(t, dir, "a.csv", "id\nnew\n"), time.Hour)
	write(t, dir, ".c.csv", "id\nhidden\n")
	write(t, dir, "~$d.csv", "id\nlocked\n")
	write(t, dir, "e.txt", "id\nother\n")
	if err := os.Mkdir(filepath.Join(dir, "f.csv"), 0o700); err != nil {
		t.Fatal(err)
	}
	got := read(t, files(t, at(filepath.Join(dir, "*.csv"))))
	if len(got.records) != 1 || got.records[0]["id"] != "new" {
		t.Errorf("%v", got.records)
	}
}

func TestOfFilesOfTheSameTimeTheLastNameIsRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	when := time.Now().Add(-time.Hour)
	for _, name := range []string{"1.csv", "3.csv", "2.csv"} {
		path := write(t, dir, name, "id\n"+name+"\n")
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	got := read(t, files(t, at(filepath.Join(dir, "?.csv"))))
	if got.records[0]["id"] != "3.csv" {
		t.Errorf("%v", got.records)
	}
}

// A name with brackets is a name first.
func TestAPathThatLooksLikeAPatternIsAPath(t *testing.T) {
	t.Parallel()
	path := write(t, t.TempDir(), "roster [1].csv", people)
	if got := read(t, files(t, at(path))); len(got.records) != 2 {
		t.Errorf("%v", got.records)
	}
}

// readWhileWriting reads a source while a file is written, two of the five seconds after the
// first look. It returns the error of the reading.
func readWhileWriting(t *testing.T, s source.Source, path string) error {
	t.Helper()
	written := make(chan error, 1)
	go func() {
		<-time.After(2 * time.Second)
		written <- os.WriteFile(path, []byte("学号,姓名\n1,张三\n"), 0o600)
	}()
	_, err := try(t.Context(), s)
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	return err
}

func TestAFileThatIsStillBeingWrittenIsNotRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "yesterday.csv", people)
	age(t, filepath.Join(dir, "yesterday.csv"), 24*time.Hour)
	path := write(t, dir, "today.csv", "学号,姓名\n")
	synctest.Test(t, func(t *testing.T) {
		s, err := source.NewFiles(at(filepath.Join(dir, "*.csv")))
		if err != nil {
			t.Fatal(err)
		}
		failed(t, readWhileWriting(t, s, path), source.NotReady, "today.csv is still being written")
		got := read(t, s)
		if len(got.records) != 1 {
			t.Errorf("it is at rest, and gives %v", got.records)
		}
	})
}

// The newest file is meant, also if it appears while an older one is looked at: the older one
// does not stand in for it, and neither does it while the marker of the newest is missing.
func TestANewerFileIsNotReplacedByAnOlderOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	yesterday := write(t, dir, "1.csv", people)
	age(t, yesterday, 24*time.Hour)
	write(t, dir, "1.csv.done", "")
	synctest.Test(t, func(t *testing.T) {
		spec := at(filepath.Join(dir, "*.csv"))
		spec.Done = ".done"
		s, err := source.NewFiles(spec)
		if err != nil {
			t.Fatal(err)
		}
		failed(t, readWhileWriting(t, s, filepath.Join(dir, "2.csv")), source.NotReady, "2.csv is still being written")
		_, err = try(t.Context(), s)
		failed(t, err, source.NotReady, "2.csv is not finished: its done-marker")
		if err := os.WriteFile(filepath.Join(dir, "2.csv.done"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := read(t, s); len(got.records) != 1 {
			t.Errorf("the newest file gives %v", got.records)
		}
	})
}

func TestAFileThatChangesWhileItIsReadIsNotUsed(t *testing.T) {
	t.Parallel()
	path := write(t, t.TempDir(), "a.csv", people)
	_, err := files(t, at(path)).Read(t.Context(), func([]string, source.Record) error {
		return os.WriteFile(path, []byte(people+"3,王五\n"), 0o600)
	})
	failed(t, err, source.NotReady, "changed while it was read")
}

func TestAFileThatIsReplacedWhileItIsReadIsNotUsed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := write(t, dir, "a.csv", people)
	replaced := false
	_, err := files(t, at(path)).Read(t.Context(), func([]string, source.Record) error {
		if replaced {
			return nil
		}
		replaced = true
		return os.Rename(write(t, dir, "b.csv", people+"3,王五\n"), path)
	})
	failed(t, err, source.NotReady, "changed while it was read")
}

func TestADoneMarkerMustFollowTheFile(t *testing.T) {
	t.Parallel()
	for _, marker := range []string{".done", "DONE"} {
		t.Run(marker, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			age(t, write(t, dir, "a.csv", "id\n1"), time.Hour)
			spec := at(filepath.Join(dir, "*"))
			spec.Done = marker
			s := files(t, spec)
			fails(t, s, source.NotReady, "done-marker", "does not exist")
			name := marker
			if name == ".done" {
				name = "a.csv.done"
			}
			path := write(t, dir, name, "")
			age(t, path, 2*time.Hour)
			fails(t, s, source.NotReady, "is older than it")
			age(t, path, 0)
			// The export says that it is whole, so the last line needs no line end.
			if got := read(t, s); len(got.records) != 1 || !got.Complete {
				t.Errorf("%+v", got)
			}
		})
	}
}

// Each failure ends in an error with its cause: nothing may be used.
func TestAFileThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	rows := func(n int) string {
		var b strings.Builder
		b.WriteString("id,name\n")
		for i := range n {
			fmt.Fprintf(&b, "%d,张三\n", i)
		}
		return b.String()
	}
	whole := workbook(t, []any{"id", "name"}, []any{"1", "张三"})
	for name, c := range map[string]struct {
		content string
		spec    source.FilesSpec
		cause   source.Cause
		words   string
	}{
		"nothing in it":            {"", source.FilesSpec{}, source.Empty, "is empty"},
		"only empty lines":         {"\n\n,,\n", source.FilesSpec{}, source.Empty, "empty"},
		"only a header":            {"id,name\n", source.FilesSpec{}, source.Empty, "no row"},
		"cut inside the last cell": {"id,name\n1,张三\n2,李", source.FilesSpec{}, source.Malformed, "line 3: the file ends there without a line end"},
		"cut after a delimiter":    {"id,name,class\n1,张三,7\n2,", source.FilesSpec{Place: source.Place{Done: "."}}, source.Malformed, "line 3"},
		"cut inside a character":   {rows(20)[:len(rows(20))-2], source.FilesSpec{}, source.Malformed, "UTF-8"},
		"cut inside a quote":       {"id,name\n1,\"张", source.FilesSpec{}, source.Malformed, "line 2 is never closed"},
		"half a workbook":          {whole[:len(whole)/2], source.FilesSpec{}, source.Malformed, "cut"},
		"a web page":               {"<!DOCTYPE html><title>login</title>", source.FilesSpec{}, source.Malformed, ""},
		"wrong columns":            {"id,nick\n1,A\n", source.FilesSpec{Form: source.Form{Columns: []string{"id", "name"}}}, source.Malformed, `no column "name"; there are: "id, nick"`},
		"a column that occurs twice": {
			"id,name,name\n1,A,B\n",
			source.FilesSpec{},
			source.Malformed, `"name" occurs twice`,
		},
		"values that moved in each row": {"id,name\n1,A,B\n2,C,D\n", source.FilesSpec{}, source.Malformed, "none of 2 rows can be used"},
		"more than the limit":           {rows(100), source.FilesSpec{Place: source.Place{MaxSize: 50}}, source.TooLarge, "the limit is 50"},
		"an unknown sheet":              {whole, source.FilesSpec{Form: source.Form{Sheet: "七年级"}}, source.Malformed, "七年级"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, t.TempDir(), "roster.csv", c.content)
			spec := c.spec
			spec.Path = path
			if spec.Done == "." { // the marker of the path itself: it exists, and is as old
				spec.Done = filepath.Base(path)
			}
			fails(t, files(t, spec), c.cause, path, c.words)
		})
	}
}

func TestAFileThatIsNotThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fails(t, files(t, at(filepath.Join(dir, "a.csv"))), source.Missing, "a.csv does not exist")
	fails(t, files(t, at(filepath.Join(dir, "*.csv"))), source.Missing, "*.csv")
	fails(t, files(t, at(filepath.Join(dir, "none", "x[12]", "*.csv"))), source.Missing, filepath.Join(dir, "none"))
	fails(t, files(t, at(dir)), source.Empty, dir)
	write(t, dir, "b.csv", people)
	fails(t, files(t, at(dir)), source.Malformed, "is a directory")
	if err := os.Symlink(filepath.Join(dir, "removed.csv"), filepath.Join(dir, "link.txt")); err != nil {
		t.Skip(err)
	}
	fails(t, files(t, at(filepath.Join(dir, "*.txt"))), source.Missing)
}

func TestYesterdaysFileIsNotUsedTwice(t *testing.T) {
	t.Parallel()
	path := write(t, t.TempDir(), "a.csv", people)
	spec := at(path)
	today := read(t, files(t, spec))
	age(t, path, 25*time.Hour)
	again := read(t, files(t, spec))
	if again.Version != today.Version {
		t.Errorf("the same content has the versions %s and %s", today.Version, again.Version)
	}
	spec.MaxAge = 24 * time.Hour
	fails(t, files(t, spec), source.NotReady, "more than 24h0m0s ago")
	write(t, filepath.Dir(path), "a.csv", people+"3,王五\n")
	if next := read(t, files(t, spec)); next.Version == today.Version {
		t.Error("other content has the same version")
	}
}

// A row that cannot be used is left out, and then absence means nothing.
func TestARowThatCannotBeUsedMakesTheReadingIncomplete(t *testing.T) {
	t.Parallel()
	path := write(t, t.TempDir(), "a.csv", "id,name\n1,A\n2,B,C\n3,D\n")
	got := read(t, files(t, at(path)))
	if diff := cmp.Diff([]map[string]string{{"id": "1", "name": "A"}, {"id": "3", "name": "D"}}, got.records); diff != "" {
		t.Error(diff)
	}
	if got.Complete || !strings.Contains(got.Why, "1 of 3 rows cannot be used; the first: line 3: has 3 cells, the header has 2") {
		t.Errorf("%+v", got.Reading)
	}
}

func TestADamagedCellCountsOnlyInAListedColumn(t *testing.T) {
	t.Parallel()
	path := write(t, t.TempDir(), "a.xlsx", workbook(t, []any{"id", "phone"}, []any{"1", 1.23456789012345e17}, []any{"2", "x"}))
	spec := at(path)
	if got := read(t, files(t, spec)); got.Complete || len(got.records) != 1 {
		t.Errorf("%+v", got)
	}
	spec.Columns = []string{"id"}
	got := read(t, files(t, spec))
	if diff := cmp.Diff([]map[string]string{{"id": "1"}, {"id": "2", "phone": "x"}}, got.records); diff != "" || !got.Complete {
		t.Errorf("%+v\n%s", got.Reading, diff)
	}
}

func TestAnErrorOfTheUserEndsTheReading(t *testing.T) {
	t.Parallel()
	mine := &source.Error{Cause: source.Down, Err: errors.New("mine")}
	calls := 0
	_, err := files(t, at(write(t, t.TempDir(), "a.csv", people))).Read(t.Context(), func([]string, source.Record) error {
		calls++
		return mine
	})
	if !errors.Is(err, error(mine)) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

func TestAnEndedContextEndsTheReading(t *testing.T) {
	t.Parallel()
	s := files(t, at(write(t, t.TempDir(), "a.csv", "id\n"+strings.Repeat("1\n", 5000))))
	ctx, cancel := context.WithCancel(t.Context())
	_, err := s.Read(ctx, func([]string, source.Record) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if fault, ok := errors.AsType[*source.Error](err); ok {
		t.Errorf("a cancelled reading is nothing to act on: %v", fault)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 0)
	defer cancel()
	_, err = try(ctx, s)
	failed(t, err, source.Slow)
}
