package rollcall_test

import (
	"slices"
	"testing"
	"unicode"

	"rollcall/internal/advice"
	"rollcall/internal/outcome"
	"rollcall/providers/classin"
	"rollcall/providers/dingtalk"
)

// Administrators read the advice for a row in Chinese.
func TestEveryAdviceHasATranslation(t *testing.T) {
	t.Parallel()
	var all []string
	for _, code := range slices.Concat(dingtalk.Codes(), classin.Codes()) {
		all = append(all, code.Fix)
	}
	for _, class := range outcome.Classes() {
		all = append(all, class.Rule().Advice)
	}
	for _, text := range all {
		zh := advice.Chinese(text)
		isHan := func(r rune) bool { return unicode.Is(unicode.Han, r) }
		if text != "" && !slices.ContainsFunc([]rune(zh), isHan) {
			t.Errorf("%q is %q in Chinese: add it to a file in internal/advice", text, zh)
		}
	}
}
