package upload

import (
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"rollcall/internal/commandtest"
	"rollcall/internal/run"
)

func TestThePageExplainsTheFlagOfEveryGuard(t *testing.T) {
	t.Parallel()
	var flags []string
	for _, g := range run.GuardFlags() {
		flags = append(flags, "--"+g.Flag)
	}
	commandtest.NamesWords(t, "../../docs/runs.md", flags...)
	commandtest.NamesWords(t, "../../docs/runs.zh-CN.md", flags...)
}

func TestFlagsThatAreSetAreAccepted(t *testing.T) {
	t.Parallel()
	cmd := &cobra.Command{Use: "x", RunE: func(*cobra.Command, []string) error { return nil }}
	g := NewGuards(cmd)
	cmd.SetArgs([]string{"--prune", "--allow-id-changes", "--allow-changes=false"})
	cmd.SetOut(io.Discard)
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(g.Names(), " "); got != "prune allow-id-changes" {
		t.Errorf("%q", got)
	}
}
