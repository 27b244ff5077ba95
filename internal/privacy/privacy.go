// Package privacy masks names and ids of people: in tasks, in targets, in the
// messages of platforms, and in the log.
//
// It must not know where the masked text is shown.
package privacy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"rollcall/internal/kinds"
	"rollcall/tasks"
)

// shortest is the length in characters from which anything of a text is shown.
const shortest = 6

// Mask shortens a name or id so that a person who knows it may recognise it and
// no one else can read it: "a…7(9)", the first and the last character and the
// length. Of a text with characters other than ASCII the last one is masked too,
// as a Chinese name ends in what distinguishes it: "三…(8)". A text of up to five
// characters is as many asterisks. "" stays "".
func Mask(text string) string {
	n := utf8.RuneCountInString(text)
	if n < shortest {
		return strings.Repeat("*", n)
	}
	first, size := utf8.DecodeRuneInString(text)
	last := ""
	if !strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII }) {
		last = text[len(text)-1:]
	}
	if size == 1 && first == utf8.RuneError {
		first = '*'
	}
	return fmt.Sprintf("%c…%s(%d)", first, last, n)
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

// Words returns the names and ids of people that a task holds.
func Words(task tasks.Task) []string {
	var words []string
	kinds.Mask(task, func(word string) string {
		words = append(words, word)
		return word
	})
	return words
}

// WordsOf returns those of a stored task; none of one that cannot be read.
func WordsOf(typename string, payload []byte) []string {
	task, _, err := kinds.Decode(typename, payload)
	if err != nil {
		return nil
	}
	return Words(task)
}

// Redact masks words where they stand in a text, as a platform repeats them. A
// word of ASCII that is part of a longer one is left: an id "4" is in many codes.
func Redact(text string, words []string) string {
	// The longest first: an id may contain another.
	words = slices.Clone(words)
	slices.SortFunc(words, func(x, y string) int { return cmp.Compare(len(y), len(x)) })
	for _, word := range slices.Compact(words) {
		if word != "" {
			text = replace(text, word, Mask(word))
		}
	}
	return text
}

func replace(text, word, mask string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, word)
		if !found {
			b.WriteString(text)
			return b.String()
		}
		previous, _ := utf8.DecodeLastRuneInString(before)
		next, _ := utf8.DecodeRuneInString(after)
		first, _ := utf8.DecodeRuneInString(word)
		last, _ := utf8.DecodeLastRuneInString(word)
		b.WriteString(before)
		if joined(previous, first) || joined(last, next) {
			b.WriteString(word)
		} else {
			b.WriteString(mask)
		}
		text = after
	}
}

// joined reports whether two characters belong to one word of ASCII.
func joined(a, b rune) bool { return wordly(a) && wordly(b) }

func wordly(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
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
