package naming

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Names of the rule that no template can use.
const (
	withinName  = "(equal names within)"
	classesName = "(classes of the chats)"
)

// column returns the column of the source that a name of the rule stands for.
func (r *Rule) column(name string) string {
	if column := r.spec.Columns[name]; column != "" {
		return column
	}
	switch name {
	case "person":
		return r.kind().Person
	case "chat":
		return cmp.Or(r.spec.Chats.Column, "chat_id")
	case withinName:
		return r.column(r.spec.Equal.Within)
	case classesName:
		return r.column(cmp.Or(r.spec.Chats.Of, "class"))
	}
	return name
}

// needs returns the names that the rule uses.
func (r *Rule) needs() []string {
	names := slices.Concat([]string{"person"}, r.fields)
	for _, c := range r.spec.Filter {
		names = append(names, c.Column)
	}
	switch {
	case r.spec.Chats.Map != nil:
		names = append(names, classesName)
	case r.spec.Chats.Column != "":
		names = append(names, "chat")
	}
	if r.spec.Equal.Within != "" {
		names = append(names, withinName)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Columns returns the columns that the rule needs, as the source must name them.
func (r *Rule) Columns() []string {
	var columns []string
	for _, name := range r.needs() {
		columns = append(columns, r.column(name))
	}
	slices.Sort(columns)
	return slices.Compact(columns)
}

// PersonOf returns the id of a person: a user id, or the UID of a student. Empty: the row has
// none.
func (r *Rule) PersonOf(p Person) string {
	if at := IndexOf(p.Columns, r.column("person")); at >= 0 && at < len(p.Fields) {
		return strings.TrimSpace(p.Fields[at])
	}
	return ""
}

// Check reports the columns that a reading lacks. Nothing of the reading may be used then:
// a name without its class would be wrong for everyone.
func (r *Rule) Check(columns []string) error {
	var missing []string
	for _, column := range r.Columns() {
		if IndexOf(columns, column) < 0 {
			missing = append(missing, column)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("the source has no column %s (it has %s): correct the source, or map it under columns",
			strings.Join(missing, ", "), strings.Join(columns[:min(len(columns), 20)], ", "))
	}
	return nil
}

// IndexOf finds a column by its name; names that differ in case or width are alike.
func IndexOf(columns []string, name string) int {
	if i := slices.Index(columns, name); i >= 0 {
		return i
	}
	name = Fold(name)
	return slices.IndexFunc(columns, func(c string) bool { return Fold(c) == name })
}

// layout is where the names of a rule are in rows with certain columns.
type layout struct {
	columns []string
	names   []string
	indices []int
	err     error
}

// of finds the layout of columns, unless it is that of the last ones.
func (l *layout) of(r *Rule, columns []string) error {
	if l.names != nil && slices.Equal(l.columns, columns) {
		return l.err
	}
	l.columns, l.names, l.indices, l.err = columns, r.needs(), nil, r.Check(columns)
	for _, name := range l.names {
		l.indices = append(l.indices, IndexOf(columns, r.column(name)))
	}
	return l.err
}

// read puts the values of a row under the names of the rule.
func (l *layout) read(p Person, values map[string]string) {
	for i, name := range l.names {
		value := ""
		if at := l.indices[i]; at < len(p.Fields) {
			value = strings.TrimSpace(p.Fields[at])
		}
		values[name] = value
	}
}
