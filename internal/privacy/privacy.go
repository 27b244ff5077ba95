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

	"rollcall/tasks"
)

// shortest is the length in characters from which anything of a text is shown.
const shortest = 6

// Mask shortens a name or id so that a person who knows it may recognise it and
// nobody else can read it: "a…7(9)", the first and the last character and the
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
// courses and tenants stay.
func Task(task tasks.Task) tasks.Task {
	switch t := task.(type) {
	case tasks.NicknameSync:
		t.UserID, t.Nickname = Mask(t.UserID), Mask(t.Nickname)
		return t
	case tasks.GroupUpdate:
		t.Name, t.Owner = Mask(t.Name), Mask(t.Owner)
		t.AddUserIDs, t.DelUserIDs = maskedAll(t.AddUserIDs), maskedAll(t.DelUserIDs)
		t.AddExtIDs, t.DelExtIDs = maskedAll(t.AddExtIDs), maskedAll(t.DelExtIDs)
		return t
	case tasks.IDChange:
		t.UserID, t.DingTalkID = Mask(t.UserID), Mask(t.DingTalkID)
		t.Alternatives = maskedAll(t.Alternatives)
		return t
	}
	return task
}

func maskedAll(ids []string) []string {
	var out []string
	for _, id := range ids {
		out = append(out, Mask(id))
	}
	return out
}

// Target is the key of a target of a kind without the name of a person.
func Target(kind tasks.Kind, key string) string {
	switch kind {
	case tasks.KindGroup, tasks.KindCourse:
		return key
	case tasks.KindNickname:
		if chat, user, ok := strings.Cut(key, "/"); ok {
			return chat + "/" + Mask(user)
		}
	case tasks.KindID:
	}
	return Mask(key)
}

// Value is the value of a field of a kind, by the ledger's name of it, without
// the name of a person.
func Value(kind tasks.Kind, field, value string) string {
	if kind == tasks.KindGroup && field != "name" && field != "owner" || value == "" {
		return value
	}
	return Mask(value)
}

// Words are the names and ids of people that a task holds.
func Words(task tasks.Task) []string {
	switch t := task.(type) {
	case tasks.NicknameSync:
		return []string{t.UserID, t.Nickname}
	case tasks.GroupUpdate:
		return slices.Concat([]string{t.Name, t.Owner}, t.AddUserIDs, t.DelUserIDs, t.AddExtIDs, t.DelExtIDs)
	case tasks.IDChange:
		return append([]string{t.UserID, t.DingTalkID}, t.Alternatives...)
	}
	return nil
}

// WordsOf are those of a stored task; none of one that cannot be read.
func WordsOf(typename string, payload []byte) []string {
	task, _, err := tasks.Decode(typename, payload)
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
