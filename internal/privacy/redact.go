package privacy

import (
	"slices"
	"strings"
	"unicode"
)

// Redact masks words where they stand in a text, as a platform repeats them: also in
// another case or width, with invisible characters, or with escapes of JSON, URLs and
// HTML. Of a name of several parts each is masked, and so is the beginning of a word at
// which a text was cut ("…").
//
// A short word that is part of a longer one is left: an id "4" is in many codes. A single
// character is masked only where no letter or digit stands next to it.
func Redact(text string, words []string) string {
	if text == "" || len(words) == 0 {
		return text
	}
	all := wanted(words)
	var found spans
	for _, escapes := range []bool{false, true} {
		f := fold(text, escapes)
		for _, w := range all {
			found = w.find(f, found)
		}
		if head, shortened := strings.CutSuffix(text, cut); shortened {
			f = fold(head, escapes)
			for _, w := range all {
				found = w.findCut(f, found)
			}
		}
	}
	return found.apply(text)
}

// cut ends a text that was shortened.
const cut = "…"

// word is a word that is searched for.
type word struct {
	folded []rune
	mask   string
}

// wanted returns the words and their parts, the longest first: an id may contain another.
func wanted(words []string) []word {
	var all []word
	seen := map[string]bool{}
	add := func(text string) {
		runes := fold(strings.TrimSpace(text), false).runes
		if key := string(runes); !seen[key] && names(runes) {
			seen[key] = true
			all = append(all, word{runes, Mask(text)})
		}
	}
	for _, text := range words {
		add(text)
		if !strings.ContainsFunc(text, func(r rune) bool { return r == ' ' || r > unicode.MaxASCII }) {
			continue // an id: a part of it may be any word
		}
		for _, part := range strings.FieldsFunc(text, func(r rune) bool { return !unicode.In(r, unicode.L, unicode.M, unicode.N) }) {
			if len([]rune(part)) >= shortestPart(part) && strings.ContainsFunc(part, unicode.IsLetter) {
				add(part)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b word) int { return len(b.folded) - len(a.folded) })
	return all
}

// shortestPart is the length in characters from which a part of a word is searched for.
func shortestPart(text string) int {
	if strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII }) {
		return 2
	}
	return 3
}

// names reports whether a word is more than punctuation.
func names(runes []rune) bool {
	return slices.ContainsFunc(runes, func(r rune) bool { return unicode.In(r, unicode.L, unicode.N, unicode.So) })
}

// find adds the places of a word in a text.
func (w word) find(f folded, found spans) spans {
	for i := 0; i+len(w.folded) <= len(f.runes); i++ {
		if slices.Equal(f.runes[i:i+len(w.folded)], w.folded) && !w.joined(f, i) {
			found = found.add(f.from[i], f.to[i+len(w.folded)-1], w.mask)
		}
	}
	return found
}

// findCut adds the longest beginning of a word that a text ends with.
func (w word) findCut(f folded, found spans) spans {
	for n := len(w.folded) - 1; n >= shortestPart(string(w.folded)); n-- {
		i := len(f.runes) - n
		if i >= 0 && slices.Equal(f.runes[i:], w.folded[:n]) && !(word{folded: w.folded[:n]}).joined(f, i) {
			return found.add(f.from[i], f.to[len(f.runes)-1], rest)
		}
	}
	return found
}

// alone is the length in characters from which a word is masked inside of longer ones.
const alone = short + 1

// joined reports whether the word at a place is part of another.
func (w word) joined(f folded, at int) bool {
	before, after := f.at(at-1), f.at(at+len(w.folded))
	if len(w.folded) == 1 {
		return unicode.In(before, unicode.L, unicode.M, unicode.N) || unicode.In(after, unicode.L, unicode.M, unicode.N)
	}
	if len(w.folded) >= alone && slices.ContainsFunc(w.folded, unicode.IsLetter) {
		return false
	}
	return wordly(before) && wordly(w.folded[0]) || wordly(w.folded[len(w.folded)-1]) && wordly(after)
}

// wordly reports whether a character is part of a word of a script with spaces between
// its words.
func wordly(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M, unicode.N) &&
		!unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}

// spans are parts of a text, and their masks.
type spans []span

type span struct {
	from, to int // bytes
	mask     string
}

// add adds a part. One that overlaps another extends it.
func (s spans) add(from, to int, mask string) spans {
	for i := range s {
		if from < s[i].to && s[i].from < to {
			s[i].from, s[i].to = min(from, s[i].from), max(to, s[i].to)
			return s
		}
	}
	return append(s, span{from, to, mask})
}

// apply replaces the parts by their masks.
func (s spans) apply(text string) string {
	slices.SortFunc(s, func(a, b span) int { return a.from - b.from })
	var b strings.Builder
	at := 0
	for _, part := range s {
		if part.from >= at { // else extended over the one before
			b.WriteString(text[at:part.from])
			b.WriteString(part.mask)
		}
		at = max(at, part.to)
	}
	b.WriteString(text[at:])
	return b.String()
}
