package console

import (
	"encoding/csv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// mark is the byte order mark, without which Excel takes UTF-8 for the code page
// of the machine.
const mark = "\ufeff"

// formula are the characters that make a spreadsheet compute a cell, also in full width,
// as some locales enter them.
const formula = "=+-@＝＋－＠"

// Inert puts an apostrophe before a cell that a spreadsheet would compute, and
// before one that Original would shorten. Some programs skip spaces and invisible
// characters first. Tabs and line breaks are formulas to others; [CSV] escapes them
// everywhere.
func Inert(cell string) string {
	if computed(cell) {
		return "'" + cell
	}
	return cell
}

// Original returns the cell that Inert was given. A cell that Inert did not change
// stays as it is.
func Original(cell string) string {
	if rest, ok := strings.CutPrefix(cell, "'"); ok && computed(rest) {
		return rest
	}
	return cell
}

// computed reports whether a cell begins with a formula, after any apostrophes and
// characters that are not seen.
func computed(cell string) bool {
	rest := strings.TrimLeftFunc(cell, func(r rune) bool { return r == '\'' || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) })
	first, _ := utf8.DecodeRuneInString(rest)
	return rest != "" && strings.ContainsRune(formula, first)
}

// CSV writes a table for a spreadsheet: UTF-8 with a byte order mark, lines that
// end in CRLF, no cell that is a formula, each row one line. A terminal gets
// neither the mark nor the CR.
type CSV struct{ rows *csv.Writer }

// CSV returns a writer of a table to w. It writes nothing before the first row.
func (w *Writer) CSV() *CSV {
	rows := csv.NewWriter(&unescaped{to: w, begun: w.Terminal()})
	rows.UseCRLF = !w.Terminal()
	return &CSV{rows: rows}
}

// Row writes a row.
func (c *CSV) Row(cells []string) error {
	safe := make([]string, len(cells))
	for i, cell := range cells {
		safe[i] = Inert(Clean(cell))
	}
	return c.rows.Write(safe)
}

// Flush writes what is still buffered.
func (c *CSV) Flush() error {
	c.rows.Flush()
	return c.rows.Error()
}

// unescaped writes what is clean already, after a byte order mark.
type unescaped struct {
	to    *Writer
	begun bool
}

func (u *unescaped) Write(text []byte) (int, error) {
	if !u.begun {
		u.begun = true
		text = append([]byte(mark), text...)
	}
	if err := u.to.raw(text); err != nil {
		return 0, err
	}
	return len(text), nil
}
