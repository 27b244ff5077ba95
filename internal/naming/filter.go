package naming

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Condition is a condition on one column: exactly one of In, NotIn and Matches is set.
// Values that differ in case, width or surrounding spaces are alike.
type Condition struct {
	Column string   `json:"column"           yaml:"column"` // or a name of Spec.Columns
	In     []string `json:"in,omitempty"     yaml:"in"`
	NotIn  []string `json:"not_in,omitempty" yaml:"not_in"`
	// Matches is a regular expression (RE2) for the whole value, as it is written.
	Matches string `json:"matches,omitempty" yaml:"matches"`
}

// condition is a compiled Condition.
type condition struct {
	Condition
	values  map[string]int // folded → index in In or NotIn
	matches *regexp.Regexp
}

type filter []condition

func newFilter(of []Condition) (filter, error) {
	if len(of) > maxConditions {
		return nil, fmt.Errorf("filter has %d conditions, at most %d", len(of), maxConditions)
	}
	var problems []error
	var f filter
	for i, c := range of {
		compiled, err := newCondition(c)
		if err != nil {
			problems = append(problems, fmt.Errorf("filter %d: %w", i+1, err))
		}
		f = append(f, compiled)
	}
	return f, errors.Join(problems...)
}

func newCondition(c Condition) (condition, error) {
	compiled := condition{Condition: c, values: map[string]int{}}
	switch {
	case strings.TrimSpace(c.Column) == "":
		return compiled, errors.New("column is missing")
	case !exactlyOne(len(c.In) > 0, len(c.NotIn) > 0, c.Matches != ""):
		return compiled, errors.New("must have exactly one of in, not_in and matches")
	case len(c.In)+len(c.NotIn) > maxEntries:
		return compiled, fmt.Errorf("has %d values, at most %d", len(c.In)+len(c.NotIn), maxEntries)
	case len(c.Matches) > maxTemplate:
		return compiled, fmt.Errorf("matches has %d bytes, at most %d", len(c.Matches), maxTemplate)
	}
	for i, value := range slices.Concat(c.In, c.NotIn) {
		compiled.values[Fold(value)] = i
	}
	if c.Matches == "" {
		return compiled, nil
	}
	if _, err := regexp.Compile(c.Matches); err != nil {
		return compiled, fmt.Errorf("matches: %w", err)
	}
	var err error
	compiled.matches, err = regexp.Compile(`^(?:` + c.Matches + `)$`)
	return compiled, err
}

// exactlyOne reports whether one of some conditions holds.
func exactlyOne(conditions ...bool) bool {
	n := 0
	for _, holds := range conditions {
		if holds {
			n++
		}
	}
	return n == 1
}

// filtering is one use of a filter.
type filtering struct {
	filter filter
	seen   [][]bool // which values of In and NotIn a person had
}

func (f filter) start() *filtering {
	use := &filtering{filter: f}
	for _, c := range f {
		use.seen = append(use.seen, make([]bool, len(c.In)+len(c.NotIn)))
	}
	return use
}

// takes reports whether all conditions hold. It looks at all of them, so that unused values
// are known.
func (u *filtering) takes(values map[string]string) bool {
	all := true
	for i, c := range u.filter {
		value := values[c.Column]
		if c.matches != nil {
			all = c.matches.MatchString(value) && all
			continue
		}
		at, listed := c.values[Fold(value)]
		if listed {
			u.seen[i][at] = true
		}
		all = listed == (len(c.In) > 0) && all
	}
	return all
}

func (u *filtering) unused() []string {
	var unused []string
	for i, c := range u.filter {
		for at, value := range slices.Concat(c.In, c.NotIn) {
			// Of values that are alike only the last is looked for.
			if c.values[Fold(value)] == at && !u.seen[i][at] {
				unused = append(unused, fmt.Sprintf("filter %d: %s: %s", i+1, c.Column, value))
			}
		}
	}
	return unused
}
