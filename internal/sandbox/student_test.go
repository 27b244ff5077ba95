package sandbox_test

import (
	"crypto/md5"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/sandbox"
)

func (r *rig) editStudent(uid, name string) reply {
	r.t.Helper()
	stamp := strconv.FormatInt(r.clock.Now().Unix(), 10)
	form := url.Values{
		"SID": {"1001"}, "safeKey": {sign("s-north", stamp)}, "timeStamp": {stamp}, "studentUid": {uid}, "studentName": {name},
	}
	return r.must("POST", "/partner/api/course.api.php?action=editSchoolStudent", "application/x-www-form-urlencoded", form.Encode())
}

// copyNames signs as version 2 does, off by a time.
func (r *rig) copyNames(sid, secret string, off time.Duration, body string) reply {
	r.t.Helper()
	stamp := strconv.FormatInt(r.clock.Now().Add(off).Unix(), 10)
	signature := fmt.Sprintf("%x", md5.Sum([]byte("sid="+sid+"&timeStamp="+stamp+"&key="+secret)))
	return r.must("POST", "/schooluser/modifyCourseStudentNickName", "application/json", body,
		"X-EEO-UID", sid, "X-EEO-TS", stamp, "X-EEO-SIGN", signature)
}

// codeV2 is the code of an answer of version 2, whose other fields the envelope of
// another host has as well.
func codeV2(got reply) string {
	_, rest, _ := strings.Cut(got.Body, `"code":`)
	code, _, _ := strings.Cut(rest, ",")
	return code
}

func TestANameInTheConsoleReachesCoursesWithTheSecondCall(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	answers(t, r.editStudent("1", "Ann B"), 200, `{"error_info":{"errno":1,"error":"程序正常执行"}}`)
	student := func() sandbox.Student { return r.north().Schools[0].Courses[0].Students[0] }
	if s := student(); s.Name != "Ann B" || s.Nickname != "annie" {
		t.Errorf("after the edit: %+v", s)
	}
	answers(t, r.copyNames("1001", "s-north", 0, `{"studentUids":[1,99]}`), 200,
		`{"code":1,"msg":"程序正常执行","data":[{"studentUid":1,"code":1,"msg":"程序正常执行"},`+
			`{"studentUid":99,"code":121601059,"msg":"The student is not in the institution"}]}`)
	if s := student(); s.Nickname != "Ann B" {
		t.Errorf("after the copy: %+v", s)
	}
	var changes [][]sandbox.Change
	for _, e := range r.box.Effects() {
		changes = append(changes, e.Changes)
	}
	want := [][]sandbox.Change{
		{{Field: "name", Student: "1", Old: "Ann A", New: "Ann B"}},
		{{Field: "nickname", Student: "1", Old: "annie", New: "Ann B"}, {Field: "nickname", Student: "1", Old: "annie", New: "Ann B"}},
	}
	if diff := cmp.Diff(want, changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

func TestALongNameIsCutAndATransferStudentRefused(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	if got := r.editStudent("2", strings.Repeat("张", 25)); code(got) != "1" {
		t.Errorf("a long name: %s", got.Body)
	}
	if got := r.north().Schools[0].Courses[0].Students[1].Name; got != strings.Repeat("张", 24) {
		t.Errorf("the console has %q", got)
	}
	if got := r.editStudent("99", "Eve"); code(got) != "228" {
		t.Errorf("a transfer student: %s", got.Body)
	}
	if got := r.editStudent("2", ""); code(got) != "100" {
		t.Errorf("no name: %s", got.Body)
	}
}

func TestVersion2RefusesWhatItsPageSays(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	many := `{"studentUids":[` + strings.Repeat("1,", 100) + `1]}`
	for name, row := range map[string]struct {
		sid, secret string
		off         time.Duration
		body, want  string
	}{
		"five minutes ahead":   {"1001", "s-north", 5 * time.Minute, `{"studentUids":[1]}`, "1"},
		"a second more":        {"1001", "s-north", -5*time.Minute - time.Second, `{"studentUids":[1]}`, "101002006"},
		"wrong secret":         {"1001", "s-south", 0, `{"studentUids":[1]}`, "101002008"},
		"unknown institution":  {"9999", "s-north", 0, `{"studentUids":[1]}`, "121601058"},
		"no student":           {"1001", "s-north", 0, `{"studentUids":[]}`, "101001001"},
		"no JSON":              {"1001", "s-north", 0, `studentUids=1`, "101001001"},
		"more than a hundred":  {"1001", "s-north", 0, many, "121601060"},
		"the south's students": {"2002", "s-south", 0, `{"studentUids":[1]}`, "1"},
	} {
		if got := r.copyNames(row.sid, row.secret, row.off, row.body); got.Status != 200 || codeV2(got) != row.want {
			t.Errorf("%s: %s, want %s", name, got.Body, row.want)
		}
	}
	const path = "/schooluser/modifyCourseStudentNickName"
	if got := r.must("POST", path, "application/json", `{"studentUids":[1]}`); codeV2(got) != "101002005" {
		t.Errorf("without headers: %s", got.Body)
	}
	if got := r.must("GET", path, "", ""); codeV2(got) != "101001001" {
		t.Errorf("GET: %s", got.Body)
	}
}
