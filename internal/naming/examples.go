package naming

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"rollcall/tasks"
)

// Tried is an example and what the rule makes of it. Its fields are texts for a person.
type Tried struct {
	Person map[string]string
	Want   string // "left out": by the filter
	Got    string
	OK     bool
}

// LeftOut is what an example gives whom the filter leaves out.
const LeftOut = "(left out)"

// quoted quotes a name; what stands in parentheses is none.
func quoted(text string) string {
	if strings.HasPrefix(text, "(") {
		return text
	}
	return fmt.Sprintf("%q", text)
}

// Try returns what a rule makes of its examples, each alone: without suffixes and chats. The
// error is about the rule, not about wrong examples.
func Try(spec Spec) ([]Tried, error) {
	r, err := compile(spec)
	if err != nil {
		return nil, err
	}
	return r.try(r.spec.Examples), nil
}

// checkExamples checks the form of the examples.
func (r *Rule) checkExamples() error {
	var problems []error
	for i, e := range r.spec.Examples {
		switch isID := r.spec.Kind == tasks.KindID; {
		case len(e.Person) == 0:
			problems = append(problems, fmt.Errorf("example %d: person is missing: write the columns of one row", i+1))
		case !exactlyOne(e.Nickname != "", e.ID != "", e.LeftOut):
			problems = append(problems, fmt.Errorf("example %d: must have exactly one of nickname, id and left_out", i+1))
		case e.ID != "" && !isID, e.Nickname != "" && isID:
			problems = append(problems, fmt.Errorf("example %d: the rule is of kind %s: write %s", i+1, r.spec.Kind, map[bool]string{true: "id", false: "nickname"}[isID]))
		}
	}
	return errors.Join(problems...)
}

func (r *Rule) try(examples []Example) []Tried {
	tried := make([]Tried, len(examples))
	w := r.newWriter()
	for i, e := range examples {
		t := Tried{Person: e.Person, Want: e.Nickname + e.ID, Got: r.tryOne(w, e.Person)}
		if e.LeftOut {
			t.Want = LeftOut
		}
		t.OK = t.Want == t.Got
		tried[i] = t
	}
	return tried
}

// tryOne returns the name of a person, whose columns may have the names of the source or of
// the rule.
func (r *Rule) tryOne(w *writer, person map[string]string) string {
	names := r.needs()
	clear(w.fields)
	columns := slices.Sorted(maps.Keys(person))
	for _, name := range names {
		for _, called := range []string{r.column(name), name} {
			if at := IndexOf(columns, called); at >= 0 {
				w.fields[name] = strings.TrimSpace(person[columns[at]])
				break
			}
		}
	}
	if !r.filter.start().takes(w.fields) {
		return LeftOut
	}
	if what := r.damaged(w.fields, names); what != "" {
		return "(" + what + ")"
	}
	name, _, err := w.name()
	if err != nil {
		return "(" + err.Error() + ")"
	}
	if r.spec.Kind == tasks.KindID {
		return candidate(name, 1)
	}
	return name
}
