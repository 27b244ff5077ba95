package plan

import (
	"cmp"

	"rollcall/internal/kinds"
	"rollcall/internal/roster"
	"rollcall/tasks"
)

// example prints a file with the columns of a kind and one row.
func (a *app) example(f *Flags, lang Language) error {
	kind, err := f.read.Kind()
	if err != nil {
		return err
	}
	k, _ := kinds.Named(cmp.Or(kind, tasks.KindNickname))
	heads, cells := []string{}, []string{}
	for _, c := range k.Example {
		head := c.Column
		if names := roster.Synonyms(c.Column); lang == "zh" && len(names) > 0 {
			head = cmp.Or(c.Zh, names[0])
		}
		heads, cells = append(heads, head), append(cells, c.Value)
	}
	out := a.Stdout.CSV()
	for _, row := range [][]string{heads, cells} {
		if err := out.Row(row); err != nil {
			return err
		}
	}
	return out.Flush()
}
