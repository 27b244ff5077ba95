package console

import (
	"fmt"
	"io"
	"strings"
)

// Table is a table for a terminal. Its cells may hold wide characters, and are cut where
// they do not fit. The zero value has no columns.
type Table struct {
	// Width is how many cells of the terminal a line may take, Indent how many of them
	// are blank at its beginning.
	Width, Indent int
	Columns       []Column

	rows [][]string
}

// Column is a column of a table.
type Column struct {
	Head string
	// Most is the widest that the column may be. 0: it shares the rest with other such
	// columns.
	Most int
	// Right aligns the cells on the right, as numbers.
	Right bool
}

// Add adds a row, with a cell for each column.
func (t *Table) Add(cells ...string) {
	row := make([]string, len(t.Columns))
	for i := range row {
		row[i] = Line(cells[i])
	}
	t.rows = append(t.rows, row)
}

// Print writes the heads and the rows.
func (t *Table) Print(out io.Writer) {
	widths, heads := t.widths(), make([]string, len(t.Columns))
	for i, c := range t.Columns {
		heads[i] = c.Head
	}
	fmt.Fprintln(out, Paint(Bold, t.line(heads, widths)))
	for _, row := range t.rows {
		fmt.Fprintln(out, t.line(row, widths))
	}
}

// gap is what stands between two columns.
const gap = 2

// widths returns the widths of the columns: what their cells need, as far as it fits.
func (t *Table) widths() []int {
	need, rest, shared := make([]int, len(t.Columns)), t.Width-t.Indent-gap*(len(t.Columns)-1), []int{}
	for i, c := range t.Columns {
		need[i] = Cells(c.Head)
		for _, row := range t.rows {
			need[i] = max(need[i], Cells(row[i]))
		}
		if c.Most > 0 {
			need[i] = min(need[i], c.Most)
			rest -= need[i]
		} else {
			shared = append(shared, i)
		}
	}
	for k, i := range shared {
		// What a column leaves goes to those after it.
		part := max(rest-t.needs(shared[k+1:], need, rest/(len(shared)-k)), rest/(len(shared)-k))
		need[i] = min(need[i], max(part, 1))
		rest -= need[i]
	}
	return need
}

// needs is what columns need, each at most its fair part.
func (t *Table) needs(columns, need []int, fair int) int {
	sum := 0
	for _, i := range columns {
		sum += min(need[i], fair)
	}
	return sum
}

func (t *Table) line(cells []string, widths []int) string {
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", t.Indent))
	for i, cell := range cells {
		cell = Cut(cell, widths[i])
		blank := strings.Repeat(" ", widths[i]-Cells(cell))
		if t.Columns[i].Right {
			cell = blank + cell
		} else {
			cell += blank
		}
		b.WriteString(cell)
		if i < len(cells)-1 {
			b.WriteString(strings.Repeat(" ", gap))
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// Cut shortens a text to so many cells of a terminal.
func Cut(text string, cells int) string {
	if Cells(text) <= cells {
		return text
	}
	n := 0
	for i, r := range text {
		if n += cell(r); n > cells-1 {
			return text[:i] + "…"
		}
	}
	return text
}
