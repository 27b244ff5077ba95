package kinds

import (
	"rollcall/internal/ledger"
	"rollcall/tasks"
)

// TypeStudentSync is the asynq task type of a [tasks.StudentSync].
const TypeStudentSync = "student:sync"

var student = declare(Kind{
	Name: tasks.KindStudent, Type: TypeStudentSync,
	Platform: "classin", Limit: Limit{"{calls: 2, per: 1s}", "`editSchoolStudent` and `modifyCourseStudentNickName` together: a task makes one call of each"},
	About: "a ClassIn student's name, in the console and in courses", Target: "the UID for a student",
	Label: Label{"student", "学生"}, Words: []string{"学生"},
	Columns: []Column{
		{
			Name: "student_uid", Synonyms: []string{"学生UID", "学员UID", "ClassIn UID"}, About: "the UID", Needed: true, ID: true,
			Flag: "uid", Usage: "the student's ClassIn `UID`",
		},
		{
			Name: "student_name", Synonyms: []string{"学生姓名", "学员姓名", "学生名称"}, About: "the new name", Needed: true,
			Argument: "the student's name",
		},
		previous,
	},
	Person: "student_uid", Value: "student_name", Longest: tasks.MaxStudentName,
	Command: Command{
		Arguments: "--uid UID NAME",
		Short:     "Set a ClassIn student's name in the console and all courses",
		Long: `Set the name of a ClassIn student in the institution's console, then copy it
into all unfinished courses of the student. Nicknames that teachers set there
are overwritten. A name has 1 to 24 characters: ClassIn cuts longer ones.

The UID is the one that ClassIn's call "register" returned. A transfer student
is not in the institution and cannot be renamed: the task becomes a dead letter.`,
		Example: `  enqueue student --tenant lakeside-ci --uid 1445886 "张三"`,
	},
	Example: []Cell{
		{"tenant", "", "lakeside-ci"}, {"student_uid", "", "1445886"}, {"student_name", "", "张三"}, {Previous, "原姓名", ""},
	},
	keyOf:   func(_, person string) string { return person },
	maskKey: func(key string, mask func(string) string) string { return mask(key) },
}, functions[tasks.StudentSync]{
	subject:  func(t tasks.StudentSync) string { return t.StudentUID },
	involves: func(t tasks.StudentSync) (string, []string) { return "", []string{t.StudentUID} },
	row: func(of func(string) string, _ func(string) []string) tasks.StudentSync {
		return tasks.StudentSync{Tenant: of("tenant"), StudentUID: of("student_uid"), Name: of("student_name")}
	},
	// One value of one student: the console and the courses get the same name.
	change: func(t tasks.StudentSync, organisation string) (ledger.Target, []ledger.Field) {
		return ledger.Target{Organisation: organisation, API: string(tasks.KindStudent), Key: t.StudentUID},
			[]ledger.Field{{Name: "name", Value: t.Name, Mode: ledger.Value}}
	},
	mask: func(t tasks.StudentSync, mask func(string) string) tasks.StudentSync {
		t.StudentUID, t.Name = mask(t.StudentUID), mask(t.Name)
		return t
	},
})
