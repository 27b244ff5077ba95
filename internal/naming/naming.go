// Package naming computes names from the rows of a roster: which people a rule concerns,
// the nickname, student's name or DingTalk ID that each should have, suffixes for equal
// names, and the order of IDs that are handed on.
//
// It is pure: it must not know where rows come from, what the platforms have, when a rule
// is applied, or how a change is sent. The caller gives it what people had before.
package naming

import (
	"cmp"
	"errors"
	"iter"
	"slices"
	"strings"

	"rollcall/internal/kinds"
	"rollcall/internal/roster"
	"rollcall/tasks"
)

// Person is one row of a reading. People of one reading share Columns.
type Person struct {
	At      string   // where the row is, for messages: "line 7"
	Columns []string // as the source names them
	Fields  []string // the values; missing ones are empty
}

// Had returns the nickname that a person has in a chat already or, with the chat "", the name
// of a student or the DingTalk ID; empty: none, as far as the caller knows. It keeps names
// stable: of two people with equal names, the one who has a name keeps it. IDs of people whom
// the filter leaves out count: they are taken. nil: nothing is known.
type Had func(person, chat string) string

// Named is the value that a person should have.
type Named struct {
	Row    int    // index of the person
	Person string // user id, or UID of a student
	Chat   string // of a nickname
	Value  string // nickname, name of the student, or ID
	Cut    bool   // the name was too long, and was cut

	// Alternatives are further IDs, in the order in which they may be tried. No ID is
	// planned for two people.
	Alternatives []string
	// After is the person who has the ID now and gets another one. That change must be
	// made first. There are no alternatives then: one would be final for a year. Empty:
	// the order does not matter.
	After string
	// Swapped reports that people would have to exchange their IDs, which the platform
	// cannot do: this person gets a numbered ID instead.
	Swapped bool
}

// Problem is a row that gets no name.
type Problem struct {
	Row    int    // index of the person
	Person string // empty: not known
	What   string // what is wrong and what to do, without names of people
}

// Result is what a rule makes of people. Names are in the order of the people; IDs in the
// order in which they must be changed.
type Result struct {
	Named    []Named
	Problems []Problem
	Excluded int // people whom the filter, or chats.missing: skip, leaves out
	// Unused lists values of the filter that no one has, which may be misspelt:
	// "filter 1: 身份: 教师".
	Unused []string
}

// Apply names people. The order of people does not change the name of anyone. It is
// deterministic, and a second application with the first one's values changes nothing.
func (r *Rule) Apply(people []Person, had Had) Result {
	if had == nil {
		had = func(string, string) string { return "" }
	}
	a := &application{rule: r, people: people, had: had, filter: r.filter.start(), writer: r.newWriter()}
	for _, c := range r.spec.Filter {
		a.filtered = append(a.filtered, c.Column)
	}
	for row := range people {
		a.add(row)
	}
	a.result.Unused = a.filter.unused()
	a.mergeRows()
	if r.spec.Kind == tasks.KindID {
		a.planIDs()
	} else {
		a.nameAll()
		slices.SortFunc(a.result.Named, func(x, y Named) int { return cmp.Or(x.Row-y.Row, strings.Compare(x.Chat, y.Chat)) })
	}
	slices.SortStableFunc(a.result.Problems, func(x, y Problem) int { return x.Row - y.Row })
	return a.result
}

// slot is a value that is to be found: of a person in a chat, or of a person.
type slot struct {
	row    int
	person string
	chat   string
	scope  string // in which equal names get suffixes
	base   string // the name without a suffix; of an ID its letters
	cut    bool
}

// application is one call of Apply.
type application struct {
	rule   *Rule
	people []Person
	had    Had
	filter *filtering
	// filtered are the names that the filter uses.
	filtered []string
	writer   *writer
	layout   layout
	slots    []slot
	held     map[string]string // ID → the person who has it
	result   Result
}

func (a *application) problem(row int, person, what string) {
	a.result.Problems = append(a.result.Problems, Problem{Row: row, Person: person, What: what})
}

// add finds the slots of a row.
func (a *application) add(row int) {
	p := a.people[row]
	if err := a.layout.of(a.rule, p.Columns); err != nil {
		a.problem(row, "", err.Error())
		return
	}
	values := a.writer.fields
	a.layout.read(p, values)
	person := values["person"]
	a.holds(person)
	// A damaged value must not leave somebody out: they would count as missing.
	if what := a.rule.damaged(values, a.filtered); what != "" {
		a.problem(row, person, what)
		return
	}
	if !a.filter.takes(values) {
		a.result.Excluded++
		return
	}
	if what := a.rule.damaged(values, a.layout.names); what != "" {
		a.problem(row, person, what)
		return
	}
	base, cut, err := a.writer.name()
	if err != nil {
		a.problem(row, person, err.Error())
		return
	}
	chats, excluded, what := a.rule.chatsOf(values)
	switch {
	case what != "":
		a.problem(row, person, what)
		return
	case excluded:
		a.result.Excluded++
		return
	}
	for _, chat := range chats {
		s := slot{row: row, person: person, chat: chat, base: base, cut: cut, scope: chat}
		if a.rule.spec.Equal.Within != "" {
			s.scope = chat + "\x00" + Fold(values[withinName])
		}
		if what := a.rule.refused(s); what != "" {
			a.problem(row, person, what)
			return
		}
		a.slots = append(a.slots, s)
	}
}

// holds notes who has an ID.
func (a *application) holds(person string) {
	if a.rule.spec.Kind != tasks.KindID || person == "" {
		return
	}
	if id := strings.ToLower(a.had(person, "")); id != "" {
		if a.held == nil {
			a.held = map[string]string{}
		}
		if other, taken := a.held[id]; !taken || person < other {
			a.held[id] = person
		}
	}
}

// mergeRows leaves one slot of rows that name a person twice, and none of rows that
// contradict each other. The slots are sorted by scope and person then.
func (a *application) mergeRows() {
	slices.SortFunc(a.slots, func(x, y slot) int {
		return cmp.Or(strings.Compare(x.chat, y.chat), strings.Compare(x.person, y.person), strings.Compare(x.base, y.base),
			strings.Compare(x.scope, y.scope), x.row-y.row)
	})
	kept := a.slots[:0]
	for same := range groups(a.slots, func(x, y slot) bool { return x.person == y.person && x.chat == y.chat }) {
		if same[0].base == same[len(same)-1].base {
			kept = append(kept, same[0])
		} else {
			for _, s := range same {
				a.problem(s.row, s.person, "the person is in several rows with different names: leave one of the rows, or correct them")
			}
		}
	}
	a.slots = kept
	slices.SortStableFunc(a.slots, func(x, y slot) int { return strings.Compare(x.scope, y.scope) })
}

// groups returns the neighbours that belong together.
func groups(slots []slot, together func(x, y slot) bool) iter.Seq[[]slot] {
	return func(yield func([]slot) bool) {
		for len(slots) > 0 {
			n := 1
			for n < len(slots) && together(slots[0], slots[n]) {
				n++
			}
			if !yield(slots[:n]) {
				return
			}
			slots = slots[n:]
		}
	}
}

// refused returns why no task could have the slot's values; empty: one could.
func (r *Rule) refused(s slot) string {
	const tenant = "t" // any: it is not the task that is stored
	value := s.base
	if r.spec.Kind == tasks.KindID {
		value = candidate(s.base, 1)
	}
	task := r.kind().Named(tenant, s.chat, s.person, value, nil)
	err := task.Validate(tasks.Limits{NicknameMax: r.spec.Max})
	invalid, ok := errors.AsType[*tasks.ValidationError](err)
	if !ok {
		return ""
	}
	var problems []string
	for _, p := range invalid.Problems {
		subject := "the name"
		switch p.Field {
		case r.kind().Person:
			subject = "column " + r.column("person")
		case "chat_id":
			subject = "the chat id"
		}
		problems = append(problems, subject+" "+p.What)
	}
	return strings.Join(problems, "; ")
}

// damaged returns why a value of some names is not what its author meant: an error value of
// a spreadsheet, a lost character. Empty: nothing is wrong.
func (r *Rule) damaged(values map[string]string, names []string) string {
	for _, name := range names {
		if what := r.damage(name, values[name]); what != "" {
			return what
		}
	}
	return ""
}

func (r *Rule) damage(name, value string) string {
	column, values := "nickname", []string{value}
	switch name {
	case "person":
		column = r.kind().Person
	case "chat":
		column, values = "chat_id", split(value)
	case classesName:
		values = split(value)
	}
	if len(values) < 2 && len(value) > maxText {
		return "column " + r.column(name) + ": the value is too long: correct the source"
	}
	for _, v := range values {
		if what := roster.Suspect(column, v); what != "" {
			return "column " + r.column(name) + ": " + what
		}
	}
	return ""
}

// kind is the rule's kind of task.
func (r *Rule) kind() kinds.Kind {
	k, _ := kinds.Named(r.spec.Kind)
	return k
}
