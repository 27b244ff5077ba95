package run_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode"

	"rollcall/internal/run"
)

func TestEveryReasonIsKnownInChinese(t *testing.T) {
	t.Parallel()
	if len(run.Reasons()) < 30 {
		t.Errorf("%d reasons", len(run.Reasons()))
	}
	for _, why := range run.Reasons() {
		text := why
		if strings.Contains(why, "%s") {
			text = fmt.Sprintf(why, "row 4, line 5")
		}
		zh := run.Chinese(text)
		if !strings.ContainsFunc(zh, func(r rune) bool { return unicode.Is(unicode.Han, r) }) || strings.Contains(zh, "%") {
			t.Errorf("%q is %q", text, zh)
		}
		if text != why && !strings.Contains(zh, "第 4 条（第 5 行）") {
			t.Errorf("%q is %q: it does not name the row", text, zh)
		}
	}
	for text, want := range map[string]string{
		"column 学号: is missing": "column 学号: is missing", "": "", "the same as row 7": "与第 7 条相同",
		"replaces a change that waits in run rabc": "将取代批次 rabc 中等待的变更", "locked until 2027-03-01 (applied)": "锁定至 2027-03-01 (applied)",
	} {
		if got := run.Chinese(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}
