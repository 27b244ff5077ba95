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
	columns:  []string{"course_id"},
	synonyms: map[string][]string{"course_id": {"课程ID", "课程编号"}},
	words:    []string{"课程"},
	ids:      []string{"course_id"},
	example:  []Cell{{"tenant", "", "lakeside-ci"}, {"course_id", "", "561294"}},
	subject:  func(t tasks.CourseSync) string { return t.CourseID },
	row: func(of func(string) string, _ func(string) []string) tasks.CourseSync {
		return tasks.CourseSync{Tenant: of("tenant"), CourseID: of("course_id")}
	},
	// An effect without a value: the names are the school's, not the task's.
	change: func(t tasks.CourseSync, organisation string) (ledger.Target, []ledger.Field) {
		return ledger.Target{Organisation: organisation, API: string(tasks.KindCourse), Key: t.CourseID},
			[]ledger.Field{{Name: "names", Mode: ledger.Effect}}
	},
	mask: func(t tasks.CourseSync, _ func(string) string) tasks.CourseSync { return t },
})
