package roster

import (
	"fmt"
	"slices"
	"strings"

	"rollcall/internal/table"
)

// Records turns records into rows. Records with the same Names share what is known of their
// columns.
type Records struct {
	options Options
	mapped  map[string]string // columns of Options.Map, by folded names
	layouts map[string]*layout
	last    *layout
	ignored []string
}

// maxLayouts bounds how many lists of columns of NDJSON are remembered.
const maxLayouts = 100

// NewRecords returns Records. An error names an option that cannot be used.
func NewRecords(o Options) (*Records, error) {
	r := &Records{options: o, mapped: map[string]string{}, layouts: map[string]*layout{}}
	for name, column := range o.Map {
		known, ok := Column(column)
		if !ok {
			return nil, fmt.Errorf("column %.40q stands for %.40q, which is no column", name, column)
		}
		r.mapped[fold(name)] = known
	}
	return r, nil
}

// Row returns the row of a record. An error is about the names of the columns: no record
// with them can be read.
func (r *Records) Row(record table.Record) (Row, error) {
	if r.last == nil || !same(r.last.names, record.Names) {
		l, err := r.layout(record.Names)
		if err != nil {
			return Row{}, err
		}
		r.last = l
	}
	return newRow(record, r.last, r.options), nil
}

// One returns the row of a record that is alone.
func One(record table.Record, o Options) (Row, error) {
	r, err := NewRecords(o)
	if err != nil {
		return Row{}, err
	}
	return r.Row(record)
}

func (r *Records) layout(names []string) (*layout, error) {
	key := strings.Join(names, "\x00")
	if l, known := r.layouts[key]; known {
		return l, nil
	}
	l, err := newLayout(names, r.options, r.mapped)
	if err != nil {
		return nil, err
	}
	if len(r.layouts) < maxLayouts {
		r.layouts[key] = l
	}
	for _, name := range l.ignored {
		if !slices.Contains(r.ignored, name) && len(r.ignored) < maxLayouts {
			r.ignored = append(r.ignored, name)
		}
	}
	return l, nil
}

// same reports whether two lists of names are equal; those of one file mostly are
// one list.
func same(a, b []string) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || slices.Equal(a, b))
}
