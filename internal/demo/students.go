package demo

import (
	"strconv"

	"rollcall/internal/sandbox"
	"rollcall/tasks"
)

// club is a course that no task syncs as a whole: the names in it come from the tasks of
// its students.
const club = "561400"

const (
	firstMember = 1_446_001 // the UID of the first of the club's two students
	members     = 2
	transfer    = 1_446_090 // the UID of a transfer student, who is not in the institution
)

var students = sample{
	// The club's course has two students, whom the console knows by old names.
	add: func(org *sandbox.Organisation) {
		course := sandbox.Course{ID: club}
		for i := range members {
			course.Students = append(course.Students, sandbox.Student{
				UID: strconv.Itoa(firstMember + i), Name: name(i + 1), Nickname: "user_" + strconv.Itoa(firstMember+i),
			})
		}
		org.Schools[0].Courses = append(org.Schools[0].Courses, course)
	},
	// The roster renames the club's students, and a transfer student.
	requests: func() []tasks.Request {
		var all []tasks.Request
		for _, uid := range []int{firstMember, firstMember + 1, transfer} {
			all = append(all, tasks.Request{Task: tasks.StudentSync{
				Tenant: ClassIn, StudentUID: strconv.Itoa(uid), Name: "社团 " + name(uid%100),
			}})
		}
		return all
	},
	believe: func(b Believed, org sandbox.Organisation) {
		for _, c := range org.Schools[0].Courses {
			for _, s := range c.Students {
				if c.ID == club {
					b["student "+s.UID+" console"] = s.Name
					b["student "+s.UID+" courses"] = s.Nickname
				}
			}
		}
	},
	wants: func(o Outcome) Believed {
		t, ok := o.Task.(tasks.StudentSync)
		if !ok {
			return nil
		}
		return Believed{"student " + t.StudentUID + " console": t.Name, "student " + t.StudentUID + " courses": t.Name}
	},
}
