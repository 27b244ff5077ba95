package kinds

import (
	"rollcall/internal/ledger"
	"rollcall/tasks"
)

// TypeStudentSync is the asynq task type of a [tasks.StudentSync].
const TypeStudentSync = "student:sync"

var student = declare(declaration[tasks.StudentSync]{
	name: tasks.KindStudent, typ: TypeStudentSync,
	about: "a ClassIn student's name, in the console and in courses", target: "the UID for a student",
	columns: []string{"student_uid", "student_name", Previous},
	needs:   []string{"student_uid", "student_name"},
	synonyms: map[string][]string{
		"student_uid":  {"学生UID", "学员UID", "ClassIn UID"},
		"student_name": {"学生姓名", "学员姓名", "学生名称"},
	},
	words: []string{"学生"},
	ids:   []string{"student_uid"},
	example: []Cell{
		{"tenant", "", "lakeside-ci"}, {"student_uid", "", "1445886"}, {"student_name", "", "张三"}, {Previous, "原姓名", ""},
	},
	subject: func(t tasks.StudentSync) string { return t.StudentUID },
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
	maskKey: func(key string, mask func(string) string) string { return mask(key) },
})
