package naming

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// The table holds what the library does not know, and nothing else.
func TestTheSurnamesAreCompoundOrReadDifferently(t *testing.T) {
	t.Parallel()
	for surname, read := range surnames {
		syllables := strings.Fields(read)
		if len(syllables) != utf8.RuneCountInString(surname) {
			t.Errorf("%s: %q", surname, read)
		}
		if len(syllables) == 1 && slices.Equal(spell(surname), syllables) {
			t.Errorf("%s is %s without the table too: remove it", surname, read)
		}
	}
}
