package tasks

// KindStudent is the kind of a ClassIn student's name.
const KindStudent Kind = "student"

// StudentSync gives a ClassIn student a name in the institution's console, and copies
// it into all unfinished courses of the student. That overwrites nicknames that
// teachers set by hand (https://docs.eeo.cn/api/zh-hans/user/editSchoolStudent.html,
// https://docs.eeo.cn/api/zh-hans/user/modifyCourseStudentNickName.html).
type StudentSync struct {
	Tenant string `json:"tenant"`
	// StudentUID is the student's ClassIn UID: 1 to 19 digits, not beginning with 0.
	// It is not the number that the console shows for a student.
	StudentUID string `json:"student_uid"`
	Name       string `json:"student_name"` // 1 to 24 characters
}

// MaxStudentName is the longest name of a student, in characters. ClassIn cuts a
// longer one and reports success.
const MaxStudentName = 24

// Validate implements [Task].
func (t StudentSync) Validate(Limits) error {
	var x examiner
	x.tenant(t.Tenant)
	x.number("student_uid", t.StudentUID)
	x.text("student_name", t.Name, MaxStudentName)
	return x.verdict(KindStudent)
}

// Lane implements [Task].
func (t StudentSync) Lane() (tenant string, kind Kind) { return t.Tenant, KindStudent }

func (StudentSync) task() {}
