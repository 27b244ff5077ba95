package table_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"rollcall/internal/table"
)

// workbook returns a workbook that another program writes.
func workbook(t testing.TB, fill func(*excelize.File)) []byte {
	t.Helper()
	f := excelize.NewFile()
	fill(f)
	var b bytes.Buffer
	if err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// put sets a cell, and its number format unless that is empty.
func put(t testing.TB, f *excelize.File, cell string, value any, format string) {
	t.Helper()
	if err := f.SetCellValue("Sheet1", cell, value); err != nil {
		t.Fatal(err)
	}
	if format == "" {
		return
	}
	style, err := f.NewStyle(&excelize.Style{CustomNumFmt: &format})
	if err == nil {
		err = f.SetCellStyle("Sheet1", cell, cell, style)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestCellsOfAWorkbookAreReadAsAPersonSeesThem(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 3, 2, 8, 5, 9, 0, time.UTC)
	const rounded = "!is a number of more than 15 digits, which Excel has rounded"
	for name, row := range map[string]struct {
		value  any
		format string
		want   string
	}{
		"text":                      {"张三", "", "张三"},
		"digits as text":            {"180000000000000001", "", "180000000000000001"},
		"zeros in front as text":    {"00123", "", "00123"},
		"an integer":                {561294, "", "561294"},
		"15 digits":                 {999999999999999, "", "999999999999999"},
		"12 digits, in General":     {123456789012, "", "123456789012"},
		"16 digits":                 {1000000000000000, "", rounded},
		"18 digits":                 {180000000000000001, "", rounded},
		"18 digits, formatted as 0": {180000000000000000, "0", rounded},
		"thousands":                 {1234567, "#,##0.00", "1234567"},
		"zeros by the format":       {123, "00000", "00123"},
		"a fraction":                {0.1 + 0.2, "", "0.3"},
		"true":                      {true, "", "TRUE"},
		"a date":                    {day, "yyyy-mm-dd", "2026-03-02"},
		"a date of WPS":             {day, `yyyy"年"m"月"d"日"`, "2026年3月2日"},
		"a class made a date":       {day, `[$-804]m"月"d"日"`, "3月2日"},
		"a time":                    {day, "yyyy/m/d hh:mm:ss", "2026/3/2 08:05:09"},
		"half a day":                {day.Add(12 * time.Hour), "h:mm AM/PM", "8:05 PM"},
		"an escape":                 {"a_x0041_b", "", "aAb"},
		"a shape of XML":            {"<a> & \"b\"", "", "<a> & \"b\""},
		"spaces":                    {"  Ann ", "", "  Ann "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content := workbook(t, func(f *excelize.File) {
				put(t, f, "A1", "name", "")
				put(t, f, "A2", row.value, row.format)
			})
			_, rows, err := read(t, string(content), table.Options{})
			if err != nil || len(rows) != 2 {
				t.Fatalf("%q, %v", rows, err)
			}
			got := strings.TrimPrefix(rows[1], "2: ")
			if _, fault, found := strings.Cut(got, " !"); found {
				got = "!" + fault
			}
			if got != row.want && (row.want[0] != '!' || !strings.HasPrefix(got, row.want)) {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
}

// raw returns a workbook whose sheet is written by hand.
func raw(t testing.TB, sheetData, shared string) []byte {
	const relations = `http://schemas.openxmlformats.org/officeDocument/2006/relationships`
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, content := range map[string]string{
		"_rels/.rels":     `<Relationships><Relationship Id="r" Type="` + relations + `/officeDocument" Target="xl/workbook.xml"/></Relationships>`,
		"xl/workbook.xml": `<x:workbook xmlns:x="urn:x" xmlns:q="urn:q"><x:sheets><x:sheet name="一" state="hidden" q:id="r0"/><x:sheet name="二" q:id="r1"/></x:sheets></x:workbook>`,
		"xl/_rels/workbook.xml.rels": `<Relationships><Relationship Id="r0" Type="` + relations + `/worksheet" Target="none.xml"/>` +
			`<Relationship Id="r1" Type="` + relations + `/worksheet" Target="/xl/sheet.xml"/>` +
			`<Relationship Id="r2" Type="` + relations + `/sharedStrings" Target="s.xml"/></Relationships>`,
		"xl/sheet.xml": sheetData,
		"xl/s.xml":     `<sst>` + shared + `</sst>`,
	} {
		part, err := w.Create(name)
		if err == nil {
			_, err = part.Write([]byte(content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestTheXMLOfOtherProgramsIsRead(t *testing.T) {
	t.Parallel()
	content := raw(t, `<x:worksheet xmlns:x="urn:x"><x:sheetData>
<x:row r="3"><x:c r="B3" t="s"><x:v>0</x:v></x:c><x:c r="D3" t="inlineStr"><x:is><x:t>nick</x:t></x:is></x:c></x:row>
<x:row><x:c r="B4"><x:f>A1</x:f><x:v>1.79999999999E11</x:v></x:c><x:c r="C4" t="e"><x:v>#REF!</x:v></x:c><x:c t="str"><x:f>x</x:f><x:v>李&amp;_x000D_</x:v></x:c></x:row>
<x:row r="6"><x:c r="B6"><x:f>A1</x:f></x:c><x:c r="C6" t="s"><x:v>9</x:v></x:c><x:c r="D6" t="b"><x:v>0</x:v></x:c></x:row>
<x:row><x:c/><x:c t="inlineStr"><x:is><x:t>x</x:t></x:is></x:c></x:row>
</x:sheetData></x:worksheet>`, `<si><r><rPr/><t>u</t></r><r><t xml:space="preserve">ser</t></r><rPh sb="0" eb="1"><t>xx</t></rPh></si>`)
	form, rows, err := read(t, string(content), table.Options{})
	want := []string{
		"|user||nick",
		"4: |179999999999|#REF!|李&\r !is an error of a formula: correct the formula, or enter the value",
		"6: |||FALSE !is a formula without a result: open the file in Excel or WPS and save it again" +
			" !refers to a text that the workbook does not have: open it in Excel or WPS and save it again",
		"7: |x",
	}
	if diff := cmp.Diff(want, rows); err != nil || diff != "" || form != `XLSX, sheet "二"` {
		t.Errorf("%s, %v (-want +got):\n%s", form, err, diff)
	}
}

func TestABadWorkbookIsRefused(t *testing.T) {
	t.Parallel()
	good := workbook(t, func(f *excelize.File) { put(t, f, "A1", "name", "") })
	var other bytes.Buffer
	w := zip.NewWriter(&other)
	if _, err := w.Create("mimetype"); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	bomb := raw(t, `<worksheet><sheetData><row><c t="str"><v>`+strings.Repeat("x", 3<<20)+`</v></c></row></sheetData></worksheet>`, "")
	for name, row := range map[string]struct {
		content []byte
		o       table.Options
		want    string
	}{
		"cut":              {good[:len(good)-100], table.Options{}, "it was cut, or it is damaged"},
		"an archive":       {other.Bytes(), table.Options{}, "not an .xlsx workbook"},
		"no such sheet":    {good, table.Options{Sheet: "名单"}, `no sheet "名单": it has "Sheet1"`},
		"an encoding":      {good, table.Options{Encoding: "gbk"}, "no encoding"},
		"a giant cell":     {bomb, table.Options{}, "more than 1024 KiB"},
		"XML that ends":    {raw(t, `<worksheet><sheetData><row><c><v>1`, ""), table.Options{}, "workbook is damaged"},
		"a row twice":      {raw(t, `<sheetData><row r="2"><c><v>1</v></c></row><row r="2"/></sheetData>`, ""), table.Options{}, `row "2" follows row 2`},
		"far to the right": {raw(t, `<sheetData><row><c r="XFD1"><v>1</v></c></row></sheetData>`, ""), table.Options{}, "row 1 has more than 1000 columns"},
		"a hidden sheet":   {raw(t, ``, ""), table.Options{Sheet: "一"}, "no part"},
		"an empty sheet":   {raw(t, `<sheetData></sheetData>`, ""), table.Options{}, "the file is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := read(t, string(row.content), row.o)
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v, want %q", err, row.want)
			}
		})
	}
}

func workbooks(t testing.TB) [][]byte {
	t.Helper()
	return [][]byte{
		workbook(t, func(f *excelize.File) {
			put(t, f, "A1", "用户ID", "")
			put(t, f, "B1", "昵称", "")
			put(t, f, "A2", 123456, "")
			put(t, f, "B2", time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC), "yyyy/m/d")
			if _, err := f.NewSheet("Sheet2"); err != nil {
				t.Fatal(err)
			}
		}),
		raw(t, `<sheetData><row><c t="s"><v>0</v></c><c t="e"><v>#N/A</v></c></row></sheetData>`, `<si><t>a</t></si>`),
	}
}

// growth runs f and returns by how much the heap was larger at most while step was
// called, in bytes.
func growth(f func(step func())) uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one finds only now
	runtime.ReadMemStats(&m)
	before, most := m.HeapAlloc, uint64(0)
	f(func() {
		runtime.GC()
		runtime.ReadMemStats(&m)
		if m.HeapAlloc > before {
			most = max(most, m.HeapAlloc-before)
		}
	})
	return most
}

// drain reads all records, and looks at the heap every 20,000.
func drain(t *testing.T, in *table.Input, step func()) int {
	t.Helper()
	opened, err := table.Open(in, table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for record, err := range opened.Records() {
		if err != nil {
			t.Fatal(err)
		}
		if len(record.Cells) != 5 {
			t.Fatalf("line %d has %d cells", record.Line, len(record.Cells))
		}
		if n++; n%20_000 == 0 {
			step()
		}
	}
	return n
}

// It does not run in parallel: it measures the heap.
func TestMemoryDoesNotGrowWithTheFile(t *testing.T) {
	rows, most := 300_000, uint64(8<<20) // the file has 13 MiB
	if testing.Short() {
		rows, most = 60_000, 8<<20/5
	}
	var content bytes.Buffer
	fmt.Fprintln(&content, "kind,tenant,chat_id,user_id,nickname")
	for i := range rows {
		fmt.Fprintf(&content, "nickname,lakeside-dt,chat%d,user%d,学生%d\n", i%100, i, i)
	}
	in, err := table.Spool(&content)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	grown := growth(func(step func()) {
		if n := drain(t, in, step); n != rows {
			t.Errorf("%d rows", n)
		}
	})
	t.Logf("the heap was larger by %d KiB", grown>>10)
	if grown > most {
		t.Errorf("the heap was larger by %d KiB", grown>>10)
	}
}

// Of a workbook, the texts that cells share are kept in memory, once.
func TestAWorkbookOf100000RowsTakesLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 10 s: make test-long")
	}
	in, err := table.Spool(bytes.NewReader(largeWorkbook()))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	began := time.Now()
	grown := growth(func(step func()) {
		if n := drain(t, in, step); n != 100_000 {
			t.Errorf("%d rows", n)
		}
	})
	t.Logf("the heap was larger by %d KiB; %v", grown>>10, time.Since(began))
	if grown > 32<<20 {
		t.Errorf("the heap was larger by %d KiB", grown>>10)
	}
}

// largeWorkbook returns 100,000 rows, whose texts are shared by cells as Excel
// writes them.
func largeWorkbook() []byte {
	var sheet, shared bytes.Buffer
	texts := 0
	row := func(n int, cells ...string) {
		fmt.Fprintf(&sheet, `<row r="%d">`, n)
		for i, cell := range cells {
			fmt.Fprintf(&sheet, `<c r="%c%d" s="0" t="s"><v>%d</v></c>`, 'A'+i, n, texts)
			fmt.Fprintf(&shared, `<si><t>%s</t></si>`, cell)
			texts++
		}
		sheet.WriteString("</row>")
	}
	row(1, "类型", "租户", "群ID", "用户ID", "群昵称")
	for i := range 100_000 {
		row(i+2, "昵称", "lakeside-dt", fmt.Sprintf("chat%d", i%100), fmt.Sprintf("user%d", i), fmt.Sprintf("学生%d", i))
	}
	return raw(nil, `<worksheet><sheetData>`+sheet.String()+`</sheetData></worksheet>`, shared.String())
}
