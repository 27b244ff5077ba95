package demo

import (
	"strconv"

	"rollcall/internal/sandbox"
	"rollcall/tasks"
)

const courseCount = 8

func courseID(i int) string { return strconv.Itoa(561290 + i) }

var courses = sample{
	// The last course was deleted.
	add: func(org *sandbox.Organisation) {
		for i := range courseCount {
			course := sandbox.Course{ID: courseID(i)}
			if i == courseCount-1 {
				course.State = sandbox.CourseDeleted
			}
			for n := i*25 + 1; n <= (i+1)*25; n++ {
				course.Students = append(course.Students, sandbox.Student{
					UID: strconv.Itoa(1_445_000 + n), Name: name(n), Nickname: "user_" + strconv.Itoa(n),
				})
			}
			org.Schools[0].Courses = append(org.Schools[0].Courses, course)
		}
	},
	requests: func() []tasks.Request {
		var all []tasks.Request
		for i := range courseCount {
			all = append(all, tasks.Request{Task: tasks.CourseSync{Tenant: ClassIn, CourseID: courseID(i)}})
		}
		return all
	},
	believe: func(b Believed, org sandbox.Organisation) {
		for _, c := range org.Schools[0].Courses {
			if c.ID == club {
				continue
			}
			synced := true
			for _, student := range c.Students {
				synced = synced && (student.Nickname == student.Name)
			}
			b["course "+c.ID] = strconv.FormatBool(synced)
		}
	},
	wants: func(o Outcome) Believed {
		t, ok := o.Task.(tasks.CourseSync)
		if !ok {
			return nil
		}
		return Believed{"course " + t.CourseID: "true"}
	},
}
