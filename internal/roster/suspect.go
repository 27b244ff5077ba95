package roster

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"

	"rollcall/internal/kinds"
)

// What spreadsheets, exports and wrong encodings leave in place of a value.
var (
	errorValues = []string{
		"#N/A", "#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NULL!", "#NUM!", "#SPILL!", "#CALC!", "#FIELD!", "#BLOCKED!", "#CONNECT!", "#BUSY!",
		"#UNKNOWN!", "#GETTING_DATA", "[object Object]",
	}
	hashes     = regexp.MustCompile(`^#{2,}$`)
	formula    = regexp.MustCompile(`^=\s*(?:"|\$?[A-Za-z]+\$?[0-9(!]|[A-Za-z.]+\()`)
	scientific = regexp.MustCompile(`^[+-]?\d+(?:[.,]\d+)?[eE]\+\d+$|^[+-]?\d+[.,]\d+[eE]-?\d+$`)
	masked     = regexp.MustCompile(`^.{0,4}….{0,4}\(\d+\)$|^.?\*{2,}$|^\*$`)
	decimal    = regexp.MustCompile(`^\d+[.,]0+$`)
	entity     = regexp.MustCompile(`&(?:#\d+|#x[0-9A-Fa-f]+|amp|lt|gt|quot|nbsp);`)
	questions  = regexp.MustCompile(`^[?？]{2,}$`)
	nothings   = []string{"nan", "null", "none", "nil", "undefined", "n/a", "<na>"}
)

// content is what the cells of a column hold.
type content int

const (
	holdsAnything content = iota
	holdsText
	holdsID
	holdsIDs
)

// contents is made once: every cell of a file asks for it. A column of a kind holds at
// least a text.
var contents = sync.OnceValue(func() map[string]content {
	all := map[string]content{"tenant": holdsID}
	for _, k := range kinds.All() {
		for _, column := range k.Columns {
			switch {
			case column.Name == kinds.Previous: // what people called themselves
			case column.ID:
				all[column.Name] = holdsID
			case column.List:
				all[column.Name] = holdsIDs
			default:
				all[column.Name] = holdsText
			}
		}
	}
	return all
})

// Suspect returns why a value of a column is not what the person who made the file meant,
// and what to do; empty for a value that nothing is wrong with. What a task may hold at
// all is judged by package tasks.
func Suspect(column, value string) string {
	if value == "" {
		return ""
	}
	switch {
	case strings.ContainsRune("#[", rune(value[0])) && slices.ContainsFunc(errorValues, func(e string) bool { return strings.EqualFold(e, value) }):
		return "is an error value of a spreadsheet: correct the formula, or enter the value"
	case strings.ContainsRune(value, unicode.ReplacementChar), strings.Contains(value, "锟斤拷"):
		return "has characters that were lost when the file was converted (U+FFFD): export it again as UTF-8"
	case strings.ContainsFunc(value, func(r rune) bool { return r == '\n' || r == '\r' || r == '\u2028' || r == '\u2029' }):
		return "holds a line break: write the value in one line, or close the quote in this line if one is missing"
	}
	holds := contents()[column]
	if holds != holdsAnything {
		if what := damage(value); what != "" {
			return what
		}
	}
	switch holds {
	case holdsAnything, holdsText:
	case holdsID:
		return noID(value)
	case holdsIDs:
		for _, entry := range strings.FieldsFunc(value, func(r rune) bool { return r == ';' || r == '；' }) {
			if what := noID(strings.TrimSpace(entry)); what != "" {
				return what
			}
		}
	}
	return ""
}

// damage finds what happened to a value on its way through programs.
func damage(value string) string {
	if !strings.ContainsFunc(value, damaging) && !exponent(value) { // of a million names: no pattern can match
		return ""
	}
	switch {
	case hashes.MatchString(value):
		return "is a row of #, which a spreadsheet shows for a column that is too narrow: widen the column and export again"
	case formula.MatchString(value):
		return "is a formula of a spreadsheet: enter the value itself, in a cell that is formatted as text"
	case scientific.MatchString(value):
		return "is a number in scientific notation, whose last digits are lost: format the column as text, then enter or import the values again"
	case masked.MatchString(value):
		return "is masked, as in logs and lists: export with --show-personal-data, or take the value from its source"
	case questions.MatchString(value):
		return "has only question marks: the characters were lost when the file was converted; export it again as UTF-8"
	case entity.MatchString(value):
		return "has characters written for a web page (&#…;): export the file as CSV or XLSX instead of HTML"
	}
	return ""
}

// damaging reports whether a pattern of damage needs r.
func damaging(r rune) bool {
	switch r {
	case '#', '=', '*', '…', '?', '？', '&':
		return true
	}
	return false
}

// exponent reports whether value may be a number in scientific notation, the one pattern
// that needs nothing else than letters and digits.
func exponent(value string) bool {
	return strings.IndexByte("+-0123456789", value[0]) >= 0 && strings.ContainsAny(value, "eE")
}

// noID finds what is certainly not an id.
func noID(value string) string {
	switch {
	case strings.ContainsFunc(value, func(r rune) bool { return unicode.Is(unicode.Han, r) }):
		return "looks like a name, not an id: check that the columns are not swapped"
	case strings.ContainsFunc(value, func(r rune) bool { return r >= '！' && r <= '～' }):
		return "has full-width characters: enter the id in half-width letters and digits"
	case strings.HasPrefix(value, "'"):
		return "begins with an apostrophe, by which spreadsheets mark text: remove it"
	case decimal.MatchString(value):
		return "is a number with decimals, not an id: export the column as text"
	case slices.Contains(nothings, strings.ToLower(value)):
		return "is the word of a program for an empty value: leave the cell empty, or enter the id"
	}
	return ""
}
