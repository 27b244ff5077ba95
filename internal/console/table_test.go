package console_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rollcall/internal/console"
)

func TestATableAlignsWideCharactersAndCutsWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	table := console.Table{Width: 36, Indent: 2, Columns: []console.Column{
		{Head: "LINE", Most: 4, Right: true}, {Head: "OLD"}, {Most: 1}, {Head: "NEW"},
	}}
	table.Add("2", "张三", "→", "张三（班长兼学习委员）")
	table.Add("10", "A\x1b\nB", "→", "B")
	var out strings.Builder
	table.Print(&out)
	want := "" +
		"\uFDD1  LINE  OLD           NEW\uFDD0\n" +
		"     2  张三       →  张三（班长兼…\n" +
		"    10  A\\u001b B  →  B\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// No line is wider than the table, for any cells, unless the columns alone are.
func TestATableIsNeverTooWide(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		table := console.Table{Width: rapid.IntRange(40, 120).Draw(t, "width"), Columns: []console.Column{
			{Head: "A", Most: 7, Right: true}, {Head: "B", Most: 12}, {Head: "C"}, {Head: "D"},
		}}
		cell := rapid.StringOfN(rapid.SampledFrom([]rune("a三 🌙é\t")), 0, 60, -1)
		for range rapid.IntRange(1, 5).Draw(t, "rows") {
			table.Add(cell.Draw(t, "a"), cell.Draw(t, "b"), cell.Draw(t, "c"), cell.Draw(t, "d"))
		}
		var out strings.Builder
		table.Print(&out)
		for line := range strings.Lines(out.String()) {
			if n := console.Cells(strings.Trim(line, "\n\uFDD0\uFDD1")); n > table.Width {
				t.Fatalf("%d cells of %d: %q", n, table.Width, line)
			}
		}
	})
}
