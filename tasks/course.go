package tasks

import "regexp"

// KindCourse is the kind of all nicknames of a ClassIn course.
const KindCourse Kind = "course"

// CourseSync gives all students and auditors of a ClassIn course, in its class and
// group, the names that the school's own console has for them
// (https://docs.eeo.cn/api/zh-hans/group/modifyGroupMemberNickname). It
// overwrites nicknames that teachers set by hand.
type CourseSync struct {
	Tenant   string `json:"tenant"`
	CourseID string `json:"course_id"` // digits; text, because ids outgrow a JSON number
}

// 19 digits hold every 64-bit number; a leading zero would give one course two keys.
var courseIDPattern = regexp.MustCompile(`^[1-9][0-9]{0,18}$`)

// Validate implements [Task].
func (t CourseSync) Validate(Limits) error {
	var x examiner
	x.tenant(t.Tenant)
	switch {
	case t.CourseID == "":
		x.add("course_id", "is missing")
	case !courseIDPattern.MatchString(t.CourseID):
		x.add("course_id", "must be 1 to 19 digits, not beginning with 0")
	}
	return x.verdict(KindCourse)
}

// Lane implements [Task].
func (t CourseSync) Lane() (tenant string, kind Kind) { return t.Tenant, KindCourse }

func (CourseSync) task() {}
