package console

import (
	"strings"
	"unicode"
)

// Cells is how many columns of a terminal a text takes: Chinese, Japanese and
// Korean characters and emoji take two, what is set upon another none.
func Cells(text string) int {
	n := 0
	for _, r := range text {
		n += cell(r)
	}
	return n
}

func cell(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case wide(r):
		return 2
	}
	return 1
}

func wide(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Bopomofo) ||
		r >= 0x3000 && r <= 0x303e || r >= 0xff01 && r <= 0xff60 || r >= 0xffe0 && r <= 0xffe6 || r >= 0x1f300 && r <= 0x1faff
}

// Line puts a text of others on one line, in which a terminal finds nothing to
// obey. A no-break space stays: see [Glued].
func Line(text string) string {
	return Clean(strings.Join(strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n", r) }), " "))
}

// Glued is a text that [Wrap] leaves on one line: a command that a person copies.
func Glued(text string) string { return strings.ReplaceAll(text, " ", "\u00a0") }

// Wrap breaks a text into lines of at most so many cells, at spaces and next to
// wide characters, which have none between them. A word that is longer has a
// line of its own.
func Wrap(text string, width int) []string {
	var lines []string
	line, at := "", 0
	flush := func() {
		lines = append(lines, strings.ReplaceAll(strings.TrimRight(line, " "), "\u00a0", " "))
		line, at = "", 0
	}
	for _, piece := range pieces(Line(text)) {
		n := Cells(piece)
		if at > 0 && at+Cells(strings.TrimRight(piece, " ")) > width {
			flush()
		}
		line, at = line+piece, at+n
	}
	if at > 0 {
		flush()
	}
	return lines
}

// closing must not begin a line.
const closing = "，。、；：？！）》」』】”’"

// pieces are the parts of a text between which a line may end.
func pieces(text string) []string {
	var all []string
	var b strings.Builder
	runes := []rune(text)
	for i, r := range runes {
		b.WriteRune(r)
		last := i == len(runes)-1
		if last || r == ' ' || !strings.ContainsRune(closing+" ", runes[i+1]) && (wide(r) || wide(runes[i+1])) {
			all = append(all, b.String())
			b.Reset()
		}
	}
	return all
}
