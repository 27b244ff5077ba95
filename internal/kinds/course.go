package kinds

import (
	"rollcall/internal/ledger"
	"rollcall/tasks"
)

// TypeCourseSync is the asynq task type of a [tasks.CourseSync].
const TypeCourseSync = "nickname:sync_course"

var course = declare(Kind{
	Name: tasks.KindCourse, Type: TypeCourseSync,
	Platform: "classin", Limit: Limit{"{calls: 3, per: 1s}", "`modifyGroupMemberNickname`"},
	About: "all nicknames of a ClassIn course", Target: "the course for a course",
	Label: Label{"course", "课程"}, Words: []string{"课程"},
	Columns: []Column{
		{
			Name: "course_id", Synonyms: []string{"课程ID", "课程编号"}, About: "the course", Needed: true, ID: true,
			Argument: "the course's id",
		},
		{
			Name: "student_uids", Synonyms: []string{"课程学生", "课程学生UID"}, About: "UIDs of its students, so that each can be renamed alone",
			List: true, Flag: "students", Usage: "ClassIn `UIDS` of the course's students, at most 200",
		},
	},
	Command: Command{
		Arguments: "[--students UID,UID...] COURSE",
		Short:     "Copy the names of the school's console into a ClassIn course",
		Long: `Set the nicknames of all students and auditors of a ClassIn course to the names
in the school's console. Nicknames that teachers set are overwritten.

ClassIn may fail for some members without naming them. With --students, rollcall
then renames each of these students, and the result names those that failed.`,
		Example: `  enqueue course --tenant lakeside-ci 561294
  enqueue course --tenant lakeside-ci --students 1445886,1445887 561294`,
	},
	Example: []Cell{{"tenant", "", "lakeside-ci"}, {"course_id", "", "561294"}},
	newest:  2,
}, functions[tasks.CourseSync]{
	subject: func(t tasks.CourseSync) string { return t.CourseID },
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
