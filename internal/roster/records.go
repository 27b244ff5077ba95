package roster

import (
	"fmt"

	"rollcall/internal/table"
)

// Records turns records into rows that come from elsewhere than a table. Records with the
// same Names share what is known of their columns.
type Records struct {
	file *File
	last *layout
}

// NewRecords returns Records. An error names an option that cannot be used.
func NewRecords(o Options) (*Records, error) {
	f := &File{options: o, mapped: map[string]string{}, layouts: map[string]*layout{}}
	for name, column := range o.Map {
		known, ok := Column(column)
		if !ok {
			return nil, fmt.Errorf("column %.40q stands for %.40q, which is no column", name, column)
		}
		f.mapped[fold(name)] = known
	}
	return &Records{file: f}, nil
}

// Row returns the row of a record. An error is about the names of the columns: no record
// with them can be read.
func (r *Records) Row(record table.Record) (Row, error) {
	if r.last == nil || !same(r.last.names, record.Names) {
		l, err := r.file.layout(record.Names)
		if err != nil {
			return Row{}, err
		}
		r.last = l
	}
	return newRow(record, r.last, r.file.options), nil
}
