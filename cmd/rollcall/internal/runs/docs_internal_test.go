package runs

import (
	"testing"

	"rollcall/internal/commandtest"
	"rollcall/internal/run"
)

// The page explains every state, decision and result, and every flag of a guard.
func TestThePageNamesEveryWord(t *testing.T) {
	t.Parallel()
	words := []string{stateDirect}
	for _, s := range run.States() {
		words = append(words, string(s))
	}
	for _, d := range run.Decisions() {
		words = append(words, string(d))
	}
	for _, o := range run.Outcomes() {
		words = append(words, string(o))
	}
	commandtest.NamesWords(t, "../../../../docs/runs.md", words...)
}
