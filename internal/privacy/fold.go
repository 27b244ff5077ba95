package privacy

import (
	"html"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// folded is a text without its differences of case, width and composition, without
// invisible characters, and with one space for several.
type folded struct {
	runes []rune
	// from and to are the bytes of the text that each rune stands for.
	from, to []int
}

// fold folds a text. An escape of escapes, such as \u5f20 of JSON, counts as the character
// that it stands for.
func fold(text string, escapes bool) folded {
	var f folded
	for at := 0; at < len(text); {
		segment, n := "", 0
		if escapes {
			segment, n = unescape(text[at:])
		}
		if n == 0 {
			n = max(norm.NFKD.NextBoundaryInString(text[at:], true), 1)
			segment = text[at : at+n]
		}
		for _, r := range norm.NFKD.String(segment) {
			f.add(r, at, at+n)
		}
		at += n
	}
	return f
}

func (f *folded) add(r rune, from, to int) {
	switch {
	case unicode.IsSpace(r):
		if len(f.runes) > 0 && f.runes[len(f.runes)-1] == ' ' {
			return
		}
		r = ' '
	case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Variation_Selector):
		return
	}
	f.runes = append(f.runes, unicode.ToLower(unicode.ToUpper(r)))
	f.from, f.to = append(f.from, from), append(f.to, to)
}

// at returns a rune, a space outside of the text.
func (f *folded) at(i int) rune {
	if i < 0 || i >= len(f.runes) {
		return ' '
	}
	return f.runes[i]
}

// longestEntity bounds an entity of HTML, in bytes.
const longestEntity = 10

// unescape returns the character of an escape of JSON, of a URL or of HTML with which a
// text begins, and the length of the escape; 0: there is none.
func unescape(text string) (character string, n int) {
	switch text[0] {
	case '\\':
		return unescapeJSON(text)
	case '%':
		return unescapeURL(text)
	case '&':
		end := strings.IndexByte(text[:min(len(text), longestEntity)], ';') + 1
		if character = html.UnescapeString(text[:end]); end > 0 && character != text[:end] {
			return character, end
		}
	}
	return "", 0
}

func unescapeJSON(text string) (string, int) {
	if len(text) < 2 {
		return "", 0
	}
	switch c := text[1]; c {
	case '"', '\\', '/':
		return string(c), 2
	case 'n', 'r', 't':
		return " ", 2
	}
	r, ok := unit(text)
	if !ok {
		return "", 0
	}
	if low, ok := unit(text[6:]); ok && utf16.IsSurrogate(r) && utf16.IsSurrogate(low) {
		return string(utf16.DecodeRune(r, low)), 12
	}
	return string(r), 6 // half of a character becomes U+FFFD
}

// unit reads \uXXXX.
func unit(text string) (rune, bool) {
	if len(text) < 6 || !strings.HasPrefix(text, `\u`) {
		return 0, false
	}
	n, err := strconv.ParseUint(text[2:6], 16, 16)
	return rune(n), err == nil
}

func unescapeURL(text string) (string, int) {
	var content []byte
	for len(content) < utf8.UTFMax && len(text) >= 3*len(content)+3 && text[3*len(content)] == '%' {
		b, err := strconv.ParseUint(text[3*len(content)+1:3*len(content)+3], 16, 8)
		if err != nil {
			break
		}
		content = append(content, byte(b))
		if utf8.FullRune(content) {
			break
		}
	}
	r, size := utf8.DecodeRune(content)
	if size == 0 || r == utf8.RuneError {
		return "", 0
	}
	return string(r), 3 * size
}
