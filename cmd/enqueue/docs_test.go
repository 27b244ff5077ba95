package main

import (
	"flag"
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"rollcall/internal/cli"
	"rollcall/internal/manual"
)

var update = flag.Bool("update", false, "write docs/commands and deploy/man")

// build returns the command of a process without an environment.
func build() *cobra.Command {
	return command(cli.NewApp("enqueue", cli.Process{
		Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard,
		Getenv: func(string) string { return "" }, Hostname: func() (string, error) { return "host", nil },
	}))
}

func TestEveryHelpFitsATerminalAndItsExamplesAreValid(t *testing.T) {
	t.Parallel()
	manual.Helps(t, build)
}

func TestThePagesOfTheCommandsMatchTheHelp(t *testing.T) {
	t.Parallel()
	manual.Pages(t, build(), "../../docs/commands", "../../deploy/man", *update)
}

func TestEveryShellHasItsCompletion(t *testing.T) {
	t.Parallel()
	manual.Completions(t, build)
}
