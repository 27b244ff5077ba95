package main

import (
	"flag"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"rollcall/internal/manual"
)

var update = flag.Bool("update", false, "write docs/commands and deploy/man")

// nowhere is a process without an environment.
func nowhere() environment {
	return environment{func(string) string { return "" }, func() (string, error) { return "desk", nil }}
}

func build() *cobra.Command {
	a := &app{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard, environment: nowhere(), now: time.Now}
	return a.command()
}

func TestEveryHelpFitsATerminalAndItsExamplesAreValid(t *testing.T) {
	t.Parallel()
	manual.Helps(t, build)
}

func TestThePagesOfTheCommandsSayWhatHelpSays(t *testing.T) {
	t.Parallel()
	manual.Pages(t, build(), "../../docs/commands", "../../deploy/man", *update)
}

func TestEveryShellHasItsCompletion(t *testing.T) {
	t.Parallel()
	manual.Completions(t, build)
}
