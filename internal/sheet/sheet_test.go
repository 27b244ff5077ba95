package sheet_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"rollcall/internal/sheet"
	"rollcall/internal/table"
)

// content reads a file as the commands do: names, then the cells of each record.
func content(t *testing.T, path string) (*table.Table, [][]string) {
	t.Helper()
	in, err := table.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close() })
	opened, err := table.Open(in, table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for record, err := range opened.Records() {
		if err != nil {
			t.Fatal(err)
		}
		if len(all) == 0 {
			all = append(all, record.Names)
		}
		all = append(all, record.Cells)
	}
	return opened, all
}

func TestEveryFormatIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	rows := [][]string{{"row", "name"}, {"1", "张三 \"A\", B"}, {"00123", "2026-03-01"}}
	for _, name := range []string{"a.csv", "a.xlsx", "a.ndjson", "a.XLSX"} {
		path := filepath.Join(t.TempDir(), name)
		w, err := sheet.Create(path, rows[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows[1:] {
			if err := w.Row(row); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s has its name before it is complete", name)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		w.Discard() // does nothing any more
		if _, got := content(t, path); cmp.Diff(rows, got) != "" {
			t.Errorf("%s (-want +got):\n%s", name, cmp.Diff(rows, got))
		}
	}
}

func TestADiscardedFileLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w, err := sheet.Create(filepath.Join(dir, "a.xlsx"), []string{"a"})
	if err != nil {
		t.Fatal(err)
	}
	w.Discard()
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
	if _, err := sheet.Create(filepath.Join(dir, "a.doc"), nil); err == nil || !strings.Contains(err.Error(), "must end in") {
		t.Error(err)
	}
	if _, err := sheet.Create(filepath.Join(dir, "no", "a.csv"), nil); err == nil || strings.Contains(err.Error(), ".a.csv.") {
		t.Error(err)
	}
}

// A large workbook is in a temporary file until its end, with the names of people.
func TestADiscardedWorkbookLeavesNoTemporaryFile(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	w, err := sheet.Create(filepath.Join(t.TempDir(), "a.xlsx"), []string{"a"})
	must(t, err)
	long := []string{strings.Repeat("a", 30_000)}
	for range excelize.StreamChunkSize/len(long[0]) + 100 {
		must(t, w.Row(long))
	}
	if begun, _ := os.ReadDir(temp); len(begun) == 0 {
		t.Fatal("the workbook has no temporary file yet: write more")
	}
	w.Discard()
	if left, _ := os.ReadDir(temp); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
}

// extra adds a column that says which line a record has.
func extra(keep func(table.Record) bool) sheet.Extra {
	return sheet.Extra{
		Heads:    []string{"result"},
		Replaces: func(name string) bool { return name == "result" },
		Cells: func(r table.Record) ([]string, bool, error) {
			return []string{"of " + r.Cells[0]}, keep(r), nil
		},
		End: func() error { return nil },
	}
}

func every(table.Record) bool { return true }

// What is not added stays byte for byte, but for quotes that are not needed.
func TestACopyOfTextKeepsItsForm(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ in, want string }{
		"UTF-8 with a mark, CRLF": {"\xef\xbb\xbfid,name\r\n1,张三\r\n", "\xef\xbb\xbfid,name,result\r\n1,张三,of 1\r\n"},
		"GB18030, semicolons":     {"id;\xd0\xd5\xc3\xfb\n1;\xd5\xc5\xc8\xfd\n", "id;\xd0\xd5\xc3\xfb;result\n1;\xd5\xc5\xc8\xfd;of 1\n"},
		"UTF-16LE":                {"\xff\xfei\x00d\x00\n\x001\x00\n\x00", "\xff\xfei\x00d\x00,\x00r\x00e\x00s\x00u\x00l\x00t\x00\n\x001\x00,\x00o\x00f\x00 \x001\x00\n\x00"},
		"a sep= line":             {"sep=;\r\nid;name\r\n1;\"a;b\"\r\n", "sep=;\r\nid;name;result\r\n1;\"a;b\";of 1\r\n"},
		"tabs":                    {"id\tname\n1\t\n", "id\tname\tresult\n1\t\tof 1\n"},
		"a short row":             {"id,name,more\n1\n", "id,name,more,result\n1,,,of 1\n"},
		"results before":          {"id,result,name\n1,old,x\n", "id,name,result\n1,x,of 1\n"},
		"NDJSON":                  {`{"id":"1","name":"x"}` + "\n" + `{"id":"2"}` + "\n", `{"id":"1","name":"x","result":"of 1"}` + "\n" + `{"id":"2","result":"of 2"}` + "\n"},
	} {
		dir := t.TempDir()
		source, out := filepath.Join(dir, "in.csv"), filepath.Join(dir, "out.csv")
		if err := os.WriteFile(source, []byte(row.in), 0o600); err != nil {
			t.Fatal(err)
		}
		opened, _ := content(t, source)
		if _, err := sheet.Annotate(source, opened, out, extra(every)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(out)
		if err != nil || string(got) != row.want {
			t.Errorf("%s: %q, want %q: %v", name, got, row.want, err)
		}
	}
}

// A workbook keeps the formats of its cells and its other sheets.
func TestACopyOfAWorkbookKeepsItsFormats(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source, out := filepath.Join(dir, "in.xlsx"), filepath.Join(dir, "out.xlsx")
	f := excelize.NewFile()
	style, err := f.NewStyle(&excelize.Style{Font: &excelize.Font{Bold: true, Color: "FF0000"}})
	must(t, err)
	for cell, value := range map[string]any{"A1": "id", "B1": "name", "A2": 1, "B2": "张三", "A3": 2} {
		must(t, f.SetCellValue("Sheet1", cell, value))
	}
	must(t, f.SetCellStyle("Sheet1", "B2", "B2", style))
	_, err = f.NewSheet("notes")
	must(t, err)
	must(t, f.SetCellValue("notes", "A1", "keep me"))
	must(t, f.SaveAs(source))
	must(t, f.Close())
	opened, _ := content(t, source)
	x := extra(every)
	x.All = true
	rows, err := sheet.Annotate(source, opened, out, x)
	must(t, err)
	if rows != 2 {
		t.Errorf("%d rows", rows)
	}
	copied, err := excelize.OpenFile(out)
	must(t, err)
	defer func() { _ = copied.Close() }()
	for cell, want := range map[string]string{"A2": "1", "B2": "张三", "C1": "result", "C2": "of 1", "C3": "of 2"} {
		if got, err := copied.GetCellValue("Sheet1", cell); err != nil || got != want {
			t.Errorf("%s is %q, want %q: %v", cell, got, want, err)
		}
	}
	if got, err := copied.GetCellValue("notes", "A1"); err != nil || got != "keep me" {
		t.Errorf("the other sheet has %q: %v", got, err)
	}
	if got, err := copied.GetCellStyle("Sheet1", "B2"); err != nil || got == 0 {
		t.Errorf("the style of B2 is %d: %v", got, err)
	}
}

func TestRecordsThatAreNotKeptAreLeftOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source := filepath.Join(dir, "in.xlsx")
	w, err := sheet.Create(source, []string{"id", "result"})
	must(t, err)
	must(t, w.Row([]string{"1", "old"}))
	must(t, w.Row([]string{"2", "old"}))
	must(t, w.Close())
	opened, _ := content(t, source)
	out := filepath.Join(dir, "out.xlsx")
	rows, err := sheet.Annotate(source, opened, out, extra(func(r table.Record) bool { return r.Cells[0] == "2" }))
	must(t, err)
	_, got := content(t, out)
	if diff := cmp.Diff([][]string{{"id", "result"}, {"2", "of 2"}}, got); diff != "" || rows != 1 {
		t.Errorf("%d rows (-want +got):\n%s", rows, diff)
	}
}

func TestAnErrorLeavesNoCopy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source, out := filepath.Join(dir, "in.csv"), filepath.Join(dir, "out.csv")
	must(t, os.WriteFile(source, []byte("id\n1\n"), 0o600))
	opened, _ := content(t, source)
	wrong := errors.New("wrong")
	for _, x := range []sheet.Extra{
		{Replaces: func(string) bool { return false }, Cells: func(table.Record) ([]string, bool, error) { return nil, false, wrong }},
		{
			Replaces: func(string) bool { return false }, Cells: func(table.Record) ([]string, bool, error) { return nil, true, nil },
			End: func() error { return wrong },
		},
	} {
		if _, err := sheet.Annotate(source, opened, out, x); !errors.Is(err, wrong) {
			t.Error(err)
		}
		if left, _ := os.ReadDir(dir); len(left) != 1 {
			t.Errorf("%v is left", left)
		}
	}
	in := filepath.Join(dir, "book.xlsx")
	w, err := sheet.Create(in, []string{"id"})
	must(t, err)
	must(t, w.Row([]string{"1"}))
	must(t, w.Close())
	book, _ := content(t, in)
	if _, err := sheet.Annotate(in, book, out, extra(every)); err == nil || !strings.Contains(err.Error(), "must end in .xlsx") {
		t.Error(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
