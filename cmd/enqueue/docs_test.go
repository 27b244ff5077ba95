package main

import (
	"flag"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"rollcall/internal/console"
	"rollcall/internal/manual"
)

var update = flag.Bool("update", false, "write docs/commands and deploy/man")

// nowhere is a process without an environment.
func nowhere() environment {
	return environment{func(string) string { return "" }, func() (string, error) { return "desk", nil }}
}

func build() *cobra.Command {
	nothing := console.NewWriter(io.Discard, "standard output", true)
	a := &app{stdin: strings.NewReader(""), stdout: nothing, stderr: nothing, environment: nowhere(), now: time.Now}
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
