package naming

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"

	"rollcall/tasks"
)

// writer executes the templates of a rule, for one person after the other.
type writer struct {
	rule   *Rule
	fields map[string]string // the person's values, by the names that the rule uses
	buffer bytes.Buffer
}

func (r *Rule) newWriter() *writer { return &writer{rule: r, fields: map[string]string{}} }

// name returns the name of the person in fields, without a suffix: of an ID its letters and
// digits. cut reports that it was too long.
func (w *writer) name() (name string, cut bool, err error) {
	r := w.rule
	if name, err = r.template.render(w.fields, &w.buffer); err != nil {
		return "", false, err
	}
	if r.spec.Kind == tasks.KindID {
		name, err = idBase(name)
		return name, false, err
	}
	fitted := fit(name, r.spec.Max, r.spec.MaxWidth)
	if fitted != name && r.shorter != nil {
		if name, err = r.shorter.render(w.fields, &w.buffer); err != nil {
			return "", false, err
		}
		fitted = fit(name, r.spec.Max, r.spec.MaxWidth)
	}
	switch {
	case name == "":
		return "", false, errors.New("the template gives an empty name: fill in the columns that it uses, or correct the template")
	case fitted == "":
		return "", false, errors.New("the name begins with a character that is longer than a name: correct the source")
	}
	return fitted, fitted != name, nil
}

// idBase returns the letters and digits of a text, in lower case.
func idBase(text string) (string, error) {
	base := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(text))
	switch {
	case base == "":
		return "", errors.New("the template gives no letters for an ID: use pinyin, or correct the source")
	case base[0] < 'a':
		return "", errors.New("the template gives an ID that begins with a digit: write letters before it")
	case utf8.RuneCountInString(base) > maxIDBase:
		base = base[:maxIDBase]
	}
	return base, nil
}
