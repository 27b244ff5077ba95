package main

import (
	"io"
	"testing"

	"github.com/spf13/cobra"

	"rollcall/internal/manual"
)

func build() *cobra.Command {
	p := newProgram(func(string) string { return "" }, io.Discard, io.Discard, nil)
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
