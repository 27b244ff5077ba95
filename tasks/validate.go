package tasks

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds that no configuration changes.
const (
	// MaxID is the longest id of a user, chat or medium, in bytes.
	MaxID = 128
	// MaxGroupName is the longest name of a group, in characters.
	MaxGroupName = 20
	// DefaultNicknameMax is the longest nickname in characters where the lane
	// does not say otherwise. DingTalk documents no length for a nickname in an
	// internal group; the twin of that call for scene groups takes 30
	// (https://open.dingtalk.com/document/development/update-group-nicknames).
	DefaultNicknameMax = 30
	// MaxAlternatives is how many further IDs an [IDChange] may name.
	MaxAlternatives = 10
)

// Limits are the bounds that a tenant may set for itself. The zero value holds
// the defaults.
type Limits struct {
	// NicknameMax is the longest nickname, in characters (code points). Values
	// below DefaultNicknameMax are taken as that: it can only be raised.
	NicknameMax int
}

func (l Limits) nicknameMax() int { return max(l.NicknameMax, DefaultNicknameMax) }

// Problem is one thing wrong with a task.
type Problem struct {
	Field string `json:"field"` // as it stands in the payload: "nickname", "add_user_ids[3]"
	// What says what is wrong with it, without repeating a nickname or an ID.
	What string `json:"problem"` // what is wrong with it, without names and IDs
}

// ValidationError lists everything wrong with a task.
type ValidationError struct {
	Kind     Kind      // empty where not even that was clear
	Problems []Problem // at least one
}

// Error reads: nickname task refused: chat_id: is missing; nickname: has 31 characters,
// at most 30.
func (e *ValidationError) Error() string {
	problems := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		problems[i] = p.Field + ": " + p.What
	}
	text := "task refused: " + strings.Join(problems, "; ")
	if e.Kind != "" {
		text = string(e.Kind) + " " + text
	}
	return text
}

// examiner collects problems, so that a caller can fix them at once.
type examiner struct{ problems []Problem }

func (x *examiner) add(field, format string, args ...any) {
	x.problems = append(x.problems, Problem{Field: field, What: fmt.Sprintf(format, args...)})
}

func (x *examiner) verdict(kind Kind) error {
	if len(x.problems) == 0 {
		return nil
	}
	return &ValidationError{Kind: kind, Problems: x.problems}
}

func (x *examiner) tenant(name string) {
	switch {
	case name == "":
		x.add("tenant", "is missing")
	case !ValidTenant(name):
		x.add("tenant", "must be 1 to 39 of a-z, 0-9 and -, not beginning with -")
	}
}

func (x *examiner) id(field, id string) {
	switch {
	case id == "":
		x.add(field, "is missing")
	case len(id) > MaxID:
		x.add(field, "has %d bytes, at most %d", len(id), MaxID)
	case !utf8.ValidString(id):
		x.add(field, "is not valid UTF-8")
	case strings.ContainsFunc(id, unprintable) || strings.ContainsFunc(id, unicode.IsSpace):
		x.add(field, "holds a space or control character")
	case strings.ContainsFunc(id, invisible):
		r, _ := utf8.DecodeRuneInString(id[strings.IndexFunc(id, invisible):])
		x.add(field, "holds %U, an invisible character: remove it", r)
	case strings.ContainsRune(id, unicode.ReplacementChar):
		x.add(field, "holds U+FFFD: a character was lost when the text was converted")
	}
}

// numberPattern: 19 digits hold every 64-bit number; a leading zero would give one thing
// two keys.
var numberPattern = regexp.MustCompile(`^[1-9][0-9]{0,18}$`)

// number judges an id of ClassIn.
func (x *examiner) number(field, id string) {
	switch {
	case id == "":
		x.add(field, "is missing")
	case !numberPattern.MatchString(id):
		x.add(field, "must be 1 to 19 digits, not beginning with 0")
	}
}

// distinct refuses an id that another field has. seen holds the fields by id.
func (x *examiner) distinct(seen map[string]string, field, id string) {
	if before, twice := seen[id]; twice {
		x.add(field, "is the same as %s", before)
		return
	}
	seen[id] = field
}

// text judges what people read. Its length counts code points: DingTalk says
// "characters" and does not say which.
func (x *examiner) text(field, text string, most int) {
	switch n := utf8.RuneCountInString(text); {
	case text == "":
		x.add(field, "is missing")
	case !utf8.ValidString(text):
		x.add(field, "is not valid UTF-8")
	case strings.ContainsFunc(text, unprintable):
		x.add(field, "holds a control character or line break")
	case strings.TrimSpace(text) == "":
		x.add(field, "is blank")
	case strings.ContainsRune(text, unicode.ReplacementChar):
		x.add(field, "holds U+FFFD: a character was lost when the text was converted")
	case !strings.ContainsFunc(text, seen):
		x.add(field, "has no visible character")
	case misplaced(text) != "":
		x.add(field, "holds %s, an invisible character: remove it", misplaced(text))
	case n > most:
		x.add(field, "has %d characters, at most %d", n, most)
	}
}

func unprintable(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029'
}

// invisible reports whether r has no shape of its own: format characters, among
// them all that change the direction of text, and blanks that count as letters.
func invisible(r rune) bool {
	if r < utf8.RuneSelf { // most of a million ids: no table has it
		return false
	}
	return unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) || r == '\u2800' || r == '\u180e'
}

// seen reports whether r leaves a mark on a screen.
func seen(r rune) bool { return !invisible(r) && !unicode.IsSpace(r) && !unicode.Is(unicode.Mn, r) }

const (
	nonJoiner = '\u200c'
	joiner    = '\u200d'
	blackFlag = '\U0001f3f4' // tags after it name a region
)

// misplaced returns the first invisible character of a text that does nothing for
// it, as "U+200B", or "". Emoji are put together with joiners, variation selectors
// and tags; some scripts need joiners between letters.
func misplaced(text string) string {
	if !strings.ContainsFunc(text, invisible) {
		return ""
	}
	runes := []rune(text)
	flag := false
	for i, r := range runes {
		tag := r >= '\U000e0020' && r <= '\U000e007f'
		flag = r == blackFlag || flag && tag
		if !invisible(r) {
			continue
		}
		follows := i > 0 && (seen(runes[i-1]) || unicode.Is(unicode.Variation_Selector, runes[i-1]) || unicode.Is(unicode.Mn, runes[i-1]))
		switch {
		case tag && flag:
		case unicode.Is(unicode.Variation_Selector, r) && follows:
		case (r == joiner || r == nonJoiner) && follows && i+1 < len(runes) && seen(runes[i+1]):
		default:
			return fmt.Sprintf("%U", r)
		}
	}
	return ""
}
