package naming

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/clipperhouse/uax29/v2/graphemes"
	"golang.org/x/text/width"
)

// fit cuts a text to a number of characters (code points) and to a width, 0: no bound. It
// never cuts inside what a person sees as one character: an emoji of several code points, a
// letter and its accent.
func fit(s string, most, wide int) string {
	if wide == 0 && utf8.RuneCountInString(s) <= most {
		return s
	}
	characters, cells := 0, 0
	for g := graphemes.FromString(s); g.Next(); {
		characters += utf8.RuneCountInString(g.Value())
		cells += cellsOf(g.Value())
		if characters > most || wide > 0 && cells > wide {
			return strings.TrimRightFunc(s[:g.Start()], dangling)
		}
	}
	return s
}

// dangling reports whether a character has no use at the end of a name: blanks, and joiners
// without a character to join.
func dangling(r rune) bool { return unicode.IsSpace(r) || r == '\u200c' || r == '\u200d' }

// cellsOf returns how wide a grapheme is: 2 for one that is full-width or an emoji, else 1.
func cellsOf(grapheme string) int {
	for _, r := range grapheme {
		// A variation selector asks for an emoji.
		if k := width.LookupRune(r).Kind(); k == width.EastAsianWide || k == width.EastAsianFullwidth || r == '\ufe0f' {
			return 2
		}
	}
	return 1
}

// first returns the first n characters as people see them.
func first(n int, s string) string {
	for g := graphemes.FromString(s); g.Next(); n-- {
		if n == 0 {
			return s[:g.Start()]
		}
	}
	return s
}

// last returns the last n characters as people see them.
func last(n int, s string) string {
	count := 0
	for g := graphemes.FromString(s); g.Next(); {
		count++
	}
	for g := graphemes.FromString(s); g.Next(); count-- {
		if count == n {
			return s[g.Start():]
		}
	}
	if n == 0 {
		return ""
	}
	return s
}
