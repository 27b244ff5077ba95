package main

import (
	"io"
	"testing"

	"github.com/spf13/cobra"

	"rollcall/internal/manual"
)

func TestTheHelpIsThatOfThePages(t *testing.T) {
	t.Parallel()
	manual.Command(t, func() *cobra.Command {
		return newProgram(func(string) string { return "" }, io.Discard, io.Discard, nil).command()
	}, *update)
}
