package upload

import (
	"github.com/spf13/cobra"

	"rollcall/internal/run"
)

// Guards are the flags of the guards that do not hold a run.
type Guards struct{ set map[string]*bool }

// NewGuards adds a flag for each guard to a command.
func NewGuards(cmd *cobra.Command) *Guards {
	g := &Guards{set: map[string]*bool{}}
	for _, guard := range run.GuardFlags() {
		g.set[guard.Flag] = cmd.Flags().Bool(guard.Flag, false, guard.Accepts)
	}
	return g
}

// Names returns the flags that are set.
func (g *Guards) Names() []string {
	var names []string
	for _, guard := range run.GuardFlags() {
		if *g.set[guard.Flag] {
			names = append(names, guard.Flag)
		}
	}
	return names
}
