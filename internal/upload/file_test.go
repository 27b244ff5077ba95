package upload_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"rollcall/internal/cli"
	"rollcall/internal/roster"
	"rollcall/internal/run"
	"rollcall/internal/upload"
	"rollcall/tasks"
)

// A header is no row, and rows of several lines count once.
func TestAFileHasAsManyRowsAsARun(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("reads two million rows: make test-long")
	}
	const header, row = "tenant,chat_id,user_id,nickname\n", "t,c,u1,\"A\nB\"\n"
	for _, more := range []int{0, 1} {
		content := header + strings.Repeat(row, run.MaxRows/2) + strings.Repeat("t,c,u1,A\n", run.MaxRows/2+more)
		a := cli.NewApp("test", cli.Process{
			Stdin: strings.NewReader(content), Stdout: io.Discard, Stderr: new(bytes.Buffer), Getenv: func(string) string { return "" },
		})
		flags := upload.Flags{SkipInvalid: true}
		f, err := flags.Open(a, "-", tasks.Options{})
		if err != nil {
			t.Fatal(err)
		}
		checked, err := f.Check(t.Context(), func(context.Context, roster.Row) error { return nil }, nil)
		refused := err != nil && strings.Contains(err.Error(), "the file has more than 1000000 rows: split it")
		if checked.Rows != run.MaxRows || refused != (more == 1) || err != nil && !refused {
			t.Errorf("%d rows more than a run has: %d rows, %v", more, checked.Rows, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
