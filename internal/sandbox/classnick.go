package sandbox

import (
	"crypto/md5" //nolint:gosec // the vendor's signature is made of it
	"encoding/hex"
	"mime"
	"net/url"
	"strconv"
	"time"
)

// signatureAge is how far timeStamp may lie from the platform's clock, either
// way.
// docs.eeo.cn/api/zh-hans/Error-Handling/Basic_errors
const signatureAge = 20 * time.Minute

// classNickEndpoint gives every student of a course their name from the
// school's console as the class nickname.
// docs.eeo.cn/api/zh-hans/group/modifyGroupMemberNickname
func classNickEndpoint() *endpoint {
	return &endpoint{
		api: APIClassNick, path: classInPath, dialect: classInDialect(), success: "1", wrongMethod: "100",
		read: func(x *exchange) *refusal {
			readForm(x)
			x.target = Target{Course: x.form.Get("courseId")}
			return nil
		},
		identify:     func(s *Sandbox, x *exchange) { x.identifySchool(s, x.form.Get("SID")) },
		authenticate: authenticateSchool("courseId"), run: runClassNick,
	}
}

// readForm reads a form. Of another body no parameter arrives, and the first missing one
// is reported.
func readForm(x *exchange) {
	x.form = url.Values{}
	if media, _, _ := mime.ParseMediaType(x.header.Get("Content-Type")); media != "application/x-www-form-urlencoded" {
		return
	}
	if form, err := url.ParseQuery(string(x.body)); err == nil {
		x.form = form
	}
}

func (x *exchange) identifySchool(s *Sandbox, sid string) {
	if sc := s.platform.schools[sid]; sc != nil {
		x.school, x.org, x.tenant = sc, sc.org, sc.sid
	}
}

// authenticateSchool checks that all parameters are there, and safeKey: the MD5 of the
// secret and the seconds, in small hexadecimals. Seconds that are milliseconds fail by
// their distance.
func authenticateSchool(params ...string) func(s *Sandbox, x *exchange) *refusal {
	return func(s *Sandbox, x *exchange) *refusal { return x.refuseForm(s, params) }
}

func (x *exchange) refuseForm(s *Sandbox, params []string) *refusal {
	for _, name := range append([]string{"SID", "safeKey", "timeStamp"}, params...) {
		if x.form.Get(name) == "" {
			return &refusal{code: "100", message: "Incomplete or incorrect parameters: " + name}
		}
	}
	stamp := x.form.Get("timeStamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return &refusal{code: "100", message: "Incomplete or incorrect parameters: timeStamp"}
	}
	now, allowed := s.clock().Unix(), int64(signatureAge/time.Second)
	if x.school == nil || seconds < now-allowed || seconds > now+allowed {
		return &refusal{code: "102"}
	}
	sum := md5.Sum([]byte(x.school.secret + stamp)) //nolint:gosec // the vendor's signature is made of it
	if hex.EncodeToString(sum[:]) != x.form.Get("safeKey") {
		return &refusal{code: "102"}
	}
	return nil
}

func runClassNick(s *Sandbox, x *exchange) outcome {
	id := x.target.Course
	home := s.platform.courses[id]
	switch {
	case home == nil:
		return refused("147")
	case home != x.school:
		return refused("144")
	}
	course := home.byCourseID[id]
	switch course.State {
	case CourseForeign:
		return refused("144")
	case CourseDeleted:
		return refused("149")
	case CourseExpired:
		return refused("153")
	case CourseOK:
	}
	result := outcome{}
	for i := range course.Students {
		student := &course.Students[i]
		if student.Deleted {
			continue
		}
		result.changes = append(result.changes, Change{
			Field: "nickname", Student: student.UID, Old: student.Nickname, New: student.Name,
		})
		student.Nickname = student.Name
	}
	switch failed := len(course.Students) - len(result.changes); {
	case failed == 0:
		result.body = classInDone()
	case failed == len(course.Students):
		result.refusal = &refusal{code: "843"}
	default:
		result.refusal = &refusal{code: "842"}
	}
	return result
}
