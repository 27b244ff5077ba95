package tasks_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/tasks"
)

const tenant = "lakeside-dt"

func nick(user, name string) tasks.NicknameSync {
	return tasks.NicknameSync{Tenant: tenant, ChatID: "chat1", UserID: user, Nickname: name}
}

// problems returns what Validate finds as "field: what".
func problems(t *testing.T, task tasks.Task, limits tasks.Limits) []string {
	t.Helper()
	err := task.Validate(limits)
	if err == nil {
		return nil
	}
	invalid, ok := errors.AsType[*tasks.ValidationError](err)
	if !ok || len(invalid.Problems) == 0 {
		t.Fatalf("%T: %v", err, err)
	}
	var out []string
	for _, p := range invalid.Problems {
		out = append(out, p.Field+": "+p.What)
	}
	return out
}

func TestNicknames(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		most int
		want []string
	}{
		{"张三", 0, nil},
		{"[monitor]", 0, nil},
		{`{"a":1}`, 0, nil},
		{"👩‍🏫 Ann", 0, nil},
		{" Ann ", 0, nil},
		{strings.Repeat("三", 30), 0, nil},
		{strings.Repeat("三", 31), 0, []string{"nickname: has 31 characters, at most 30"}},
		{strings.Repeat("三", 31), 10, []string{"nickname: has 31 characters, at most 30"}},
		{strings.Repeat("三", 31), 40, nil},
		{strings.Repeat("三", 41), 40, []string{"nickname: has 41 characters, at most 40"}},
		{"", 0, []string{"nickname: is missing"}},
		{"  \u3000", 0, []string{"nickname: is blank"}},
		{"a\nb", 0, []string{"nickname: holds a control character or line break"}},
		{"a\u2028b", 0, []string{"nickname: holds a control character or line break"}},
		{"a\x7fb", 0, []string{"nickname: holds a control character or line break"}},
		{"a\xffb", 0, []string{"nickname: is not valid UTF-8"}},
	} {
		if diff := cmp.Diff(row.want, problems(t, nick("u1", row.name), tasks.Limits{NicknameMax: row.most})); diff != "" {
			t.Errorf("%q, at most %d (-want +got):\n%s", row.name, row.most, diff)
		}
	}
}

// Rules that every producer obeys: two names that look alike are the same name.
func TestInvisibleCharactersAreRefused(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"li\u200b":         "U+200B",
		"\ufeffli":         "U+FEFF",
		"\u202ali\u202c":   "U+202A",
		"li\u00ad2":        "U+00AD",
		"l\u200di":         "U+200D",
		"li\ufe0f":         "U+FE0F",
		"li\u3164":         "U+3164",
		"li\u2800":         "U+2800",
		"li\U000e0041":     "U+E0041",
		"l\ufffdi":         "U+FFFD",
		"manager1234_-@.:": "",
	} {
		got := problems(t, tasks.NicknameSync{Tenant: tenant, ChatID: "c", UserID: id, Nickname: "x"}, tasks.Limits{})
		if want == "" && got != nil || want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], "user_id: holds "+want)) {
			t.Errorf("id %q: %v, want one problem with %s", id, got, want)
		}
	}
	for name, want := range map[string]string{
		"\u200b\u200b":     "has no visible character",
		"\u3164":           "has no visible character",
		"\u2800 ":          "has no visible character",
		"\ufe0f":           "has no visible character",
		"abc\u202edef":     "holds U+202E",
		"\u2066abc\u2069":  "holds U+2066",
		"李\u200b":          "holds U+200B",
		"\ufeff李":          "holds U+FEFF",
		"A\u00adB":         "holds U+00AD",
		"Ann\u200d":        "holds U+200D",
		"\u200dAnn":        "holds U+200D",
		"Ann \u200d Lee":   "holds U+200D",
		"A\U000e0067":      "holds U+E0067",
		"张\ufffd":          "holds U+FFFD",
		"👩\u200d👧 Ann":     "",
		"👩🏽\u200d🏫":        "",
		"❤\ufe0f\u200d🔥":   "",
		"1\ufe0f\u20e3 Bo": "",
		"🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f Bo": "",
		"می\u200cخواهم": "",
		"क्\u200dष":     "",
		"葛\U000e0100城":  "",
	} {
		got := problems(t, nick("u1", name), tasks.Limits{})
		if want == "" && got != nil || want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], "nickname: "+want)) {
			t.Errorf("name %q: %v, want %q", name, got, want)
		}
	}
}

func TestAllProblemsAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	task := tasks.NicknameSync{Tenant: "Lakeside", ChatID: "a b", UserID: strings.Repeat("u", 129), Nickname: "a\tb"}
	want := []string{
		"tenant: must be 1 to 39 of a-z, 0-9 and -, not beginning with -",
		"chat_id: holds a space or control character",
		"user_id: has 129 bytes, at most 128",
		"nickname: holds a control character or line break",
	}
	if diff := cmp.Diff(want, problems(t, task, tasks.Limits{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := task.Validate(tasks.Limits{}).Error(); !strings.HasPrefix(got, "nickname task refused: tenant: must be") || strings.Contains(got, "a\tb") {
		t.Errorf("%q", got)
	}
}

func TestCourseIDs(t *testing.T) {
	t.Parallel()
	for id, good := range map[string]bool{
		"561294": true, "1": true, "9223372036854775807": true,
		"": false, "0": false, "007": false, "12a": false, "-1": false, "１２": false, "12345678901234567890": false,
	} {
		if got := problems(t, tasks.CourseSync{Tenant: tenant, CourseID: id}, tasks.Limits{}); (got == nil) != good {
			t.Errorf("%q: %v", id, got)
		}
	}
}

func TestAStudentsNameFitsIntoClassIn(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		edit func(*tasks.StudentSync)
		want []string
	}{
		"24 characters": {func(s *tasks.StudentSync) { s.Name = strings.Repeat("张", 24) }, nil},
		"25 characters": {
			func(s *tasks.StudentSync) { s.Name = strings.Repeat("张", 25) },
			[]string{"student_name: has 25 characters, at most 24"},
		},
		"no name":        {func(s *tasks.StudentSync) { s.Name = "" }, []string{"student_name: is missing"}},
		"no uid":         {func(s *tasks.StudentSync) { s.StudentUID = "" }, []string{"student_uid: is missing"}},
		"a phone number": {func(s *tasks.StudentSync) { s.StudentUID = "0086-138" }, []string{"student_uid: must be 1 to 19 digits, not beginning with 0"}},
	} {
		task := tasks.StudentSync{Tenant: tenant, StudentUID: "1445886", Name: "张三"}
		row.edit(&task)
		if diff := cmp.Diff(row.want, problems(t, task, tasks.Limits{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestGroupUpdates(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		edit func(*tasks.GroupUpdate)
		want []string
	}{
		"nothing to change": {func(*tasks.GroupUpdate) {}, []string{"name: nothing to change: give a name, owner, icon, option or member list"}},
		"empty lists":       {func(g *tasks.GroupUpdate) { g.AddUserIDs = []string{} }, []string{"name: nothing to change: give a name, owner, icon, option or member list"}},
		"an explicit zero":  {func(g *tasks.GroupUpdate) { g.Options.Searchable = new(0) }, nil},
		"an option of two": {
			func(g *tasks.GroupUpdate) { g.Options.ChatBannedType = new(2) },
			[]string{"options.chat_banned_type: must be 0 or 1"},
		},
		"a name of 20":          {func(g *tasks.GroupUpdate) { g.Name = strings.Repeat("班", 20) }, nil},
		"a name of 21":          {func(g *tasks.GroupUpdate) { g.Name = strings.Repeat("班", 21) }, []string{"name: has 21 characters, at most 20"}},
		"an owner":              {func(g *tasks.GroupUpdate) { g.Owner, g.OwnerType = "u1", "ext" }, nil},
		"an owner of no type":   {func(g *tasks.GroupUpdate) { g.Owner = "u1" }, []string{"owner_type: is missing: say emp or ext with an owner"}},
		"an owner of wrong one": {func(g *tasks.GroupUpdate) { g.Owner, g.OwnerType = "u1", "EMP" }, []string{"owner_type: must be emp or ext"}},
		"a type of no owner":    {func(g *tasks.GroupUpdate) { g.OwnerType = "emp" }, []string{"owner_type: is given without an owner"}},
		"added and removed": {
			func(g *tasks.GroupUpdate) { g.AddUserIDs, g.DelUserIDs = []string{"a", "b"}, []string{"b"} },
			[]string{"del_user_ids[0]: is the same as add_user_ids[1]"},
		},
		"added twice": {
			func(g *tasks.GroupUpdate) { g.AddExtIDs = []string{"a", "a"} },
			[]string{"add_ext_ids[1]: is the same as add_ext_ids[0]"},
		},
		"a user and an external of one id": {func(g *tasks.GroupUpdate) { g.AddUserIDs, g.DelExtIDs = []string{"a"}, []string{"a"} }, nil},
		"an empty member":                  {func(g *tasks.GroupUpdate) { g.DelUserIDs = []string{"a", ""} }, []string{"del_user_ids[1]: is missing"}},
		"an icon with a space":             {func(g *tasks.GroupUpdate) { g.Icon = "a b" }, []string{"icon: holds a space or control character"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task := tasks.GroupUpdate{Tenant: tenant, ChatID: "chat1"}
			row.edit(&task)
			if diff := cmp.Diff(row.want, problems(t, task, tasks.Limits{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestStudentsOfACourse(t *testing.T) {
	t.Parallel()
	many := make([]string, tasks.MaxCourseStudents+1)
	for i := range many {
		many[i] = strconv.Itoa(i + 1)
	}
	for name, row := range map[string]struct {
		uids, want []string
	}{
		"as many as fit": {many[1:], nil},
		"too many":       {many, []string{"student_uids: has 201 students, at most 200"}},
		"no digits":      {[]string{"1", "x"}, []string{"student_uids[1]: must be 1 to 19 digits, not beginning with 0"}},
		"twice":          {[]string{"1", "1"}, []string{"student_uids[1]: is there twice"}},
	} {
		task := tasks.CourseSync{Tenant: tenant, CourseID: "1", StudentUIDs: row.uids}
		if diff := cmp.Diff(row.want, problems(t, task, tasks.Limits{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestDingTalkIDs(t *testing.T) {
	t.Parallel()
	const form = "must be 6 to 20 letters and digits of ASCII, beginning with a letter"
	many := make([]string, 11)
	for i := range many {
		many[i] = fmt.Sprintf("zhang%d", i+10)
	}
	for name, row := range map[string]struct {
		id   string
		more []string
		want []string
	}{
		"six":           {"abcdef", nil, nil},
		"twenty":        {"a" + strings.Repeat("9", 19), nil, nil},
		"five":          {"abcde", nil, []string{"dingtalk_id: " + form}},
		"twenty-one":    {"a" + strings.Repeat("9", 20), nil, []string{"dingtalk_id: " + form}},
		"digit first":   {"1abcdef", nil, []string{"dingtalk_id: " + form}},
		"a dash":        {"abc-def", nil, []string{"dingtalk_id: " + form}},
		"a line break":  {"abcdef\n", nil, []string{"dingtalk_id: " + form}},
		"none":          {"", nil, []string{"dingtalk_id: is missing"}},
		"alternatives":  {"abcdef", []string{"abcdeg", "abcdeh"}, nil},
		"the same":      {"abcdef", []string{"abcdef"}, []string{"alternatives[0]: is the same as dingtalk_id"}},
		"the same two":  {"abcdef", []string{"abcdeg", "abcdeg"}, []string{"alternatives[1]: is the same as alternatives[0]"}},
		"a bad one":     {"abcdef", []string{"x"}, []string{"alternatives[0]: " + form}},
		"eleven others": {"abcdef", many, []string{"alternatives: has 11 entries, at most 10"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task := tasks.IDChange{Tenant: tenant, UserID: "u1", DingTalkID: row.id, Alternatives: row.more}
			if diff := cmp.Diff(row.want, problems(t, task, tasks.Limits{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
