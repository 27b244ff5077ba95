package roster

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"rollcall/internal/table"
)

// The names of annotations: what a program that has read a file knows of a row besides its
// columns.
const (
	LineAnnotation     = "line"     // the line of the row in its file
	ProblemsAnnotation = "problems" // why the row is invalid, a problem a line
)

const (
	// mostFound bounds the problems of a row.
	mostFound = 50
	// longestFound bounds a problem, in bytes.
	longestFound = 500
)

func annotation(name string) bool { return name == LineAnnotation || name == ProblemsAnnotation }

// annotate reads the annotations of a record. A record without a line has none.
func (r *Row) annotate(record table.Record) {
	r.Line = 0
	for i, name := range record.Names[:min(len(record.Names), len(record.Cells))] {
		switch text := record.Cells[i]; {
		case name == LineAnnotation:
			if n, err := strconv.Atoi(text); err == nil && n > 0 {
				r.Line = n
			}
		case name == ProblemsAnnotation && text != "":
			for what := range strings.Lines(text) {
				if what = strings.TrimSpace(what); what != "" && len(r.Found) < mostFound {
					r.Found = append(r.Found, cut(what, longestFound))
				}
			}
		}
	}
}

// cut shortens a text to some bytes, between two characters.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}
