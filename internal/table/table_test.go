package table_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/table"
)

// write puts content into a file, whose name says nothing.
func write(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "名单 file.dat")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, content string, o table.Options) (*table.Table, error) {
	t.Helper()
	in, err := table.OpenFile(write(t, content))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	})
	return table.Open(in, o)
}

// read returns the form, and the header and rows as one text a row: "2: u1|张三".
func read(t testing.TB, content string, o table.Options) (form string, rows []string, err error) {
	t.Helper()
	opened, err := open(t, content, o)
	if err != nil {
		return "", nil, err
	}
	names, _ := opened.Header()
	rows = []string{strings.Join(names, "|")}
	for record, err := range opened.Records() {
		if err != nil {
			return opened.String(), rows, err
		}
		rows = append(rows, show(record))
	}
	return opened.String(), rows, nil
}

func show(r table.Record) string {
	var text strings.Builder
	text.WriteString(string(rune('0'+r.Line)) + ": " + strings.Join(r.Cells, "|"))
	for _, f := range r.Faults {
		text.WriteString(" !" + f.What)
	}
	if r.Cut {
		text.WriteString(" (cut)")
	}
	return text.String()
}

const (
	gbZhangSan = "\xd5\xc5\xc8\xfd" // 张三
	gbRare     = "\x95\x32\x82\x36" // 𠀀
)

func utf16(little bool, text string) string {
	var b strings.Builder
	for _, r := range text {
		if little {
			b.Write([]byte{byte(r), byte(r >> 8)})
		} else {
			b.Write([]byte{byte(r >> 8), byte(r)})
		}
	}
	return b.String()
}

func TestEveryFormOfCSVIsRead(t *testing.T) {
	t.Parallel()
	want := []string{"user_id|nickname", "2: u1|张三", "3: u2|Lee, A"}
	for name, row := range map[string]struct {
		content, form string
		lines         int // that are before the header
	}{
		"commas":          {"user_id,nickname\nu1,张三\nu2,\"Lee, A\"\n", "CSV, UTF-8, separated by commas", 0},
		"semicolons":      {"user_id;nickname\nu1;张三\nu2;Lee, A\n", "CSV, UTF-8, separated by semicolons", 0},
		"tabs":            {"user_id\tnickname\nu1\t张三\nu2\tLee, A\n", "CSV, UTF-8, separated by tabs", 0},
		"vertical bars":   {"user_id|nickname\nu1|张三\nu2|Lee, A\n", "CSV, UTF-8, separated by vertical bars", 0},
		"full-width":      {"user_id，nickname\nu1，张三\nu2，\"Lee, A\"\n", "CSV, UTF-8, separated by full-width commas", 0},
		"CRLF and a BOM":  {"\xef\xbb\xbfuser_id,nickname\r\nu1,张三\r\nu2,\"Lee, A\"\r\n", "CSV, UTF-8, separated by commas", 0},
		"CR":              {"user_id,nickname\ru1,张三\ru2,\"Lee, A\"\r", "CSV, UTF-8, separated by commas", 0},
		"spaces":          {"user_id, nickname\nu1, 张三\nu2, \"Lee, A\"\n", "CSV, UTF-8, separated by commas", 0},
		"sep line":        {"sep=;\r\nuser_id;nickname\r\nu1;张三\r\nu2;Lee, A\r\n", "CSV, UTF-8, separated by semicolons", 1},
		"quoted sep line": {"\"sep=\t\"\nuser_id\tnickname\nu1\t张三\nu2\tLee, A\n", "CSV, UTF-8, separated by tabs", 1},
		"GB18030":         {"user_id,nickname\nu1," + gbZhangSan + "\nu2,\"Lee, A\"\n", "CSV, GB18030, separated by commas", 0},
		"UTF-16LE":        {"\xff\xfe" + utf16(true, "user_id\tnickname\r\nu1\t张三\r\nu2\tLee, A\r\n"), "CSV, UTF-16LE, separated by tabs", 0},
		"UTF-16BE":        {"\xfe\xff" + utf16(false, "user_id,nickname\nu1,张三\nu2,\"Lee, A\"\n"), "CSV, UTF-16BE, separated by commas", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			form, rows, err := read(t, row.content, table.Options{})
			if err != nil || form != row.form {
				t.Fatalf("%q, %v, want %q", form, err, row.form)
			}
			for i := range rows[1:] {
				rows[i+1] = string(rows[i+1][0]-byte(row.lines)) + rows[i+1][1:]
			}
			if diff := cmp.Diff(want, rows); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestOddTablesAreRead(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		content string
		o       table.Options
		want    []string
	}{
		"one column":            {"course_id\n7\n8\n", table.Options{}, []string{"course_id", "2: 7", "3: 8"}},
		"a list in one column":  {"add_user_ids\nu1;u2\n", table.Options{}, []string{"add_user_ids", "2: u1;u2"}},
		"a delimiter in quotes": {"\"a;b;c\",d\n1,2\n", table.Options{}, []string{"a;b;c|d", "2: 1|2"}},
		"empty cells of tabs":   {"a\tb\tc\n1\t\t3\n", table.Options{}, []string{"a|b|c", "2: 1||3"}},
		"blank lines":           {"\n\n a\n\n , \n1\n", table.Options{}, []string{"a", "6: 1"}},
		"no line end":           {"a,b\n1,2\n1", table.Options{}, []string{"a|b", "2: 1|2", "3: 1 (cut)"}},
		"a line break in quotes": {
			"a,b\n1,\"x\ny\"\n2,z\n", table.Options{}, []string{"a|b", "2: 1|x\ny", "4: 2|z"},
		},
		"UTF-16 that is named": {utf16(true, "a\n张\n"), table.Options{Encoding: "UTF-16LE"}, []string{"a", "2: 张"}},
		"GB18030 that is named": {
			"a\n\xc6\xbd\n", table.Options{Encoding: "gbk"}, // also valid UTF-8
			[]string{"a", "2: 平"},
		},
		"four bytes of GB18030": {"a\n" + gbRare + gbZhangSan + "\n", table.Options{}, []string{"a", "2: 𠀀张三"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, rows, err := read(t, row.content, row.o)
			if diff := cmp.Diff(row.want, rows); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestADamagedFileIsRefusedWithItsPosition(t *testing.T) {
	t.Parallel()
	rows := strings.Repeat("u1,张三\n", 50)
	for name, row := range map[string]struct {
		content string
		o       table.Options
		want    string
	}{
		"nothing":            {"", table.Options{}, "the file is empty"},
		"blank":              {"\n\n,,\n", table.Options{}, "the file is empty"},
		"a quote left open":  {"a,b\n1,\"x\n2,y\n3,z\n", table.Options{}, "the quote that opens in line 2 is never closed"},
		"open, sep line":     {"sep=,\na,b\n1,\"x\n2,y\n", table.Options{}, "the quote that opens in line 3 is never closed"},
		"open, after others": {"a,b\n\"1\n1\",\"x\n2,y\n", table.Options{}, "the quote that opens in line 3 is never closed"},
		"closed by another": {
			"a,b\n1,\"x\n2,y\n3,\"z\"\n", table.Options{}, "the quote that opens in line 2 is closed in line 4 by a quote with text after it",
		},
		"open for long":    {"a,b\n1,\"x\n" + strings.Repeat("2,yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\n", 60000), table.Options{}, "the quote that opens in line 2 is not closed"},
		"a bare quote":     {"a,b\n1,Ann \"A\" Lee\n", table.Options{}, "line 2, character 7: bare"},
		"a line too long":  {"a,b\n1,2\n" + strings.Repeat("x", 3<<20) + "\n", table.Options{}, "line 3: the row has more than 1024 KiB"},
		"UTF-8 that ends":  {"a,b\n" + rows + "u1,李\xe5", table.Options{}, "line 52: byte 510 of the file is not valid UTF-8"},
		"one cut name":     {"a,b\nu1,\xe5\xbc", table.Options{}, "line 2: byte 7 of the file is not valid UTF-8"},
		"UTF-8, one wrong": {"a,b\n" + rows + "u1,\xd5\xc5\n" + rows, table.Options{}, "line 52: byte 507 of the file is not valid UTF-8"},
		"UTF-8 by its BOM": {"\xef\xbb\xbfa,b\nu1,\xd5\xc5\xc8\xfd\n", table.Options{}, "not valid UTF-8"},
		"neither":          {"a,b\nu1,\xff\xff\xff\n", table.Options{}, "it is not GB18030 either (line 2"},
		"UTF-8 is asked":   {"a,b\nu1," + gbZhangSan + "\n", table.Options{Encoding: "utf-8"}, "line 2: byte 7 of the file is not valid UTF-8"},
		"UTF-16, cut":      {"\xff\xfea\x00,", table.Options{}, "odd number of bytes"},
		"UTF-16, no BOM":   {utf16(true, "a,b\n1,2\n"), table.Options{}, "--encoding utf-16le"},
		"an encoding":      {"a\n", table.Options{Encoding: "latin1"}, "is not supported: use utf-8"},
		"an .xls":          {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + strings.Repeat("\x00", 600), table.Options{}, "old Excel workbook (.xls), or one with a password"},
		"a web page":       {"<html><table><tr><td>a</td></tr></table></html>", table.Options{}, "web page"},
		"a PDF":            {"%PDF-1.7\n", table.Options{}, "PDF"},
		"an archive":       {"\x1f\x8b\x08\x00", table.Options{}, "compressed"},
		"only zeros":       {strings.Repeat("\x00", 5000), table.Options{}, "only NUL bytes"},
		"a sheet of text":  {"a\n", table.Options{Sheet: "x"}, "only an XLSX file has sheets"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := read(t, row.content, row.o)
			if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line with %q", err, row.want)
			}
		})
	}
}

func TestNDJSONIsRead(t *testing.T) {
	t.Parallel()
	opened, err := open(t, "{\"user_id\":\"u1\",\"nickname\":\"张三\",\"n\":123456789012345678901}\n\n"+
		"{\"user_id\":2,\"urgent\":true,\"x\":null,\"list\":[\"a\",\"b\"],\"o\":{}}", table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []table.Record
	for record, err := range opened.Records() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, record)
	}
	want := []table.Record{
		{Line: 1, Names: []string{"user_id", "nickname", "n"}, Cells: []string{"u1", "张三", "123456789012345678901"}},
		{
			Line: 3, Names: []string{"user_id", "urgent", "x", "list", "o"}, Cells: []string{"2", "true", "", "a;b", ""},
			Faults: []table.Fault{{Cell: 4, What: "is an object: write text, a number or a list of texts"}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" || opened.String() != "NDJSON, UTF-8" {
		t.Errorf("%s (-want +got):\n%s", opened, diff)
	}
	for content, want := range map[string]string{
		"[\n{\"a\":1}]":                                    "jq -c",
		"{\"a\":1}\n{\"a\":":                               "line 2: not valid JSON",
		"{\"a\":1}\nnickname\n":                            "line 2: not a JSON object",
		"{\"a\":1} {\"a\":2}\n":                            "line 1: text follows the object",
		"{\"a\":1,\"a\":2}\n":                              "line 1: not valid JSON",
		"{\"a\":\"\xff\"}\n":                               "not valid UTF-8",
		"{\"a\":\"" + strings.Repeat("x", 1<<20) + "\"}\n": "line 1 has more than",
	} {
		if _, _, err := read(t, content, table.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", content, err, want)
		}
	}
}

func TestOnlyRegularFilesAreOpened(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		t.TempDir():                        "directory",
		os.DevNull:                         "pipe or a device",
		filepath.Join(t.TempDir(), "none"): "no such file",
	} {
		if in, err := table.OpenFile(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v, want %q", path, in, err, want)
		}
	}
}

// endless is a device such as /dev/zero.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	clear(p)
	return len(p), nil
}

func TestAStreamIsSpooledAndRemoved(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	in, err := table.Spool(strings.NewReader("a\n1\n"))
	if err != nil {
		t.Fatal(err)
	}
	opened, err := table.Open(in, table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // it can be read again
		n := 0
		for _, err := range opened.Records() {
			if n++; err != nil {
				t.Error(err)
			}
		}
		if n != 1 {
			t.Errorf("%d records", n)
		}
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	var zeros endless
	if _, err := table.Spool(&zeros); err == nil || zeros.read > 1<<20 {
		t.Errorf("endless zeros: %v after %d bytes", err, zeros.read)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("%v, %v stay behind", err, left)
	}
}

func TestAFileThatChangesBetweenTwoReadingsIsNoticed(t *testing.T) {
	t.Parallel()
	path := write(t, "a\n1\n2\n")
	in, err := table.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	opened, err := table.Open(in, table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("3\n"); err != nil {
		t.Fatal(err)
	}
	file.Close()
	var last error
	for _, err := range opened.Records() {
		last = err
	}
	if last == nil || !strings.Contains(last.Error(), "changed while it was read") {
		t.Errorf("%v", last)
	}
}

func FuzzOpen(f *testing.F) {
	for _, seed := range []string{
		"kind,tenant\nnickname,dt\n", "sep=;\na;b\r\n\"x\r\ny\";2\r", "\xff\xfea\x00\n\x00b\x00", "a\n" + gbZhangSan + gbRare + "\n",
		"{\"a\":1,\"b\":[\"x\"]}\n", "a,b\n1,\"x\n", "\xef\xbb\xbfa\n\xe5\xbc",
	} {
		f.Add([]byte(seed), "", "")
	}
	f.Add([]byte("\x00a\x00\n\x00b"), "utf-16be", "")
	for _, seed := range workbooks(f) {
		f.Add(seed, "", "")
		f.Add(seed, "", "Sheet2")
	}
	f.Fuzz(func(t *testing.T, content []byte, encoding, sheet string) {
		in, err := table.Spool(bytes.NewReader(content))
		if err != nil {
			return
		}
		defer in.Close()
		opened, err := table.Open(in, table.Options{Encoding: encoding, Sheet: sheet})
		if err != nil {
			return
		}
		var first []string
		for pass := range 2 {
			var rows []string
			last := 0
			for record, err := range opened.Records() {
				if err != nil {
					rows = append(rows, err.Error())
					continue
				}
				if record.Line <= last {
					t.Errorf("line %d comes after line %d", record.Line, last)
				}
				last = record.Line
				for _, fault := range record.Faults {
					if fault.Cell >= len(record.Cells) || fault.What == "" {
						t.Errorf("line %d: a fault in cell %d of %d", record.Line, fault.Cell, len(record.Cells))
					}
				}
				rows = append(rows, show(record))
			}
			if pass == 0 {
				first = rows
			} else if diff := cmp.Diff(first, rows); diff != "" {
				t.Errorf("read again (-first +second):\n%s", diff)
			}
		}
	})
}
