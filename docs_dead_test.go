package rollcall_test

import (
	"strings"
	"testing"

	"rollcall/internal/outcome"
)

// The advice for the dead letters of a class is the same in the command and on the
// page.
func TestThereIsAdviceForEveryClassThatKills(t *testing.T) {
	t.Parallel()
	rows := map[string]string{}
	for _, cells := range tableRows(readPage(t, "docs/dead-letters.md"), "What to do about each class") {
		rows[strings.Trim(cells[0], "`")] = cells[1]
	}
	for _, class := range outcome.OfDeadLetters() {
		if advice := class.Rule().Advice; advice == "" || rows[string(class)] != advice {
			t.Errorf("%s: the command says %q, the page %q", class, advice, rows[string(class)])
		}
	}
}
