package plan

import (
	"cmp"

	"rollcall/internal/cli"
	"rollcall/internal/kinds"
	"rollcall/internal/roster"
	"rollcall/tasks"
)

// printExample prints a file with the columns of a kind and one row.
func printExample(a *cli.App, f *Flags, inChinese bool) error {
	kind, err := f.read.Kind()
	if err != nil {
		return err
	}
	k, _ := kinds.Named(cmp.Or(kind, tasks.KindNickname))
	heads, cells := roster.Example(k, inChinese)
	out := a.Stdout.CSV()
	for _, row := range [][]string{heads, cells} {
		if err := out.Row(row); err != nil {
			return err
		}
	}
	return out.Flush()
}
