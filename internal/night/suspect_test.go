package night_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/night"
	"rollcall/internal/roster"
	"rollcall/internal/run"
	"rollcall/internal/source"
	"rollcall/internal/table"
	"rollcall/tasks"
)

// uploaded are the problems of the rows of a file that a person uploads.
func uploaded(t *testing.T, path string) []string {
	t.Helper()
	in, err := table.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	content, err := table.Open(in, table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	file, err := roster.Open(content, roster.Options{Tenant: tenant})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for row, err := range file.Rows() {
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		if refusal := row.Refusal(tasks.Limits{}); refusal != nil {
			for _, p := range row.Explain(refusal) {
				text.WriteString(p.What + "\n")
			}
		}
		all = append(all, text.String())
	}
	return all
}

// nightly are the problems of the same rows as a source reads them.
func nightly(t *testing.T, path string) []string {
	t.Helper()
	from, err := source.NewFiles(source.FilesSpec{Place: source.Place{Path: path, Settle: time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	made, err := night.Columns{Tenant: tenant}.Begin(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	reading, err := from.Read(t.Context(), func(columns []string, r source.Record) error {
		rows, err := made.Add(columns, r)
		for _, row := range rows {
			all = append(all, problemsOf(row))
		}
		return err
	})
	if err != nil || !reading.Complete {
		t.Fatalf("%+v, %v", reading, err)
	}
	return all
}

func problemsOf(row run.Row) string {
	var text strings.Builder
	for _, p := range row.Problems {
		if rest, found := strings.CutPrefix(p, "column "); found {
			_, p, _ = strings.Cut(rest, ": ")
		}
		text.WriteString(p + "\n")
	}
	return text.String()
}

// A cell that spreadsheets, exports or wrong encodings have damaged is refused in the same
// words, from a source as from a file that a person uploads.
func TestSuspiciousCellsOfASourceAreRefusedLikeThoseOfAnUpload(t *testing.T) {
	t.Parallel()
	values := []string{
		"Ann", "#N/A", "#REF!", "#NAME?", "[object Object]", "\ufffd\ufffd", "锟斤拷", "###", "=A1", `"=VLOOKUP(A1,B:C,2)"`, "1.2E+10", "a…b(12)", "***", "？？", "&#29579;",
		"'u1", "12.0", "nan", "王芳", "ｕ１", "\"a\nb\"",
	}
	for _, column := range []string{"user_id", "chat_id", "nickname"} {
		lines := []string{"chat_id,user_id,nickname"}
		for i, value := range values {
			cells := map[string]string{"chat_id": "chat1", "user_id": fmt.Sprintf("u%d", i), "nickname": "Name"}
			cells[column] = value
			lines = append(lines, cells["chat_id"]+","+cells["user_id"]+","+cells["nickname"])
		}
		path := filepath.Join(t.TempDir(), "roster.csv")
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		want, got := uploaded(t, path), nightly(t, path)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("column %s (-upload +source):\n%s", column, diff)
		}
		if refused := len(got) - len(slices.DeleteFunc(slices.Clone(got), func(text string) bool { return text != "" })); refused < 13 {
			t.Errorf("column %s: only %d of %d values are refused: %q", column, refused, len(values), got)
		}
	}
}
