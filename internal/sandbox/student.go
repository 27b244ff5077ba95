package sandbox

import (
	"crypto/md5" //nolint:gosec // the vendor's signature is made of it
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The APIs that name a student.
const (
	APIEditStudent = "editSchoolStudent"
	APIStudentNick = "modifyCourseStudentNickName"
)

const (
	schoolUserPath = "/schooluser/"
	// signatureAgeV2 is how far X-EEO-TS may lie from the platform's clock, either way.
	// docs.eeo.cn/api/zh-hans/appendix/signature
	signatureAgeV2 = 5 * time.Minute
	// longestName is where ClassIn cuts a student's name, and reports success.
	longestName  = 24
	mostStudents = 100
)

// editStudentEndpoint sets a student's name in the institution's console. The names in
// courses do not change.
// docs.eeo.cn/api/zh-hans/user/editSchoolStudent
func editStudentEndpoint() *endpoint {
	return &endpoint{
		api: APIEditStudent, path: classInPath, dialect: classInDialect(), success: "1", wrongMethod: "100",
		read: func(x *exchange) *refusal {
			readForm(x)
			x.target = Target{Student: x.form.Get("studentUid")}
			return nil
		},
		identify:     func(s *Sandbox, x *exchange) { x.identifySchool(s, x.form.Get("SID")) },
		authenticate: authenticateSchool("studentUid", "studentName"), run: runEditStudent,
	}
}

func runEditStudent(_ *Sandbox, x *exchange) outcome {
	entries := x.school.student(x.target.Student)
	if len(entries) == 0 {
		return refused("228")
	}
	name := x.form.Get("studentName")
	if utf8.RuneCountInString(name) > longestName {
		name = string([]rune(name)[:longestName])
	}
	change := Change{Field: "name", Student: x.target.Student, Old: entries[0].student.Name, New: name}
	for _, e := range entries {
		e.student.Name = name
	}
	return outcome{changes: []Change{change}, body: classInDone()}
}

// entry is a student in a course. The name in the console stands in each of them.
type entry struct {
	course  *Course
	student *Student
}

// student returns the courses of a student of the institution. A transfer student has
// none; so has a deleted account, of which the vendor's pages do not say how it is
// answered.
func (sc *school) student(uid string) []entry {
	var found []entry
	for _, c := range sc.courses {
		for i := range c.Students {
			if s := &c.Students[i]; s.UID == uid && !s.Deleted {
				found = append(found, entry{c, s})
			}
		}
	}
	return found
}

// studentNickEndpoint copies the names of students from the console into all their
// unfinished courses, with a code for each student.
// docs.eeo.cn/api/zh-hans/user/modifyCourseStudentNickName
func studentNickEndpoint() *endpoint {
	type order struct {
		UIDs []json.Number `json:"studentUids"`
	}
	return &endpoint{
		api: APIStudentNick, path: schoolUserPath + APIStudentNick, dialect: schoolUserDialect(), success: "1", wrongMethod: "101001001",
		read: func(x *exchange) *refusal {
			var o order
			if err := json.Unmarshal(x.body, &o); err != nil || len(o.UIDs) == 0 {
				return &refusal{code: "101001001"}
			}
			var uids []string
			for _, uid := range o.UIDs {
				uids = append(uids, uid.String())
			}
			x.order, x.target = uids, Target{Student: strings.Join(uids, ",")}
			if len(uids) > mostStudents {
				return &refusal{code: "121601060"}
			}
			return nil
		},
		identify:     func(s *Sandbox, x *exchange) { x.identifySchool(s, x.header.Get("X-EEO-UID")) },
		authenticate: authenticateHeaders, run: runStudentNick,
	}
}

// authenticateHeaders checks the signature of version 2: the MD5 of "sid=…&timeStamp=…&
// key=…". The vendor's page names the three codes without a cause for each: which one
// stands for which fault is an assumption.
func authenticateHeaders(s *Sandbox, x *exchange) *refusal {
	sid, stamp, sign := x.header.Get("X-EEO-UID"), x.header.Get("X-EEO-TS"), x.header.Get("X-EEO-SIGN")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if sid == "" || sign == "" || err != nil {
		return &refusal{code: "101002005"}
	}
	if x.school == nil {
		return &refusal{code: "121601058"}
	}
	if off := s.clock().Sub(time.Unix(seconds, 0)); off.Abs() >= signatureAgeV2+time.Second {
		return &refusal{code: "101002006"}
	}
	sum := md5.Sum([]byte("sid=" + sid + "&timeStamp=" + stamp + "&key=" + x.school.secret)) //nolint:gosec // the vendor's signature is made of it
	if hex.EncodeToString(sum[:]) != sign {
		return &refusal{code: "101002008"}
	}
	return nil
}

// studentResult is the result of one student.
type studentResult struct {
	UID  json.Number `json:"studentUid"`
	Code int         `json:"code"`
	Msg  string      `json:"msg"`
}

type schoolUserAnswer struct {
	Code int    `json:"code"`
	Msg  string `json:"msg"`
	Data any    `json:"data"`
}

func runStudentNick(_ *Sandbox, x *exchange) outcome {
	codes := schoolUserCodes()
	var result outcome
	var data []studentResult
	uids, _ := x.order.([]string)
	for _, uid := range uids {
		entries, code := x.school.student(uid), 1
		if len(entries) == 0 {
			code = 121601059
		}
		for _, e := range entries {
			if e.course.State != "" && e.course.State != CourseOK {
				continue
			}
			result.changes = append(result.changes, Change{
				Field: "nickname", Student: uid, Old: e.student.Nickname, New: e.student.Name,
			})
			e.student.Nickname = e.student.Name
		}
		data = append(data, studentResult{json.Number(uid), code, codes[strconv.Itoa(code)].message})
	}
	result.body = schoolUserAnswer{1, codes["1"].message, data}
	return result
}

// schoolUserDialect is that of the APIs of version 2: HTTP 200 with a code, where 1 is
// the success.
func schoolUserDialect() *dialect {
	return &dialect{
		contentType: "application/json; charset=utf-8", numeric: true, codes: schoolUserCodes(),
		throttled: func(time.Duration) string { return "101003001" },
		envelope: func(_ string, r refusal, _ knownCode) any {
			code, err := strconv.Atoi(r.code)
			if err != nil {
				code = 101004005
			}
			return schoolUserAnswer{Code: code, Msg: r.message}
		},
	}
}

// schoolUserCodes has messages of ours: the vendor's page lists the codes alone.
func schoolUserCodes() map[string]knownCode {
	return map[string]knownCode{
		"":          {status: 200, message: unlisted},
		"1":         {status: 200, message: "程序正常执行"},
		"901":       {status: 200, gateway: true, message: "System maintenance"},
		"101001001": {status: 200, message: "Wrong parameters"},
		"101002005": {status: 200, gateway: true, message: "The authentication headers are incomplete"},
		"101002006": {status: 200, gateway: true, message: "The time stamp has expired"},
		"101002008": {status: 200, gateway: true, message: "The signature is wrong"},
		"101003001": {status: 200, gateway: true, message: "The request rate is too high"},
		"101004005": {status: 200, message: "System error"},
		"110100067": {status: 200, message: "System error"},
		"121601058": {status: 200, gateway: true, message: "The institution does not exist"},
		"121601059": {status: 200, message: "The student is not in the institution"},
		"121601060": {status: 200, message: "More than 100 students"},
	}
}
