package console_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/console"
)

type lane string

func (l lane) String() string { return "lane " + string(l) }

// Others choose the names of tasks and lanes, but every line of output is one of ours.
func TestTextOfOthersBeginsNoLine(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		hostile := rapid.StringOf(rapid.SampledFrom([]rune("\n\r\t\v\u0085\u2028\u2029\x1b\u202e\ufdd0\ufdd2[2Ja张 "))).Draw(t, "text")
		var out bytes.Buffer
		w := console.NewWriter(&out, "standard output", true)
		console.Fprintf(w, "> %s %v %q %s\n", hostile, lane(hostile), hostile, errors.New(hostile))
		console.Fprintln(w, ">", hostile, []string{hostile}, console.Paint(console.Red, hostile), []byte(hostile))
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		console.Row(table, ">", hostile, "last")
		if err := table.Flush(); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		for _, line := range lines {
			if !strings.HasPrefix(line, ">") || strings.ContainsAny(line, "\r\t\v\u0085\u2028\u2029\x1b\u202e\ufdd0\ufdd2") {
				t.Fatalf("%q is printed as %q", hostile, lines)
			}
		}
		if len(lines) != 3 {
			t.Fatalf("%d lines: %q", len(lines), lines)
		}
	})
}

func TestArgumentsThatAreNoTextArePrintedAsFmtDoes(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	console.Fprintf(&out, "%d %05.1f %t %s %d %x %v|%-6s|%6s|%*s|", 7, 1.25, true, 90*time.Second, time.Second, 255, nil, "a", console.Paint(console.Plain, "b"), 3, "c")
	if want := "7 001.2 true 1m30s 1000000000 ff <nil>|a     |     b|  c|"; out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
}
