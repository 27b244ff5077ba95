package plan

import (
	"slices"
	"strings"

	"rollcall/internal/kinds"
	"rollcall/internal/run"
	"rollcall/tasks"
)

// Change is one value of a row as people see it.
type Change struct {
	Field string // empty for a row with one value
	New   string

	old    string
	known  bool
	stated bool
}

// Old is the value now: "?" if it is not known, and with a "*" if only the file states it.
func (c Change) Old() string {
	switch {
	case !c.known:
		return "?"
	case c.stated:
		return c.old + "*"
	}
	return c.old
}

// Changes returns the values of a row.
func Changes(row run.Planned) []Change {
	var all []Change
	for _, v := range row.Values {
		c := Change{Field: v.Field, New: v.New, old: v.Old, known: v.Known, stated: v.Stated}
		switch task := row.Request.Task.(type) {
		case tasks.CourseSync:
			c.New = "the names of the console"
		case tasks.GroupUpdate:
			if v.Field == "members" {
				c.New, c.old, c.known = members(task), "", true
			}
		}
		if len(row.Values) > 1 || v.Field == "members" {
			c.New = v.Field + ": " + c.New
		}
		all = append(all, c)
	}
	return all
}

// members is an edit of the members of a chat: "+u1 +u2 -u3".
func members(t tasks.GroupUpdate) string {
	var parts []string
	for _, id := range slices.Concat(t.AddUserIDs, t.AddExtIDs) {
		parts = append(parts, "+"+id)
	}
	for _, id := range slices.Concat(t.DelUserIDs, t.DelExtIDs) {
		parts = append(parts, "-"+id)
	}
	return strings.Join(parts, " ")
}

// Target is the key of the target of a row; empty for a row without a task.
func Target(row run.Row) string {
	if row.Request.Task == nil {
		return ""
	}
	target, _ := kinds.Change(row.Request.Task, "")
	return target.Key
}
