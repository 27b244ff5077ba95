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

// clubCourse has two students, whom the console knows by old names.
func clubCourse() sandbox.Course {
	course := sandbox.Course{ID: club}
	for i := range members {
		course.Students = append(course.Students, sandbox.Student{
			UID: strconv.Itoa(firstMember + i), Name: name(i + 1), Nickname: "user_" + strconv.Itoa(firstMember+i),
		})
	}
	return course
}

// students renames the club's students, and a transfer student.
func students() []tasks.Request {
	var all []tasks.Request
	for _, uid := range []int{firstMember, firstMember + 1, transfer} {
		all = append(all, tasks.Request{Task: tasks.StudentSync{
			Tenant: ClassIn, StudentUID: strconv.Itoa(uid), Name: "社团 " + name(uid%100),
		}})
	}
	return all
}

// believesClub adds the names of the club's students to b.
func (b Believed) believesClub(course sandbox.Course) {
	for _, s := range course.Students {
		b["student "+s.UID+" console"] = s.Name
		b["student "+s.UID+" courses"] = s.Nickname
	}
}

func wantsStudent(t tasks.StudentSync) Believed {
	return Believed{"student " + t.StudentUID + " console": t.Name, "student " + t.StudentUID + " courses": t.Name}
}
