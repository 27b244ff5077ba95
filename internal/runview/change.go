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

// Changes returns the values of a row as people see them.
func (m Masker) Changes(row run.Row, values []run.Value) []run.Value {
	all := m.Values(m.Place(row).Kind, values)
	for i := range all {
		v := &all[i]
		switch task := row.Request.Task.(type) {
		case tasks.CourseSync:
			v.New = ConsoleNames
		case tasks.GroupUpdate:
			if v.Field == members {
				v.New, v.Old, v.Known = m.members(task), "", true
			}
		}
	}
	return all
}

// Several reports whether the field of each value must be named.
func Several(all []run.Value) bool { return len(all) > 1 || len(all) == 1 && all[0].Field == members }

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
