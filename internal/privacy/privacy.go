// Package privacy masks names and ids of people: in tasks, in targets, in the
// messages of platforms, and in the log.
//
// It must not know where the masked text is shown.
package privacy

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"rollcall/internal/kinds"
	"rollcall/tasks"
)

const (
	// short is the length in characters up to which the length is masked, too.
	short = 5
	// rest stands for the characters of a short text that are not shown.
	rest = "**"
)

// Mask shortens a name or id so that a person who knows it may recognise it and
// no one else can read it.
//
// A text of up to five characters is "**", of any length. If it has two or more
// and begins with a character other than ASCII, that one is shown: 张三 and 欧阳娜娜 are
// "张**" and "欧**". A longer text is its first character and its length, "三…(8)", and
// its last character if all are ASCII: "a…7(9)". A Chinese name ends in what
// distinguishes it. "" stays "".
func Mask(text string) string {
	n := utf8.RuneCountInString(text)
	first, _ := utf8.DecodeRuneInString(text)
	shown := string(first)
	if first == utf8.RuneError || !unicode.IsPrint(first) {
		shown = "*"
	}
	switch {
	case n == 0:
		return ""
	case n == 1 || n <= short && first <= unicode.MaxASCII || n <= short && shown == "*":
		return rest
	case n <= short:
		return shown + rest
	case strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII }):
		return fmt.Sprintf("%s…(%d)", shown, n)
	}
	return fmt.Sprintf("%s…%s(%d)", shown, text[len(text)-1:], n)
}

// Task returns a task with the names and ids of people masked. Those of chats,
// courses and tenants stay. Of something that is not a task nothing is left.
func Task(task tasks.Task) tasks.Task { return kinds.Mask(task, Mask) }

// Target returns the key of a target of a kind with the ids of people masked.
func Target(kind tasks.Kind, key string) string { return kinds.MaskKey(kind, key, Mask) }

// Value returns the value of a field of a kind, by the ledger's name of it, masked
// if it is the name of a person.
func Value(kind tasks.Kind, field, value string) string {
	if !kinds.Personal(kind, field) {
		return value
	}
	return Mask(value)
}

// Personal is a name or an id of somebody, as the value of a log attribute.
// However it is printed, it is masked; a logger that was configured to show
// personal data alone writes it as it is, by Reveal.
type Personal string

// Reveal returns what is masked elsewhere.
func (p Personal) Reveal() string { return string(p) }

// String returns the masked form.
func (p Personal) String() string { return Mask(string(p)) }

// GoString returns the masked form.
func (p Personal) GoString() string { return p.String() }

// MarshalText returns the masked form, for text and JSON alike.
func (p Personal) MarshalText() ([]byte, error) { return []byte(p.String()), nil }
