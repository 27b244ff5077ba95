package main

import (
	"flag"
	"testing"

	"github.com/spf13/cobra"

	"rollcall/internal/cli"
	"rollcall/internal/commandtest"
	"rollcall/internal/manual"
)

var update = flag.Bool("update", false, "write docs/commands and deploy/man")

func TestTheHelpIsThatOfThePages(t *testing.T) {
	t.Parallel()
	manual.Command(t, func() *cobra.Command { return command(cli.NewApp("rollcall", commandtest.Process())) }, *update)
}
