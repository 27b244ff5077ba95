package roster_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/roster"
	"rollcall/tasks"
)

// tenAM is when the files of these tests are read.
func tenAM() time.Time { return time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC) }

func read(t *testing.T, file string, defaults tasks.Options) []roster.Row {
	t.Helper()
	rows, err := roster.Read(strings.NewReader(file), defaults, tenAM())
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestRowsBecomeTasksOfEveryKind(t *testing.T) {
	t.Parallel()
	rows := read(t, "\xef\xbb\xbfkind,tenant,chat_id,user_id,nickname,course_id,add_user_ids,searchable,dingtalk_id,alternatives,owner,key,urgent,at\r\n"+
		"nickname,dt,c1,u1,\"Ann \"\"A\"\" Lee\",,,,,,,k1,1,+10m\r\n"+
		",,,,,,,,,,,,,\r\n"+
		"course,ci,,,,561294,,,,,,,,\r\n"+
		"group,dt,c1,,,,u1;u2,0,,,u3,,no,2026-03-02T08:00:00+08:00\r\n"+
		"id,dt,,u1,,,,,ann01,ann02;ann03,,,,\r\n", tasks.Options{Urgent: true})
	want := []tasks.Request{
		{
			Task:    tasks.NicknameSync{Tenant: "dt", ChatID: "c1", UserID: "u1", Nickname: `Ann "A" Lee`},
			Options: tasks.Options{Key: "k1", Urgent: true, At: tenAM().Add(10 * time.Minute)},
		},
		{Task: tasks.CourseSync{Tenant: "ci", CourseID: "561294"}, Options: tasks.Options{Urgent: true}},
		{
			Task: tasks.GroupUpdate{
				Tenant: "dt", ChatID: "c1", Owner: "u3", OwnerType: tasks.OwnerEmployee,
				AddUserIDs: []string{"u1", "u2"}, Options: tasks.GroupOptions{Searchable: new(0)},
			},
			Options: tasks.Options{At: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)},
		},
		{
			Task:    tasks.IDChange{Tenant: "dt", UserID: "u1", DingTalkID: "ann01", Alternatives: []string{"ann02", "ann03"}},
			Options: tasks.Options{Urgent: true},
		},
	}
	var got []tasks.Request
	var lines []int
	for _, row := range rows {
		if err := row.Refusal(tasks.Limits{}); err != nil {
			t.Errorf("line %d: %v", row.Line, err)
		}
		got, lines = append(got, row.Request), append(lines, row.Line)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{2, 4, 5, 6}, lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestABadRowIsRefusedWithAllItsProblemsAndTheOthersStay(t *testing.T) {
	t.Parallel()
	rows := read(t, "kind,tenant,chat_id,user_id,nickname,searchable,add_user_ids,urgent,at\n"+
		"nickname,dt,c1,u1,张三,,,,\n"+
		"nickname,dt,,u1,,1,,perhaps,soon\n"+
		"group,dt,c1,,,2,u1; u2,,\n"+
		"name,dt,c1,u1,x,,,,\n"+
		"nickname,dt,c1\n", tasks.Options{})
	var got []string
	for _, row := range rows {
		err := row.Refusal(tasks.Limits{})
		if err == nil {
			got = append(got, "well formed")
			continue
		}
		refused, ok := errors.AsType[*tasks.ValidationError](err)
		if !ok {
			t.Fatalf("line %d: %T", row.Line, err)
		}
		var text strings.Builder
		text.WriteString(string(refused.Kind) + ":")
		for _, p := range refused.Problems {
			text.WriteString(" " + roster.Place(p) + ": " + p.What + ";")
		}
		got = append(got, text.String())
	}
	want := []string{
		"well formed",
		"nickname: column searchable: does not belong to a nickname task: leave it empty; " +
			"column urgent: must be 1, true or yes, or 0, false or no, or empty; " +
			"column at: is neither a time such as 2026-03-01T08:00:00+08:00 nor a delay such as +10m; " +
			"column chat_id: is missing; column nickname: is missing;",
		"group: column searchable: must be 0 or 1, or empty to leave it alone; " +
			"column add_user_ids, entry 2: holds a space or control character;",
		": column kind: must be nickname, course, group or id;",
		": the row: has 3 cells, the header has 9;",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAFileThatCannotBeTrustedIsRefusedAsAWhole(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"":                                 "it is empty",
		"kind,tenant\nnickname,\xd5\xc5\n": "line 2 is not valid UTF-8",
		"kind,tenat\n":                     `column 2, "tenat", is not known`,
		"kind,tenant,kind\n":               "column kind stands there twice",
		"kind,chat_id\n":                   "column tenant is missing",
		"kind,tenant\nnickname,\"dt\n":     "line 2, character",
		"kind,tenant\n" + strings.Repeat("x", 64<<20): "more than 64 MiB",
	} {
		rows, err := roster.Read(strings.NewReader(file), tasks.Options{}, tenAM())
		if err == nil || !strings.Contains(err.Error(), want) || rows != nil {
			t.Errorf("%.40q: %d rows, error %v, want one that says %q", file, len(rows), err, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("kind,tenant,chat_id,user_id,nickname,at\nnickname,dt,c1,u1,张三,+10m\n\n,,,,,\nx\n")
	f.Add("\xef\xbb\xbfkind,tenant,add_user_ids,searchable\r\ngroup,dt,a;b,1\r\ngroup,dt,;,2\r\n")
	f.Add("tenant,kind,alternatives\n\"d\nt\",id,;;\n")
	f.Fuzz(func(t *testing.T, file string) {
		rows, err := roster.Read(strings.NewReader(file), tasks.Options{}, tenAM())
		if err != nil && rows != nil {
			t.Error("an untrusted file has rows")
		}
		last := 1
		for _, row := range rows {
			if row.Line <= last || row.Line > strings.Count(file, "\n")+1 {
				t.Errorf("line %d comes after line %d of a file of %d lines", row.Line, last, strings.Count(file, "\n")+1)
			}
			last = row.Line
			if row.Request.Task == nil && row.Refusal(tasks.Limits{}) == nil {
				t.Errorf("line %d is well formed and no task", row.Line)
			}
		}
	})
}
