package upload

import "github.com/spf13/cobra"

// guards are the flags of the guards that package run knows, each with what it accepts.
func guards() []struct{ flag, usage string } {
	return []struct{ flag, usage string }{
		{"allow-changes", "accept that many known names change"},
		{"allow-suspicious", "accept new values that look damaged"},
		{"allow-lost-chinese", "accept names that lose their Chinese characters"},
		{"allow-equal-names", "accept equal names in one chat"},
		{"allow-over-quota", "accept more calls than the month has left"},
		{"prune", "accept that members are removed from chats"},
		{"allow-id-changes", "accept ID changes, which are final for a year"},
	}
}

// Guards are the flags of the guards that do not hold a run.
type Guards struct{ set map[string]*bool }

// NewGuards adds a flag for each guard to a command.
func NewGuards(cmd *cobra.Command) *Guards {
	g := &Guards{set: map[string]*bool{}}
	for _, guard := range guards() {
		g.set[guard.flag] = cmd.Flags().Bool(guard.flag, false, guard.usage)
	}
	return g
}

// Names returns the flags that are set.
func (g *Guards) Names() []string {
	var names []string
	for _, guard := range guards() {
		if *g.set[guard.flag] {
			names = append(names, guard.flag)
		}
	}
	return names
}
