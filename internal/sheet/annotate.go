package sheet

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/xuri/excelize/v2"

	"rollcall/internal/table"
)

// Extra are columns that are added to a copy of a file.
type Extra struct {
	Heads []string
	// Replaces reports whether a column of the file is dropped.
	Replaces func(name string) bool
	// Cells returns the cells of the new columns for a record, and whether the record
	// is kept at all.
	Cells func(record table.Record) (cells []string, keep bool, err error)
	// End is called after the last record, before the copy gets its name.
	End func() error
	// All says that every record is kept, so that a workbook keeps its formats.
	All bool
}

const (
	// mostKept bounds a workbook whose formats are kept, in bytes: it is read into
	// memory, about 30 times as large.
	mostKept = 8 << 20
	// mostUnpacked bounds what is unpacked of it.
	mostUnpacked = 512 << 20
)

// Annotate copies a file to a path with more columns, and returns how many records it
// wrote. Text keeps its encoding, byte order mark, delimiter and line ends; a workbook
// stays one, and keeps its formats unless it is large or records are dropped.
func Annotate(source string, t *table.Table, path string, x Extra) (int, error) {
	if t.Format == table.XLSX {
		if !strings.EqualFold(filepath.Ext(path), ".xlsx") {
			return 0, fmt.Errorf("%s: the copy of a workbook must end in .xlsx", path)
		}
		return annotateBook(source, t, path, x)
	}
	w, err := begin(path)
	if err != nil {
		return 0, err
	}
	defer w.Discard()
	out, err := t.NewWriter(w.file)
	if err != nil {
		return 0, err
	}
	if header, _ := t.Header(); header != nil {
		names := append(x.keep(header, header), x.Heads...)
		if err := out.Write(names, names); err != nil {
			return 0, err
		}
	}
	rows, err := copyRecords(t, x, out.Write)
	if err != nil {
		return rows, err
	}
	return rows, w.commit(out.Close)
}

// copyRecords writes the records with the cells of the new columns.
func copyRecords(t *table.Table, x Extra, write func(names, cells []string) error) (rows int, err error) {
	for record, err := range t.Records() {
		if err != nil {
			return rows, err
		}
		cells, keep, err := x.Cells(record)
		if err != nil {
			return rows, err
		}
		if !keep {
			continue
		}
		rows++
		names := append(x.keep(record.Names, record.Names), x.Heads...)
		if err := write(names, append(x.keep(record.Names, record.Cells), cells...)); err != nil {
			return rows, err
		}
	}
	return rows, x.End()
}

// keep returns the cells of the columns that stay, empty where a record is short.
func (x Extra) keep(names, cells []string) []string {
	var kept []string
	for i, name := range names {
		if x.Replaces(name) {
			continue
		}
		cell := ""
		if i < len(cells) {
			cell = cells[i]
		}
		kept = append(kept, cell)
	}
	return kept
}

func annotateBook(source string, t *table.Table, path string, x Extra) (int, error) {
	info, err := os.Stat(source)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", source, cause(err))
	}
	if x.All && info.Size() <= mostKept {
		return annotateCells(source, t, path, x)
	}
	header, _ := t.Header()
	w, err := Create(path, append(x.keep(header, header), x.Heads...))
	if err != nil {
		return 0, err
	}
	defer w.Discard()
	rows, err := copyRecords(t, x, func(_, cells []string) error { return w.Row(cells) })
	if err != nil {
		return rows, err
	}
	return rows, w.Close()
}

// annotateCells writes the new cells into a copy of the workbook itself.
func annotateCells(source string, t *table.Table, path string, x Extra) (rows int, err error) {
	f, err := excelize.OpenFile(source, excelize.Options{UnzipSizeLimit: mostUnpacked})
	if err != nil {
		return 0, fmt.Errorf("%s: %w", source, err)
	}
	defer func() { _ = f.Close() }() // it was only read
	header, line := t.Header()
	at := x.positions(header)
	set := func(line int, cells []string) error {
		for i, cell := range cells {
			name, err := excelize.CoordinatesToCellName(at[i]+1, line)
			if err == nil {
				err = f.SetCellStr(t.Sheet, name, cell)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", source, err)
			}
		}
		return nil
	}
	if err := set(line, x.Heads); err != nil {
		return 0, err
	}
	for record, err := range t.Records() {
		if err != nil {
			return rows, err
		}
		cells, _, err := x.Cells(record)
		if err == nil {
			err = set(record.Line, cells)
		}
		if err != nil {
			return rows, err
		}
		rows++
	}
	if err := x.End(); err != nil {
		return rows, err
	}
	w, err := begin(path)
	if err != nil {
		return rows, err
	}
	defer w.Discard()
	return rows, w.commit(func() error { return f.Write(w.file) })
}

// positions are the columns that the new cells go to: those of the same name, else the
// ones after the last.
func (x Extra) positions(header []string) []int {
	next := len(header)
	for next > 0 && strings.TrimSpace(header[next-1]) == "" {
		next--
	}
	at := make([]int, len(x.Heads))
	for i, head := range x.Heads {
		at[i] = -1
		for j, name := range header {
			if strings.EqualFold(strings.TrimSpace(name), head) {
				at[i] = j
			}
		}
		if at[i] < 0 {
			at[i], next = next, next+1
		}
	}
	return at
}
