package kinds

import (
	"rollcall/internal/ledger"
	"rollcall/tasks"
)

// TypeCourseSync is the asynq task type of a [tasks.CourseSync].
const TypeCourseSync = "nickname:sync_course"

var course = declare(declaration[tasks.CourseSync]{
	name: tasks.KindCourse, typ: TypeCourseSync,
	about: "all nicknames of a ClassIn course", target: "the course for a course",
	columns:  []string{"course_id", "student_uids"},
	needs:    []string{"course_id"},
	synonyms: map[string][]string{"course_id": {"课程ID", "课程编号"}, "student_uids": {"课程学生", "课程学生UID"}},
	words:    []string{"课程"},
	lists:    []string{"student_uids"},
	ids:      []string{"course_id"},
	example:  []Cell{{"tenant", "", "lakeside-ci"}, {"course_id", "", "561294"}},
	subject:  func(t tasks.CourseSync) string { return t.CourseID },
	newest:   2,
	version: func(t tasks.CourseSync) int {
		if len(t.StudentUIDs) > 0 {
			return 2
		}
		return firstVersion
	},
	row: func(of func(string) string, list func(string) []string) tasks.CourseSync {
		return tasks.CourseSync{Tenant: of("tenant"), CourseID: of("course_id"), StudentUIDs: list("student_uids")}
	},
	// An effect without a value: the names are the school's, not the task's.
	change: func(t tasks.CourseSync, organisation string) (ledger.Target, []ledger.Field) {
		return ledger.Target{Organisation: organisation, API: string(tasks.KindCourse), Key: t.CourseID},
			[]ledger.Field{{Name: "names", Mode: ledger.Effect}}
	},
	mask: func(t tasks.CourseSync, mask func(string) string) tasks.CourseSync {
		t.StudentUIDs = maskAll(t.StudentUIDs, mask)
		return t
	},
})
