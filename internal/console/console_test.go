package console_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rollcall/internal/console"
)

func TestATerminalFindsNothingToObeyInTheTextOfOthers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"screen cleared":        {"chat\x1b[2J1", `chat\u001b[2J1`},
		"title set, 8-bit":      {"a\u009d0;x\u009cb", `a\u009d0;x\u009cb`},
		"line overwritten":      {"applied\rrefused", `applied\u000drefused`},
		"direction turned":      {"u\u202e1nna", `u\u202e1nna`},
		"direction isolated":    {"a\u2066b\u2069", `a\u2066b\u2069`},
		"Arabic letter mark":    {"a\u061cb", `a\u061cb`},
		"deleted":               {"a\x7fb", `a\u007fb`},
		"line separator":        {"a\u2028b", `a\u2028b`},
		"not UTF-8":             {"a\xffb", "a\ufffdb"},
		"names are as they are": {"张三 👩‍🏫 Zoë\tx\n", "张三 👩‍🏫 Zoë\tx\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			w := console.NewWriter(&out, "standard output", false)
			for _, b := range []byte(c.text) { // each character split as much as can be
				if _, err := w.Write([]byte{b}); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(c.want, out.String()); diff != "" {
				t.Errorf("-want +written:\n%s", diff)
			}
		})
	}
}

func TestAnEscapedJSONTextHasTheSameValue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.StringMatching(`[a-z张三\x{202e}\x{2069}\x{85}\x{7f}\\"\n]*`).Draw(t, "text")
		line, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if _, err := console.NewWriter(&out, "standard output", false).Write(line); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsFunc(out.String(), func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }) {
			t.Fatalf("%q", out.String())
		}
		var got string
		if err := json.Unmarshal(out.Bytes(), &got); err != nil || got != want {
			t.Fatalf("%q became %q: %v", want, got, err)
		}
	})
}

func TestACleanTextIsOneLineThatSetsNoStyle(t *testing.T) {
	t.Parallel()
	got := console.Clean("a\nb\tc\x1b[0m" + string(console.Paint(console.Red, "d")) + "张三")
	if want := `a\u000ab\u0009c\u001b[0md张三`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWithoutATerminalAStyleLeavesNothing(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if _, err := io.WriteString(console.NewWriter(&out, "standard output", false), string(console.Paint(console.Red, "held"))); err != nil {
		t.Fatal(err)
	}
	if out.String() != "held" {
		t.Errorf("%q", out.String())
	}
}

type full struct{ room int }

func (f *full) Write(text []byte) (int, error) {
	if f.room -= len(text); f.room < 0 {
		return 0, syscall.ENOSPC
	}
	return len(text), nil
}

func TestTheFirstFailedWriteIsKeptAndNamesTheOutput(t *testing.T) {
	t.Parallel()
	w := console.NewWriter(&full{room: 5}, "standard output", false)
	if _, err := io.WriteString(w, "four"); err != nil || w.Err() != nil {
		t.Fatal(err, w.Err())
	}
	_, err := io.WriteString(w, "more")
	if failed, ok := errors.AsType[*console.WriteError](err); !ok || failed.Error() != "cannot write to standard output: no space left on device" {
		t.Errorf("%v", err)
	}
	if _, err := io.WriteString(w, "x"); err == nil || !errors.Is(w.Err(), syscall.ENOSPC) {
		t.Errorf("a later write: %v, kept: %v", err, w.Err())
	}
}

func TestACSVIsReadByExcelAndComputesNothing(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := console.NewWriter(&out, "standard output", false).CSV()
	for _, row := range [][]string{
		{"key", "message"},
		{"=cmd|' /C calc'!A0", "张三, \"x\""},
		{"+1", "-2"},
		{"@SUM(A1)", "\t=1"},
		{"\r=1", "two\nlines"},
		{"u\u202e1", "plain"},
		{"＝1+1", "\u00a0=1"},
		{" \u200b@x", "'=1"},
	} {
		if err := w.Row(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	want := "\ufeffkey,message\r\n" +
		"'=cmd|' /C calc'!A0,\"张三, \"\"x\"\"\"\r\n" +
		"'+1,'-2\r\n" + "'@SUM(A1),\\u0009=1\r\n" + "\\u000d=1,two\\u000alines\r\n" + "u\\u202e1,plain\r\n" +
		"'＝1+1,'\u00a0=1\r\n" + "' \u200b@x,''=1\r\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("-want +written:\n%s", diff)
	}
}

func TestEveryCellComesBackAsItWas(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.StringMatching(`[' ]{0,2}[=+@＝a张-]?[' ]{0,2}[ =+@a-]{0,3}`).Draw(t, "cell")
		inert := console.Inert(want)
		if strings.IndexAny(inert, "=+-@") == 0 {
			t.Fatalf("%q is a formula", inert)
		}
		if got := console.Original(inert); got != want {
			t.Fatalf("%q became %q", want, got)
		}
	})
}

func TestACSVThatCannotBeWrittenSaysSo(t *testing.T) {
	t.Parallel()
	out := console.NewWriter(&full{room: 3}, "standard output", false)
	w := out.CSV()
	_ = w.Row([]string{"a"}) // buffered
	if err := w.Flush(); !errors.Is(err, syscall.ENOSPC) || out.Err() == nil {
		t.Errorf("%v, kept: %v", err, out.Err())
	}
}
