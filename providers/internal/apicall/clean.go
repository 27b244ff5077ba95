package apicall

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
)

const (
	// maxMessage bounds the platform's message, in runes. A longer text is a page or a
	// stack trace, which does not help in a log line.
	maxMessage = 300
	// maxWord bounds codes and request ids, in runes.
	maxWord = 120
	// plain is the set of characters that need no cleaning.
	plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"
)

// Cleaner makes texts from outside fit to be shown. The zero value bounds them
// and strips control characters, but knows no secret.
type Cleaner struct{ secrets, names []string }

type swap struct{ from, to string }

// NewCleaner returns a Cleaner that replaces the secrets by "[redacted]" and
// the names, which are personal data, by "[name]", as they are and as they
// stand in a URL or in JSON. A name of a single character stays: cutting it out would
// garble every message and hides nothing.
func NewCleaner(secrets, names []string) Cleaner { return Cleaner{secrets: secrets, names: names} }

// swaps are all the forms that are replaced.
type swaps []swap

func (c Cleaner) swaps() swaps {
	var all swaps
	for _, s := range c.secrets {
		all.add(s, "[redacted]")
	}
	for _, n := range c.names {
		if utf8.RuneCountInString(n) > 1 {
			all.add(n, "[name]")
		}
	}
	// The longest come first, so that no part of one is replaced before the whole.
	slices.SortStableFunc(all, func(a, b swap) int { return cmp.Compare(len(b.from), len(a.from)) })
	return all
}

// clean reports that a text needs no change: a code or an id of plain letters and
// digits. The answer to every successful call has one.
func (c Cleaner) clean(text string) bool {
	for _, r := range text {
		if !strings.ContainsRune(plain, r) {
			return false
		}
	}
	contains := func(word string) bool { return word != "" && strings.Contains(text, visible(word)) }
	return !slices.ContainsFunc(c.secrets, contains) && !slices.ContainsFunc(c.names, contains)
}

func (all *swaps) add(word, to string) {
	query, path := url.QueryEscape(word), url.PathEscape(word)
	inJSON := ""
	if quoted, err := json.Marshal(word); err == nil { // it fails on invalid UTF-8, which JSON cannot hold
		inJSON = string(quoted[1 : len(quoted)-1])
	}
	for _, form := range []string{word, visible(word), inJSON, query, path, lowerEscapes(query), lowerEscapes(path)} {
		// The text is valid UTF-8 by then: a form that is not could only match a
		// piece of a character and break it.
		if form != "" && utf8.ValidString(form) && !slices.Contains(*all, swap{form, to}) {
			*all = append(*all, swap{form, to})
		}
	}
}

// Message returns the platform's message: at most 300 runes.
func (c Cleaner) Message(text string) string { return c.text(text, maxMessage) }

// Word returns a code or an id: at most 120 runes.
func (c Cleaner) Word(text string) string { return c.text(text, maxWord) }

func (c Cleaner) text(text string, limit int) string {
	text = visible(text)
	if !c.clean(text) {
		for _, s := range c.swaps() {
			text = strings.ReplaceAll(text, s.from, s.to)
		}
	}
	if utf8.RuneCountInString(text) > limit {
		text = string([]rune(text)[:limit-1]) + "…"
	}
	return text
}

// visible removes terminal control sequences and joins lines.
func visible(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	return strings.TrimSpace(text)
}

func lowerEscapes(text string) string {
	out := []byte(text)
	for i := 0; i+2 < len(out); i++ {
		if out[i] == '%' {
			copy(out[i+1:], strings.ToLower(text[i+1:i+3]))
		}
	}
	return string(out)
}

// Error returns err with a text that is fit to be shown. It unwraps to err, so
// that errors.Is still finds the system call or the context behind it.
func (c Cleaner) Error(err error) error {
	if err == nil {
		return nil
	}
	return &cleanError{text: c.Message(err.Error()), err: err}
}

type cleanError struct {
	text string
	err  error
}

func (e *cleanError) Error() string { return e.text }
func (e *cleanError) Unwrap() error { return e.err }
