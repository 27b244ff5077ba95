package console_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/console"
)

func TestLinesAreBrokenByWhatATerminalShows(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"  two\nwords\t", []string{"two words"}},
		{"exactly tn", []string{"exactly tn"}},
		{"one two three", []string{"one two", "three"}},
		{"averylongword is alone", []string{"averylongword", "is alone"}},
		{"不合法的corpid，请检查", []string{"不合法的", "corpid，请", "检查"}},
		{"ab 你好世界", []string{"ab 你好世", "界"}},
		{"run: " + console.Glued("a b c d"), []string{"run:", "a b c d"}},
		{"\x1b[31mred \u0007", []string{`\u001b[31mred`, `\u0007`}},
		{"e\u0301e\u0301e\u0301 😀 e\u0301", []string{"e\u0301e\u0301e\u0301 😀 e\u0301"}},
		{"bad \xb2\xbb", []string{"bad \ufffd\ufffd"}},
	} {
		if diff := cmp.Diff(row.want, console.Wrap(row.text, 10)); diff != "" {
			t.Errorf("%q, -want +got:\n%s", row.text, diff)
		}
	}
}
