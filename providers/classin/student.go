package classin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"rollcall/internal/secret"
	"rollcall/providers"
	"rollcall/providers/internal/apicall"
)

const (
	apiEdit = "editSchoolStudent"
	apiNick = "modifyCourseStudentNickName"

	jsonType = "application/json"
)

// MaxStudents is the most students that one [Client.SyncStudentNicknames] takes.
const MaxStudents = 100

// EditStudent sets the name of a student in the institution's console. It may be
// repeated. ClassIn cuts a name after 24 characters and reports success, so the caller
// must refuse longer names. The names in courses do not change.
// See https://docs.eeo.cn/api/zh-hans/user/editSchoolStudent.html.
func (c *Client) EditStudent(ctx context.Context, gate providers.Gate, uid, name string) (providers.Receipt, error) {
	call := c.call(apiEdit, gate)
	if uid == "" || name == "" {
		return providers.Receipt{}, call.Refuse("the student's UID or name is empty", "correct the task; nothing was sent")
	}
	return c.do(ctx, call, c.form(apiEdit, url.Values{"studentUid": {uid}, "studentName": {name}}, name))
}

// SyncStudentNicknames copies the names of up to [MaxStudents] students from the
// institution's console into all their unfinished courses. It may be repeated. The
// platform answers with a code for each student. If some students failed, the error has
// the code of one of them, of a temporary fault if there is one, and its message names
// the students by UID, with their codes.
// See https://docs.eeo.cn/api/zh-hans/user/modifyCourseStudentNickName.html.
func (c *Client) SyncStudentNicknames(ctx context.Context, gate providers.Gate, uids []string) (providers.Receipt, error) {
	call := c.call(apiNick, gate)
	if len(uids) == 0 || len(uids) > MaxStudents || slices.ContainsFunc(uids, notDigits) {
		why := fmt.Sprintf("a call takes 1 to %d students, each by a UID of digits", MaxStudents)
		return providers.Receipt{}, call.Refuse(why, "correct the task; nothing was sent")
	}
	// UIDs outgrow the integers of some JSON encoders: the digits are sent as they are.
	body := []byte(`{"studentUids":[` + strings.Join(uids, ",") + `]}`)
	rows := rowsOf(apiNick)
	return c.do(ctx, call, exchange{
		rows: rows, refused: codeSignatureV2,
		request: func(key secret.Text, at time.Time) (apicall.Request, string) {
			stamp, sign := signV2(key, c.sid, at, nil) // a list is not signed
			header := http.Header{}
			header.Set("X-EEO-UID", c.sid)
			header.Set("X-EEO-TS", stamp)
			header.Set("X-EEO-SIGN", sign)
			return apicall.Request{URL: c.base + "/schooluser/" + apiNick, ContentType: jsonType, Header: header, Body: body}, sign
		},
		read: func(answer apicall.Object) (code, message string) {
			code, message = answer.Text("code"), answer.Text("msg")
			if code != codeDone {
				return code, message
			}
			return studentCodes(answer, uids, rows)
		},
	})
}

func notDigits(uid string) bool { return uid == "" || strings.Trim(uid, "0123456789") != "" }

// studentCodes returns the code of an answer that is a success as a whole. It is the
// success only if each student that was asked for has one.
func studentCodes(answer apicall.Object, uids []string, rows []providers.Code) (code, message string) {
	var items []apicall.Object
	// A list that cannot be read is that of no student.
	_ = json.Unmarshal(answer["data"], &items, jsontext.AllowInvalidUTF8(true))
	said := make(map[string]apicall.Object, len(items))
	for _, item := range items {
		said[item.Text("studentUid")] = item
	}
	failed := map[string][]string{} // UIDs by code
	var codes []string
	for _, uid := range uids {
		got := said[uid].Text("code")
		if got == codeDone {
			continue
		}
		if failed[got] == nil {
			codes = append(codes, got)
		}
		failed[got] = append(failed[got], uid)
	}
	if len(codes) == 0 {
		return codeDone, ""
	}
	code = codes[0]
	for _, got := range codes {
		// A retry may help some of the students.
		if row, _ := apicall.Find(rows, http.StatusOK, got); row.Kind == providers.Transient {
			code = got
			break
		}
	}
	if len(uids) == 1 {
		return code, said[uids[0]].Text("msg")
	}
	return code, named(codes, failed, len(uids))
}

// mostNamed is how many students a message names for one code: a message is cut after
// 300 characters.
const mostNamed = 10

// named is the message about several students: "2 of 30 students failed: 121601059:
// 1445886, 1445887".
func named(codes []string, failed map[string][]string, asked int) string {
	var parts []string
	total := 0
	for _, code := range codes {
		uids := failed[code]
		total += len(uids)
		shown := strings.Join(uids[:min(mostNamed, len(uids))], ", ")
		if more := len(uids) - mostNamed; more > 0 {
			shown += fmt.Sprintf(" and %d more", more)
		}
		if code == "" {
			code = "no result"
		}
		parts = append(parts, code+": "+shown)
	}
	return fmt.Sprintf("%d of %d students failed: %s", total, asked, strings.Join(parts, "; "))
}

// IsIncomplete reports whether [Client.SyncCourseNicknames] failed for some or all members
// of the course, which its answer does not name: [Client.SyncStudentNicknames] has a code
// for each student.
func IsIncomplete(err error) bool {
	e, ok := errors.AsType[*providers.Error](err)
	return ok && e.API == apiSync && (e.Code == codeSome || e.Code == codeAll)
}
