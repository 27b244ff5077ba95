package manual

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Page compares a page that is generated as a whole with the file; update writes the
// file instead.
func Page(t *testing.T, path, want string, update bool) {
	t.Helper()
	if update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // documentation is for everybody
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil { //nolint:gosec // the same
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run make update", err)
	}
	if diff := cmp.Diff(string(got), want); diff != "" {
		t.Errorf("%s differs from the code (-page +code); run make update:\n%s", path, diff)
	}
}

// Parts compares the generated parts of a page that people write with the file, by
// their names; update writes them instead. A part stands between the lines
//
//	<!-- generated: make update: NAME -->
//	<!-- end: NAME -->
func Parts(t *testing.T, path string, parts map[string]string, update bool) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := string(content)
	for name, part := range parts {
		begin, end := "<!-- generated: make update: "+name+" -->\n", "<!-- end: "+name+" -->\n"
		before, rest, found := strings.Cut(want, begin)
		_, after, closed := strings.Cut(rest, end)
		if !found || !closed {
			t.Fatalf("%s has no lines around the generated part %s", path, name)
		}
		want = before + begin + "\n" + strings.Trim(part, "\n") + "\n\n" + end + after
	}
	Page(t, path, want, update)
}

// Table returns a table in Markdown. A bar in a cell is escaped.
func Table(head []string, rows [][]string) string {
	var b strings.Builder
	line := func(cells []string) {
		for _, cell := range cells {
			b.WriteString("| " + strings.ReplaceAll(cell, "|", `\|`) + " ")
		}
		b.WriteString("|\n")
	}
	line(head)
	b.WriteString(strings.Repeat("|---", len(head)) + "|\n")
	for _, row := range rows {
		line(row)
	}
	return b.String()
}
