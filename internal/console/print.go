package console

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/tabwriter"
)

// Painted is a text that [Paint] made: text of others in it is clean.
type Painted string

// Fprintf is [fmt.Fprintf] for commands: text of others among its arguments stays on its
// line. A [Writer] keeps the first error.
func Fprintf(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, format, cleanArgs(args)...)
}

// Fprintln is [fmt.Fprintln], likewise. It writes one line.
func Fprintln(w io.Writer, args ...any) {
	_, _ = fmt.Fprintln(w, cleanArgs(args)...)
}

// Columns returns a writer that aligns the cells of [Row], without cutting any. The caller
// flushes it.
func Columns(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }

// Row writes cells for [Columns].
func Row(w io.Writer, cells ...string) {
	clean := make([]string, len(cells))
	for i, cell := range cells {
		clean[i] = Line(cell)
	}
	_, _ = fmt.Fprintln(w, strings.Join(clean, "\t"))
}

func cleanArgs(args []any) []any {
	clean := make([]any, len(args))
	for i, arg := range args {
		clean[i] = cleanArg(arg)
	}
	return clean
}

// cleanArg returns an argument without line breaks and control sequences.
func cleanArg(arg any) any {
	switch v := arg.(type) {
	case Painted, nil:
		return v
	case error: // several errors are several lines
		return Line(v.Error())
	case []byte:
		return Clean(string(v))
	case []string:
		clean := make([]string, len(v))
		for i, text := range v {
			clean[i] = Clean(text)
		}
		return clean
	}
	kind := reflect.ValueOf(arg).Kind()
	if _, ok := arg.(fmt.Stringer); ok && kind != reflect.Int64 || kind == reflect.String { // a duration may be printed as a number
		return Clean(fmt.Sprint(arg))
	}
	return arg
}

// Count is "1 lane" or "3 lanes".
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
