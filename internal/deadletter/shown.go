package deadletter

import (
	"cmp"
	"slices"

	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
	"rollcall/internal/privacy"
	"rollcall/tasks"
)

// Advice is what to do about a dead letter.
func Advice(l ledger.DeadLetter) string {
	return cmp.Or(l.Todo, outcome.Class(l.Class).Rule().Advice)
}

// Named is a class with the code of the platform, if there is one.
func Named(class, code string) string {
	if code == "" {
		return class
	}
	return class + " " + code
}

// Shown returns a dead letter as people see it: with advice, and with the names and ids of
// people masked unless personal. Its payload is left out.
func Shown(l ledger.DeadLetter, personal bool) ledger.DeadLetter {
	words := Words(l)
	l.Todo, l.Payload = Advice(l), nil
	if personal {
		return l
	}
	l.Target, l.Key = privacy.Target(tasks.Kind(l.Kind), l.Target), privacy.Mask(l.Key)
	for _, text := range []*string{&l.Message, &l.Cause, &l.Todo, &l.RequestID} {
		*text = privacy.Redact(*text, words)
	}
	return l
}

// Words are the names and ids of people in a dead letter.
func Words(l ledger.DeadLetter) []string {
	return slices.Concat(privacy.WordsOf(l.Type, l.Payload), privacy.WordsOfTarget(tasks.Kind(l.Kind), l.Target), []string{l.Key})
}
