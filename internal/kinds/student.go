package kinds

import (
	"rollcall/internal/ledger"
	"rollcall/tasks"
)

// TypeStudentSync is the asynq task type of a [tasks.StudentSync].
const TypeStudentSync = "student:sync"

var student = declare(declaration[tasks.StudentSync]{
	name: tasks.KindStudent, typ: TypeStudentSync,
	columns: []string{"student_uid", "student_name", Previous},
	needs:   []string{"student_uid", "student_name"},
	words:   []string{"学生"},
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
