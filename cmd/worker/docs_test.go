package main

import (
	"io"
	"testing"

	"github.com/spf13/cobra"

	"rollcall/internal/manual"
)

func build() *cobra.Command {
	p := &program{getenv: func(string) string { return "" }, stdout: io.Discard, stderr: io.Discard}
	return p.command()
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
