// Package console writes text for people: to terminals, and as CSV for
// spreadsheets. Text of others cannot move a cursor, colour a line, change its
// direction or become a formula, and a failed write is not forgotten.
//
// It must not know what is written.
package console

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// Style is how [Paint] shows a text on a terminal with colours.
type Style rune

// The styles. Each is a noncharacter of Unicode, which no text of others needs,
// and which a [Writer] replaces by the terminal's own sequence.
const (
	Plain  Style = 0
	Bold   Style = '\uFDD1'
	Red    Style = '\uFDD2' // bold, too
	Yellow Style = '\uFDD3'
	Green  Style = '\uFDD4'

	styleEnd = '\uFDD0'
)

var sequences = map[rune]string{
	styleEnd: "\x1b[0m", rune(Bold): "\x1b[1m", rune(Red): "\x1b[1;31m", rune(Yellow): "\x1b[33m", rune(Green): "\x1b[32m",
}

// Paint marks text for a [Writer], which shows it in a style where it writes to
// a terminal with colours, and as it is elsewhere. The text becomes clean.
func Paint(style Style, text string) Painted {
	text = Clean(text)
	if style == Plain || text == "" {
		return Painted(text)
	}
	return Painted(string(style) + text + string(styleEnd))
}

// unsafe reports whether a terminal or an editor would obey r rather than show
// it: control characters, bidirectional controls, line and paragraph separators.
func unsafe(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// appendRune escapes as JSON does, so that an escaped JSON text has the same
// value. All of these characters have at most four digits.
func appendRune(to []byte, r rune) []byte { return fmt.Appendf(to, `\u%04x`, r) }

// Clean escapes what [Writer] escapes, line breaks and tabs too: the result is
// one line. Bytes that are not UTF-8 become U+FFFD.
func Clean(text string) string {
	harmless := func(r rune) bool { return !unsafe(r) && r != utf8.RuneError && sequences[r] == "" }
	if strings.IndexFunc(text, func(r rune) bool { return !harmless(r) }) < 0 {
		return text
	}
	out := make([]byte, 0, len(text)+16)
	for _, r := range text {
		switch {
		case sequences[r] != "": // it would begin or end a style
		case unsafe(r):
			out = appendRune(out, r)
		default:
			out = utf8.AppendRune(out, r)
		}
	}
	return string(out)
}

// Escape escapes what [Writer] escapes, and leaves line breaks, tabs and styles. JSON
// keeps its value.
func Escape(text []byte) []byte {
	obeyed := func(r rune) bool { return unsafe(r) && r != '\n' && r != '\t' }
	if bytes.IndexFunc(text, obeyed) < 0 {
		return text
	}
	out := make([]byte, 0, len(text)+16)
	for _, r := range string(text) {
		if obeyed(r) {
			out = appendRune(out, r)
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	return out
}

// WriteError is a failed write to an output of the process.
type WriteError struct {
	Output string // "standard output"
	Err    error
}

// Error names the output and the cause, without the path of the file behind it.
func (e *WriteError) Error() string {
	cause := e.Err
	if path, ok := errors.AsType[*os.PathError](cause); ok {
		cause = path.Err
	}
	return fmt.Sprintf("cannot write to %s: %v", e.Output, cause)
}

// Unwrap returns the cause.
func (e *WriteError) Unwrap() error { return e.Err }

// Writer writes text for people to an output. Control characters other than line
// breaks and tabs, and bidirectional controls, are written as \u001b. It keeps
// the first error, and writes nothing after it. It is not safe for concurrent use.
type Writer struct {
	out      io.Writer
	name     string
	terminal *os.File // nil: not one
	colour   bool
	rest     []byte // the beginning of a character whose other bytes are still to come
	failed   *WriteError
}

// NewWriter returns a writer to out, which errors call name. Styles are shown on
// a terminal, unless plain.
func NewWriter(out io.Writer, name string, plain bool) *Writer {
	w := &Writer{out: out, name: name}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		w.terminal, w.colour = f, !plain
	}
	return w
}

// Terminal reports whether a person may be looking at the output as it is written.
func (w *Writer) Terminal() bool { return w.terminal != nil }

// Screen is the terminal, for a program that moves its cursor; nil: it is none. Text of
// others must pass [Clean] before it is written there.
func (w *Writer) Screen() *os.File { return w.terminal }

// Width is how many columns the terminal has; 0 where that is not known.
func (w *Writer) Width() int {
	if w.terminal == nil {
		return 0
	}
	width, _, err := term.GetSize(int(w.terminal.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// Err returns the first error of a write, a [*WriteError], or nil.
func (w *Writer) Err() error {
	if w.failed == nil {
		return nil
	}
	return w.failed
}

// Write writes text. A character may be split over two calls.
func (w *Writer) Write(text []byte) (int, error) {
	all := text
	if len(w.rest) > 0 {
		all = slices.Concat(w.rest, text)
		w.rest = nil
	}
	out := make([]byte, 0, len(all)+16)
	for len(all) > 0 {
		r, size := utf8.DecodeRune(all)
		if r == utf8.RuneError && size == 1 && !utf8.FullRune(all) {
			w.rest = append(w.rest, all...)
			break
		}
		sequence, style := sequences[r]
		switch {
		case style && w.colour:
			out = append(out, sequence...)
		case style:
		case unsafe(r) && r != '\n' && r != '\t':
			out = appendRune(out, r)
		default:
			out = utf8.AppendRune(out, r)
		}
		all = all[size:]
	}
	if err := w.raw(out); err != nil {
		return 0, err
	}
	return len(text), nil
}

func (w *Writer) raw(text []byte) error {
	if w.failed != nil {
		return w.failed
	}
	if _, err := w.out.Write(text); err != nil {
		w.failed = &WriteError{Output: w.name, Err: err}
		return w.failed
	}
	return nil
}
