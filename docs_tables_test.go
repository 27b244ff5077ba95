package rollcall_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tableRows returns the cells of every table row below the heading, up to the
// next one, without the head of the table.
func tableRows(p page, heading string) [][]string {
	var rows [][]string
	inside := false
	for _, line := range p.prose {
		if strings.HasPrefix(line, "#") {
			inside = strings.TrimSpace(strings.TrimLeft(line, "#")) == heading
			continue
		}
		if !inside || !strings.HasPrefix(line, "|") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if strings.HasPrefix(cells[0], "---") {
			rows = rows[:len(rows)-1]
			continue
		}
		rows = append(rows, cells)
	}
	return rows
}

func plain(cell string) string { return strings.Trim(cell, "`") }

func TestEveryPackageIsOnTheMap(t *testing.T) {
	t.Parallel()
	var named []string
	for _, row := range tableRows(readPage(t, "README.md"), "Packages") {
		for _, m := range codeSpan.FindAllStringSubmatch(row[0], -1) {
			named = append(named, m[1])
		}
	}
	want := []string{"tools"}
	for pkg := range imports {
		if pkg != "." {
			want = append(want, pkg)
		}
	}
	slices.Sort(want)
	slices.Sort(named)
	if diff := cmp.Diff(want, named); diff != "" {
		t.Errorf("the README's map of packages differs from the code (-code +page):\n%s", diff)
	}
}
