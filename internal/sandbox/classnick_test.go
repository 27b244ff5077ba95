package sandbox_test

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/sandbox"
)

func TestEveryStudentOfACourseGetsTheNameFromTheConsole(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	got := r.course("1001", "s-north", "501")
	answers(t, got, 200, `{"error_info":{"errno":1,"error":"程序正常执行"}}`)
	want := []sandbox.Change{
		{Field: "nickname", Student: "1", Old: "annie", New: "Ann A"},
		{Field: "nickname", Student: "2", Old: "b", New: "Bob B"},
	}
	if diff := cmp.Diff(want, r.box.Effects()[0].Changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	students := r.north().Schools[0].Courses[0].Students
	if students[0].Nickname != "Ann A" || students[1].Nickname != "Bob B" {
		t.Errorf("the platform believes %+v", students)
	}
	call := r.box.Calls()[0]
	if call.Tenant != "1001" || call.Target.Course != "501" || call.Code != "1" || call.Metered {
		t.Errorf("call %+v", call)
	}
}

func TestDeletedStudentsMakeACourseFailInPartOrAsAWhole(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	if got := r.course("1001", "s-north", "505"); code(got) != "842" || got.Status != 200 {
		t.Errorf("one of two deleted: %s", got.Body)
	}
	want := []sandbox.Change{{Field: "nickname", Student: "1", Old: "annie", New: "Ann A"}}
	if diff := cmp.Diff(want, r.box.Effects()[0].Changes); diff != "" {
		t.Errorf("the others were not renamed:\n%s", diff)
	}
	if got := r.course("1001", "s-north", "506"); code(got) != "843" {
		t.Errorf("all deleted: %s", got.Body)
	}
	if n := len(r.box.Effects()); n != 1 {
		t.Errorf("%d effects, want 1", n)
	}
}

func TestACourseThatCannotBeRenamedSaysWhy(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	for course, want := range map[string]string{
		"999": "147", "601": "144", "504": "144", "502": "149", "503": "153",
	} {
		if got := r.course("1001", "s-north", course); code(got) != want {
			t.Errorf("course %s: %s, want %s", course, got.Body, want)
		}
	}
	if got := r.course("2002", "s-south", "601"); code(got) != "1" {
		t.Errorf("a course without students: %s", got.Body)
	}
}

func TestTheSignatureIsTheMD5OfSecretAndSecondsInSmallLetters(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	now := morning().Unix()
	seconds := func(n int64) string { return strconv.FormatInt(n, 10) }
	form := func(sid, secret, stamp string) url.Values {
		return url.Values{"SID": {sid}, "safeKey": {sign(secret, stamp)}, "timeStamp": {stamp}, "courseId": {"501"}}
	}
	shouting := form("1001", "s-north", seconds(now))
	shouting.Set("safeKey", strings.ToUpper(shouting.Get("safeKey")))
	for _, c := range []struct {
		name string
		form url.Values
		want string
	}{
		{"twenty minutes behind", form("1001", "s-north", seconds(now-1200)), "1"},
		{"twenty minutes ahead", form("1001", "s-north", seconds(now+1200)), "1"},
		{"a second too old", form("1001", "s-north", seconds(now-1201)), "102"},
		{"a second too early", form("1001", "s-north", seconds(now+1201)), "102"},
		{"milliseconds", form("1001", "s-north", seconds(now*1000)), "102"},
		{"wrong secret", form("1001", "s-south", seconds(now)), "102"},
		{"unknown school", form("9999", "s-north", seconds(now)), "102"},
		{"capital letters", shouting, "102"},
		{"seconds in words", form("1001", "s-north", "noon"), "100"},
	} {
		if got := r.classIn(c.form); got.Status != 200 || code(got) != c.want {
			t.Errorf("%s: %s, want %s", c.name, got.Body, c.want)
		}
	}
}

func TestAMissingParameterIsNamedAndJSONIsNoForm(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	stamp := strconv.FormatInt(morning().Unix(), 10)
	full := url.Values{"SID": {"1001"}, "safeKey": {sign("s-north", stamp)}, "timeStamp": {stamp}, "courseId": {"501"}}
	for _, missing := range []string{"SID", "safeKey", "timeStamp", "courseId"} {
		form := url.Values{}
		for name := range full {
			if name != missing {
				form.Set(name, full.Get(name))
			}
		}
		form.Set(strings.ToLower(missing), full.Get(missing)) // another case is another parameter
		answers(t, r.classIn(form), 200, `{"error_info":{"errno":100,"error":"Incomplete or incorrect parameters: `+missing+`"}}`)
	}
	const path = "/partner/api/course.api.php?action=modifyGroupMemberNickname"
	if got := r.must("POST", path, "application/json", `{"SID":"1001"}`); code(got) != "100" {
		t.Errorf("JSON: %s", got.Body)
	}
	if got := r.must("POST", path, "", full.Encode()); code(got) != "100" {
		t.Errorf("no Content-Type: %s", got.Body)
	}
}

func TestClassInThrottlesPerSchoolAndCountsNoMonth(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *sandbox.Config) { c.World.Organisations[0].Quota = 1 })
	for range 10 {
		if got := r.course("1001", "s-north", "501"); code(got) != "1" {
			t.Fatalf("within the rate: %s", got.Body)
		}
	}
	answers(t, r.course("1001", "s-north", "501"), 200, `{"error_info":{"errno":101003001,"error":"The request rate is too high"}}`)
	if got := r.course("2002", "s-south", "601"); code(got) != "1" {
		t.Errorf("another school was throttled too: %s", got.Body)
	}
	r.clock.Advance(time.Second)
	if got := r.course("1001", "s-north", "501"); code(got) != "1" {
		t.Errorf("a second later: %s", got.Body)
	}
}
