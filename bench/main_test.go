package main

import (
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"rollcall/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var line = regexp.MustCompile(`^figure=\S+ ours=\d+\.\d peer=\d+\.\d ratio=\d+\.\d\d unit=\S+ peer_is="[^"]+"\n$`)

// What is measured must go on being measured; how fast it is, is no test's to say.
func TestFiguresPrintTheirLines(t *testing.T) {
	t.Parallel()
	redistest.Real(t) // or there is nothing to start
	for _, name := range []string{"enqueue.one", "task.end_to_end"} {
		var out strings.Builder
		if err := run(t.Context(), &out, name, 1, ""); err != nil {
			t.Fatal(err)
		}
		if !line.MatchString(out.String()) || !strings.HasPrefix(out.String(), "figure="+name+" ") {
			t.Errorf("%s prints %q", name, out.String())
		}
	}
}

func TestANameThatNoFigureBeginsWithIsAnError(t *testing.T) {
	t.Parallel()
	if err := run(t.Context(), &strings.Builder{}, "nonsense", 1, ""); err == nil || !strings.Contains(err.Error(), `"nonsense"`) {
		t.Errorf("error %v", err)
	}
}
