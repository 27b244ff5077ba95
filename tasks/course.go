package tasks

import "fmt"

// KindCourse is the kind of all nicknames of a ClassIn course.
const KindCourse Kind = "course"

// CourseSync gives all students and auditors of a ClassIn course, in its class and
// group, the names that the school's own console has for them
// (https://docs.eeo.cn/api/zh-hans/group/modifyGroupMemberNickname). It
// overwrites nicknames that teachers set by hand.
type CourseSync struct {
	Tenant   string `json:"tenant"`
	CourseID string `json:"course_id"` // 1 to 19 digits; text, because ids outgrow a JSON number
	// StudentUIDs are the ClassIn UIDs of the course's students, if they are known: at most
	// 200. If ClassIn does not say which members it did not rename, each of these students
	// is renamed, and the result names those that failed.
	StudentUIDs []string `json:"student_uids,omitempty"`
}

// MaxCourseStudents is the most students that a task can name: they are renamed in two
// calls.
const MaxCourseStudents = 200

// Validate implements [Task].
func (t CourseSync) Validate(Limits) error {
	var x examiner
	x.tenant(t.Tenant)
	x.number("course_id", t.CourseID)
	x.students(t.StudentUIDs)
	return x.verdict(KindCourse)
}

func (x *examiner) students(uids []string) {
	if n := len(uids); n > MaxCourseStudents {
		x.add("student_uids", "has %d students, at most %d", n, MaxCourseStudents)
		return
	}
	seen := map[string]bool{}
	for i, uid := range uids {
		field := fmt.Sprintf("student_uids[%d]", i)
		x.number(field, uid)
		if seen[uid] {
			x.add(field, "is there twice")
		}
		seen[uid] = true
	}
}

// Lane implements [Task].
func (t CourseSync) Lane() (tenant string, kind Kind) { return t.Tenant, KindCourse }

func (CourseSync) task() {}
