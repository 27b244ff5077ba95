package rollcall_test

import (
	"strings"
	"testing"

	"rollcall/internal/deadletter"
	"rollcall/internal/lane"
	"rollcall/internal/ledger"
)

// The advice for the dead letters of a class is the same in the command and on the
// page.
func TestThereIsAdviceForEveryClassThatKills(t *testing.T) {
	t.Parallel()
	advised := map[string]bool{lane.Archived: true, lane.Vanished: true, ledger.Unreadable: true}
	for _, class := range lane.Classes() {
		if class.Kills() {
			advised[string(class)] = true
		}
	}
	for _, class := range deadletter.Classes() {
		if !advised[class] {
			t.Errorf("there is advice for %s, in which nothing dies", class)
		}
	}
	rows := map[string]string{}
	for _, cells := range tableRows(readPage(t, "docs/dead-letters.md"), "What to do about each class") {
		rows[strings.Trim(cells[0], "`")] = cells[1]
	}
	for class := range advised {
		if advice := deadletter.Advice(class); advice == "" || rows[class] != advice {
			t.Errorf("%s: the command says %q, the page %q", class, advice, rows[class])
		}
	}
}
