package runview

import (
	"slices"
	"strings"

	"rollcall/internal/run"
	"rollcall/tasks"
)

// ConsoleNames stands for the new value of a course: each student gets the name in the
// console.
const ConsoleNames = "the names of the console"

// members is the field of a group whose value is an edit of its members.
const members = "members"

// Change is one value of a row as people see it, before and after.
type Change struct {
	Field string
	Old   string
	New   string
	// Known says that Old is known. Stated: the file states it.
	Known, Stated bool
}

// Changes returns the values of a row.
func (m Masker) Changes(row run.Row, values []run.Value) []Change {
	var all []Change
	for _, v := range m.Values(m.Place(row).Kind, values) {
		c := Change{Field: v.Field, Old: v.Old, New: v.New, Known: v.Known, Stated: v.Stated}
		switch task := row.Request.Task.(type) {
		case tasks.CourseSync:
			c.New = ConsoleNames
		case tasks.GroupUpdate:
			if v.Field == members {
				c.New, c.Old, c.Known = m.members(task), "", true
			}
		}
		all = append(all, c)
	}
	return all
}

// Several reports whether the field of each value must be named.
func Several(all []Change) bool { return len(all) > 1 || len(all) == 1 && all[0].Field == members }

// members is an edit of the members of a chat: "+u1 +u2 -u3".
func (m Masker) members(t tasks.GroupUpdate) string {
	var parts []string
	for _, id := range slices.Concat(t.AddUserIDs, t.AddExtIDs) {
		parts = append(parts, "+"+m.one(id))
	}
	for _, id := range slices.Concat(t.DelUserIDs, t.DelExtIDs) {
		parts = append(parts, "-"+m.one(id))
	}
	return strings.Join(parts, " ")
}
