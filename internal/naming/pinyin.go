package naming

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mozillazg/go-pinyin"
	"golang.org/x/text/unicode/norm"
)

// reading is how a name is read, in syllables without tones. Words that are not Chinese are
// one syllable each.
type reading struct{ surname, given []string }

// joined is "zhangwei".
func (r reading) joined() string {
	return strings.ToLower(strings.Join(r.surname, "") + strings.Join(r.given, ""))
}

// titled is "Zhang Xiaoming".
func (r reading) titled() string {
	var words []string
	for _, part := range [][]string{r.surname, r.given} {
		word := strings.Join(part, "")
		if first, size := utf8.DecodeRuneInString(word); size > 0 {
			words = append(words, string(unicode.ToUpper(first))+word[size:])
		}
	}
	return strings.Join(words, " ")
}

// initials is "zxm".
func (r reading) initials() string {
	var b strings.Builder
	for _, syllable := range slices.Concat(r.surname, r.given) {
		first, _ := utf8.DecodeRuneInString(syllable)
		b.WriteRune(unicode.ToLower(first))
	}
	return b.String()
}

// readings know how names are read.
type readings struct {
	surnames map[string][]string
	names    map[string]reading // whole names, from the rule
}

var (
	syllables = regexp.MustCompile(`^[a-z]{1,8}( [a-z]{1,8}){0,7}$`)
	hanName   = regexp.MustCompile(`^\p{Han}{1,10}$`)
)

// newReadings adds the rule's readings to the known ones: an entry with as many syllables as
// characters is that of a surname of one or two characters, or of a whole name.
func newReadings(of map[string]string) (readings, error) {
	r := readings{surnames: make(map[string][]string, len(surnames)+len(of)), names: map[string]reading{}}
	for surname, read := range surnames {
		r.surnames[surname] = strings.Fields(read)
	}
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(of)) {
		read := strings.Fields(strings.ToLower(of[name]))
		characters := []rune(name)
		n := len(characters)
		if !hanName.MatchString(name) || !syllables.MatchString(strings.Join(read, " ")) || len(read) != n {
			problems = append(problems, fmt.Errorf("pinyin: %.40s: %.80s: write a syllable for each Chinese character, as in 单: shan or 尉迟: yu chi", name, of[name]))
			continue
		}
		if _, compound := surnames[name]; n == 1 || compound {
			r.surnames[name] = read
			continue
		}
		family := 1
		if _, compound := surnames[string(characters[:2])]; compound && n > 2 {
			family = 2
		}
		r.names[name] = reading{surname: read[:family], given: read[family:]}
	}
	return r, errors.Join(problems...)
}

// split returns the surname and the given name of a Chinese name: 欧阳, 修. Names in other
// scripts, and names with a middle dot, have no surname here.
func (r readings) split(name string) (surname, given string) {
	name = strings.TrimSpace(norm.NFKC.String(name))
	compact := strings.Join(strings.Fields(name), "") // 张 伟, spaced for a table
	if !hanName.MatchString(compact) {
		return "", name
	}
	characters := []rune(compact)
	if len(characters) == 1 {
		return "", compact
	}
	family := 1
	if _, compound := r.surnames[string(characters[:2])]; compound && len(characters) > 2 {
		family = 2
	}
	return string(characters[:family]), string(characters[family:])
}

// of returns how a name is read.
func (r readings) of(name string) reading {
	surname, given := r.split(name)
	if known, ok := r.names[surname+given]; ok {
		return known
	}
	read := reading{given: spell(given)}
	if known, ok := r.surnames[surname]; ok {
		read.surname = known
	} else {
		read.surname = spell(surname)
	}
	return read
}

// spell returns the syllables of Chinese characters, and the words of other scripts with
// their letters and digits of ASCII.
func spell(text string) []string {
	var all []string
	word := []byte(nil)
	flush := func() {
		if len(word) > 0 {
			all = append(all, string(word))
			word = nil
		}
	}
	for _, r := range norm.NFKD.String(text) {
		read, han := pinyin.PinyinDict[int(r)]
		switch {
		case han:
			flush()
			usual, _, _ := strings.Cut(read, ",") // the first is the usual one
			all = append(all, tones.Replace(usual))
		case r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r)):
			word = utf8.AppendRune(word, r)
		case unicode.Is(unicode.Mn, r), r == '\'', r == '’': // Zoë, O'Neil: the word goes on
		default:
			flush()
		}
	}
	flush()
	return all
}

// tones removes the tones of pinyin. ü is yu, as in passports (GB/T 28039-2011).
var tones = strings.NewReplacer(
	"ā", "a", "á", "a", "ǎ", "a", "à", "a", "ē", "e", "é", "e", "ě", "e", "è", "e", "ê", "e", "ế", "e", "ề", "e",
	"ī", "i", "í", "i", "ǐ", "i", "ì", "i", "ō", "o", "ó", "o", "ǒ", "o", "ò", "o", "ū", "u", "ú", "u", "ǔ", "u", "ù", "u",
	"ü", "yu", "ǖ", "yu", "ǘ", "yu", "ǚ", "yu", "ǜ", "yu", "ń", "n", "ň", "n", "ǹ", "n", "ḿ", "m", "\u0304", "", "\u030c", "", "\u0300", "",
)
