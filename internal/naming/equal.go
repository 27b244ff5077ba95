package naming

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// suffix is what makes equal names different: before, number, after.
type suffix struct{ before, after string }

const maxSuffix = 4 // characters, without the number

func newSuffix(e Equal) (suffix, error) {
	text := e.Suffix
	if text == "" {
		text = "#"
	}
	s := suffix{}
	var one bool
	s.before, s.after, one = strings.Cut(text, "#")
	switch {
	case e.Allow && (e.Suffix != "" || e.Within != ""):
		return s, errors.New("equal_names: allow leaves no use for suffix and within: remove them")
	case !one || strings.Contains(s.after, "#"):
		return s, fmt.Errorf("equal_names.suffix is %.40q: must contain one #, which stands for the number", text)
	case utf8.RuneCountInString(text)-1 > maxSuffix:
		return s, fmt.Errorf("equal_names.suffix has %d characters, at most %d", utf8.RuneCountInString(text), maxSuffix+1)
	case strings.ContainsAny(text, "0123456789"):
		return s, fmt.Errorf("equal_names.suffix is %.40q: must not contain digits, which the number is made of", text)
	case strings.Contains(text, "  ") || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsMark(r) }):
		return s, fmt.Errorf("equal_names.suffix is %.40q: must contain only visible characters and single spaces", text)
	}
	return s, nil
}

// numbered is a name with a suffix. The name is cut where both do not fit.
func (r *Rule) numbered(base string, number int) string {
	end := r.suffix.before + strconv.Itoa(number) + r.suffix.after
	wide := 0
	if r.spec.MaxWidth > 0 {
		for _, c := range end {
			wide += cellsOf(string(c))
		}
		wide = max(r.spec.MaxWidth-wide, 1)
	}
	return fit(base, max(r.spec.Max-utf8.RuneCountInString(end), 0), wide) + end
}

// isNumbered reports whether a name is numbered(base, n) for some n.
func (r *Rule) isNumbered(name, base string) bool {
	rest, ok := strings.CutSuffix(name, r.suffix.after)
	if !ok {
		return false
	}
	digits := rest[len(strings.TrimRight(rest, "0123456789")):]
	// The end of the name itself may be a digit: 7A2 is 7A and 2.
	for i := max(0, len(digits)-maxDigits); i < len(digits); i++ {
		if number, err := strconv.Atoi(digits[i:]); err == nil && number >= 2 && digits[i] != '0' && r.numbered(base, number) == name {
			return true
		}
	}
	return false
}

const maxDigits = 7

// nameAll gives everyone a name. Slots are sorted by scope and person.
func (a *application) nameAll() {
	for scope := range groups(a.slots, func(x, y slot) bool { return x.scope == y.scope }) {
		a.nameScope(scope)
	}
}

// nameScope names the people of one scope. Who has a name that they may have keeps it; of
// the others the first by id gets the name as it is, and the rest get numbers.
func (a *application) nameScope(slots []slot) {
	if a.rule.spec.Equal.Allow {
		for _, s := range slots {
			a.named(s, s.base)
		}
		return
	}
	taken := make(map[string]bool, len(slots))
	names := make([]string, len(slots))
	take := func(i int, name string) {
		if !taken[name] {
			taken[name], names[i] = true, name
		}
	}
	for i, s := range slots {
		if had := a.had(s.person, s.chat); had != "" && (had == s.base || a.rule.isNumbered(had, s.base)) {
			take(i, had)
		}
	}
	for i, s := range slots {
		if names[i] == "" {
			take(i, s.base)
		}
	}
	next := make(map[string]int)
	for i, s := range slots {
		for number := max(next[s.base], 2); names[i] == ""; number++ {
			take(i, a.rule.numbered(s.base, number))
			next[s.base] = number + 1
		}
	}
	for i, s := range slots {
		a.named(s, names[i])
	}
}

func (a *application) named(s slot, name string) {
	a.result.Named = append(a.result.Named, Named{
		Row: s.row, Person: s.person, Chat: s.chat, Value: name, Cut: s.cut || !strings.HasPrefix(name, s.base),
	})
}
