package roster_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/kinds"
	"rollcall/internal/roster"
	"rollcall/internal/table"
	"rollcall/tasks"
)

// tenAM is when the files of these tests are read.
func tenAM() time.Time { return time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC) }

func open(t *testing.T, content string, o roster.Options) (*roster.File, error) {
	t.Helper()
	in, err := table.Spool(strings.NewReader(content))
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = in.Close() })
	opened, err := table.Open(in, table.Options{})
	if err != nil {
		return nil, err
	}
	o.Now = tenAM()
	return roster.Open(opened, o)
}

// read returns all rows, and those that came before an error.
func read(t *testing.T, content string, o roster.Options) ([]roster.Row, error) {
	t.Helper()
	file, err := open(t, content, o)
	if err != nil {
		return nil, err
	}
	var rows []roster.Row
	for row, err := range file.Rows() {
		if err != nil {
			return rows, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// problems returns all problems of a file as the terminal shows them.
func problems(t *testing.T, content string, o roster.Options) []string {
	t.Helper()
	rows, err := read(t, content, o)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, row := range rows {
		err := row.Refusal(tasks.Limits{})
		if err == nil {
			err = row.Request.Validate(tasks.Limits{})
		}
		if err == nil {
			continue
		}
		for _, p := range row.Explain(err) {
			all = append(all, p.String())
		}
	}
	return all
}

func TestRowsBecomeTasksOfEveryKind(t *testing.T) {
	t.Parallel()
	rows, err := read(t, "\xef\xbb\xbfkind,tenant,chat_id,user_id,nickname,course_id,add_user_ids,searchable,dingtalk_id,alternatives,owner,key,urgent,at\r\n"+
		"nickname,dt,c1,u1,\"Ann \"\"A\"\" Lee\",,,,,,,k1,1,+10m\r\n"+
		",,,,,,,,,,,,,\r\n"+
		"course,ci,,,,561294,,,,,,,,\r\n"+
		"group,dt,c1,,,,u1；u2;,0,,,u3,,no,2026-03-02T08:00:00+08:00\r\n"+
		"id,dt,,u1,,,,,ann01,ann02; ann03,,,,\r\n", roster.Options{Defaults: tasks.Options{Urgent: true}})
	if err != nil {
		t.Fatal(err)
	}
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

func TestColumnsAreKnownByTheNamesThatPeopleWrite(t *testing.T) {
	t.Parallel()
	nickname := tasks.NicknameSync{Tenant: "dt", ChatID: "c1", UserID: "u1", Nickname: "张三"}
	for name, row := range map[string]struct {
		content string
		o       roster.Options
		want    tasks.Task
		ignored []string
	}{
		"Chinese":          {"类型,租户,群ID,用户ID,群昵称,备注\n昵称,dt,c1,u1,张三,班长\n", roster.Options{}, nickname, []string{"备注"}},
		"full width":       {"Ｋｉｎｄ，ＴＥＮＡＮＴ，群ｉｄ，用户　ＩＤ，昵称\n昵称，dt，c1，u1，张三\n", roster.Options{}, nickname, nil},
		"case, spaces":     {"Kind,Tenant , Chat ID,USER_ID,*NickName\nNickname,dt,c1,u1,张三\n", roster.Options{}, nickname, nil},
		"required":         {"用户ID（必填）,昵称 (选填)\nu1,张三\n", roster.Options{Tenant: "dt", Chat: "c1"}, nickname, nil},
		"flags":            {"user_id,nickname\nu1,张三\n", roster.Options{Tenant: "dt", Chat: "c1"}, nickname, nil},
		"JSON":             {"{\"用户ID\":\"u1\",\"nickname\":\"张三\",\"x\":1}\n", roster.Options{Tenant: "dt", Chat: "c1"}, nickname, []string{"x"}},
		"a map":            {"学号,姓名\nu1,张三\n", roster.Options{Tenant: "dt", Chat: "c1", Map: map[string]string{"学 号": "user_id", "姓名": "昵称"}}, nickname, nil},
		"a map of two":     {"学号,用户ID,昵称\nu1,x,张三\n", roster.Options{Tenant: "dt", Chat: "c1", Map: map[string]string{"学号": "user_id"}}, nickname, []string{"用户ID"}},
		"trailing columns": {"user_id,nickname,,\nu1,张三,,\n", roster.Options{Tenant: "dt", Chat: "c1"}, nickname, nil},
		"a short row":      {"user_id,nickname,key,备注\nu1,张三\n", roster.Options{Tenant: "dt", Chat: "c1"}, nickname, []string{"备注"}},
		"an index":         {",user_id,nickname\n0,u1,张三\n", roster.Options{Tenant: "dt", Chat: "c1"}, nickname, []string{"(column 1, without a name)"}},
		"blanks":           {"user_id,nickname\n\u3000u1\u00a0, 张三\u3000\n", roster.Options{Tenant: "dt", Chat: "c1"}, nickname, nil},
		"not composed":     {"user_id,nickname\nu1,Zoe\u0308\n", roster.Options{Tenant: "dt", Chat: "c1"}, tasks.NicknameSync{Tenant: "dt", ChatID: "c1", UserID: "u1", Nickname: "Zo\u00eb"}, nil},
		"another's column": {"chat_id,user_id,nickname,群名称\nc1,u1,张三,三年二班\n", roster.Options{Tenant: "dt", Kind: tasks.KindNickname}, nickname, []string{"群名称"}},
		"courses":          {"课程ID\n7\n", roster.Options{Tenant: "ci"}, tasks.CourseSync{Tenant: "ci", CourseID: "7"}, nil},
		"IDs":              {"用户ID,钉钉号,备选\nu1,ann0001,ann0002\n", roster.Options{Tenant: "dt"}, tasks.IDChange{Tenant: "dt", UserID: "u1", DingTalkID: "ann0001", Alternatives: []string{"ann0002"}}, nil},
		"groups": {
			"群ID,群名称,群主,群主类型,searchable\nc1,三年二班,u1,外部联系人,否\n",
			roster.Options{Tenant: "dt"},
			tasks.GroupUpdate{Tenant: "dt", ChatID: "c1", Name: "三年二班", Owner: "u1", OwnerType: "ext", Options: tasks.GroupOptions{Searchable: new(0)}},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, err := open(t, row.content, row.o)
			if err != nil {
				t.Fatal(err)
			}
			var got []tasks.Task
			for r, err := range file.Rows() {
				if err == nil {
					err = r.Refusal(tasks.Limits{})
				}
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, r.Request.Task)
			}
			if diff := cmp.Diff([]tasks.Task{row.want}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(row.ignored, file.Ignored()); diff != "" {
				t.Errorf("ignored (-want +got):\n%s", diff)
			}
		})
	}
}

func TestColumnsThatCannotBeUnderstoodRefuseTheFile(t *testing.T) {
	t.Parallel()
	dt := roster.Options{Tenant: "dt", Chat: "c1"}
	for name, row := range map[string]struct {
		header string
		o      roster.Options
		want   string
	}{
		"no tenant":        {"kind,user_id", roster.Options{}, "line 1: column tenant is missing"},
		"no chat":          {"user_id,nickname", roster.Options{Tenant: "dt"}, "column chat_id is missing"},
		"nothing known":    {"u1,张三", dt, "no column is known: does the first line name the columns? not known: u1, 张三: --map u1="},
		"no kind":          {"user_id,学号", dt, "the columns fit no kind of task (known: user_id; not known: 学号"},
		"two kinds":        {"user_id,nickname,dingtalk_id", dt, "several kinds of task (nickname, id): use --kind"},
		"twice":            {"kind,tenant,kind", roster.Options{}, "columns 1 (kind) and 3 (kind) are both kind"},
		"two names":        {"user_id,昵称,nickname", dt, "columns 2 (昵称) and 3 (nickname) are both nickname: remove one, or choose one with --map NAME=nickname"},
		"strict":           {"user_id,nickname,备注,x", roster.Options{Tenant: "dt", Chat: "c1", Strict: true}, "columns that are not known: 备注, x: remove them, map them (--map 备注=COLUMN)"},
		"a map to nothing": {"user_id", roster.Options{Map: map[string]string{"user_id": "userid2"}}, "there is no column userid2: columns are kind,"},
		"a map of nothing": {"user_id,nickname", roster.Options{Map: map[string]string{"学号": "user_id"}}, "the file has no column 学号: it has user_id, nickname"},
		"staff numbers":    {"工号,昵称", dt, "not known: 工号: --map 工号="},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := read(t, row.header+"\n1,2,3\n", row.o)
			if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want one line with %q", err, row.want)
			}
		})
	}
}

func TestAllProblemsOfABadRowAreReported(t *testing.T) {
	t.Parallel()
	got := problems(t, "kind,tenant,chat_id,user_id,nickname,searchable,add_user_ids,urgent,at\n"+
		"nickname,dt,c1,u1,张三,,,,\n"+
		"nickname,dt,,u1,,1,,perhaps,soon\n"+
		"group,dt,c1,,,2,u1; u 2,,\n"+
		"name,dt,c1,u1,x,,,,\n"+
		"nickname,dt,c1\n"+
		"nickname,dt,c1,u1,Lee, A,,,,,\n"+
		"nickname,dt,c1,u1,\"A\nB\",,,,\n"+
		"nickname,dt,c1", roster.Options{})
	want := []string{
		"line 3: column searchable: does not belong to a nickname task: leave it empty",
		"line 3: column urgent: must be 1, true or yes, or 0, false or no, or empty",
		"line 3: column at: is neither a time such as 2026-03-01T08:00:00+08:00 nor a delay such as +10m",
		"line 3: column chat_id: is missing",
		"line 3: column nickname: is missing",
		"line 4: column searchable: must be 0 or 1, or empty to leave it alone",
		"line 4: column add_user_ids, entry 2: holds a space or control character",
		"line 5: column kind: must be nickname, course, group, id or student (昵称, 课程, 群, 钉钉号, 学生)",
		"line 6: column user_id: is missing",
		"line 6: column nickname: is missing",
		"line 7: column searchable: does not belong to a nickname task: leave it empty",
		"line 8: column nickname: holds a line break: write the value in one line, or close the quote in this line if one is missing",
		"line 10: the row: has 3 cells, the header has 9, and the file ends there without a line end: the file was cut",
		"line 10: column user_id: is missing",
		"line 10: column nickname: is missing",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got = problems(t, "用户ID,昵称\nu1,Lee, Ann\n,张三\n", roster.Options{Tenant: "dt", Chat: "c1"})
	want = []string{
		"line 2: the row: has 3 cells, the header has 2: put a value that holds the delimiter in quotes, or name the column",
		"line 3: column 用户ID: is missing",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFlagsThatContradictARowRefuseIt(t *testing.T) {
	t.Parallel()
	got := problems(t, "kind,tenant,chat_id,user_id,nickname\n昵称,dt,c1,u1,张三\n,,,u1,张三\ncourse,other,c2,u1,张三\n",
		roster.Options{Tenant: "dt", Kind: tasks.KindNickname, Chat: "c1"})
	want := []string{
		"line 4: column tenant: differs from --tenant dt: correct one of them",
		"line 4: column kind: differs from --kind nickname: correct one of them",
	}
	if diff := cmp.Diff(want, got[:min(2, len(got))]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestValuesThatWereLostAreRefusedWithAReason(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"#N/A": "an error value", "#DIV/0!": "an error value", "#name?": "an error value", "####": "a row of #",
		"[object Object]": "an error value", "张\ufffd": "U+FFFD", "锟斤拷": "U+FFFD", "???": "only question marks",
		"1.80E+17": "scientific notation", "1,8e+17": "scientific notation", "1.2E-05": "scientific notation",
		"=\"00123\"": "a formula", "=A1": "a formula", "=VLOOKUP(A1,B:C,2)": "a formula",
		"张…(2)": "is masked", "张**": "is masked", "三…(7)": "is masked", "三年…王芳(6)": "is masked", "****": "is masked", "&#24352;三": "written for a web page",
	} {
		for _, column := range []string{"user_id", "nickname"} {
			cells := map[string]string{"user_id": "u1", "nickname": "Ann"}
			cells[column] = `"` + strings.ReplaceAll(value, `"`, `""`) + `"`
			content := fmt.Sprintf("user_id,nickname\n%s,%s\n", cells["user_id"], cells["nickname"])
			got := problems(t, content, roster.Options{Tenant: "dt", Chat: "c1"})
			if len(got) != 1 || !strings.HasPrefix(got[0], "line 2: column "+column+": ") || !strings.Contains(got[0], want) {
				t.Errorf("%s %q: %q, want one problem with %q", column, value, got, want)
			}
		}
	}
	for id, want := range map[string]string{
		"张三": "looks like a name, not an id", "ｕ１": "full-width", "'00123": "apostrophe", "123.0": "number with decimals",
		"nan": "empty value", "NULL": "empty value", "a\u200bb": "U+200B", "a b": "space",
	} {
		got := problems(t, "user_id,nickname\n"+id+",Ann\n", roster.Options{Tenant: "dt", Chat: "c1"})
		if len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("id %q: %q, want one problem with %q", id, got, want)
		}
	}
	got := problems(t, "chat_id,add_user_ids\nc1,u1;张三\n", roster.Options{Tenant: "dt"})
	if len(got) != 1 || !strings.Contains(got[0], "column add_user_ids: looks like a name") {
		t.Errorf("a list: %q", got)
	}
}

// A masked name that was exported from a list must not become the name of a student.
func TestDamagedValuesAreRefusedInTheColumnsOfEveryKind(t *testing.T) {
	t.Parallel()
	for _, k := range kinds.All() {
		for i, c := range k.Example {
			if c.Column == kinds.Previous || k.Column(c.Column).List {
				continue
			}
			var heads, cells []string
			for j, other := range k.Example {
				heads, cells = append(heads, other.Column), append(cells, other.Value)
				if i == j {
					cells[j] = "张**"
				}
			}
			content := strings.Join(heads, ",") + "\n" + strings.Join(cells, ",") + "\n"
			if got := problems(t, content, roster.Options{Kind: k.Name}); !slices.Contains(got, "line 2: column "+c.Column+": is masked, as in logs and lists: "+
				"export with --show-personal-data, or take the value from its source") {
				t.Errorf("%s of %s: %q", c.Column, k.Name, got)
			}
		}
	}
}

func TestUnusualNamesAreFine(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"👩\u200d👧 Ann", "-(^_^)-", "+1", "@Ann", "=)", "Ann (2)", "3-2", "1E5", "C++", "什么?", "#1", "null", "A…", "A&B", "O'Neill", "\u202fAnn", "1.5",
	} {
		if got := problems(t, "user_id,nickname\nu1,\""+name+"\"\n", roster.Options{Tenant: "dt", Chat: "c1"}); len(got) > 0 {
			t.Errorf("%q: %q", name, got)
		}
	}
}

func TestAProblemHasTheNameAndTheValueOfTheFile(t *testing.T) {
	t.Parallel()
	rows, err := read(t, "用户ID,昵称,租户\n张三,王五,hill\n", roster.Options{Chat: "c1"})
	if err != nil {
		t.Fatal(err)
	}
	got := rows[0].Explain(rows[0].Refusal(tasks.Limits{}))
	got = append(got, rows[0].Explain(&tasks.UnservedError{Tenant: "hill", Kind: tasks.KindNickname})...)
	got = append(got, rows[0].Explain(errors.New("x"))...)
	want := []roster.Problem{
		{Line: 2, Column: "用户ID", Value: "张三", What: "looks like a name, not an id: check that the columns are not swapped"},
		{
			Line: 2, Column: "租户", Value: "hill",
			What: `no worker serves nickname tasks of tenant "hill": no tenant is served for nickname tasks: start a worker, or look at its configuration`,
		},
		{Line: 2, What: "x"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEveryColumnHasASynonymOfItsOwn(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	columns := roster.CommonColumns()
	for _, kind := range kinds.Names() {
		columns = append(columns, roster.Columns(kind)...)
	}
	for _, column := range columns {
		for _, name := range append(roster.Synonyms(column), column) {
			if got, ok := roster.Column(name); !ok || got != column {
				t.Errorf("%s is %q, want %s", name, got, column)
			}
			if before, twice := seen[name]; twice && before != column {
				t.Errorf("%s is %s and %s", name, before, column)
			}
			seen[name] = column
		}
	}
	for _, name := range []string{"学号", "工号", "姓名", "序号", "备注", ""} {
		if column, ok := roster.Column(name); ok {
			t.Errorf("%s is taken for %s", name, column)
		}
	}
}

func FuzzRows(f *testing.F) {
	f.Add("kind,tenant,chat_id,user_id,nickname,at\nnickname,dt,c1,u1,张三,+10m\n\n,,,,,\nx\n", "dt", "c1", "")
	f.Add("\xef\xbb\xbfkind,tenant,add_user_ids,searchable\r\ngroup,dt,a;b,1\r\ngroup,dt,;,2\r\n", "", "", "group")
	f.Add("租户;类型;备选\n\"d\nt\";id;；;\n", "", "", "")
	f.Add("{\"user_id\":1,\"nickname\":[\"a\"]}\n{\"course_id\":7}\n", "dt", "c", "")
	f.Fuzz(func(t *testing.T, content, tenant, chat, kind string) {
		file, err := open(t, content, roster.Options{Tenant: tenant, Chat: chat, Kind: tasks.Kind(kind)})
		if err != nil {
			return
		}
		last := 0
		for row, err := range file.Rows() {
			if err != nil {
				return
			}
			if row.Line <= last {
				t.Errorf("line %d comes after line %d", row.Line, last)
			}
			last = row.Line
			refusal := row.Refusal(tasks.Limits{})
			if row.Request.Task == nil && refusal == nil {
				t.Errorf("line %d is well formed and no task", row.Line)
			}
			if refusal == nil {
				refusal = row.Request.Validate(tasks.Limits{})
			}
			if refusal != nil && len(row.Explain(refusal)) == 0 {
				t.Errorf("line %d is refused without a problem", row.Line)
			}
		}
	})
}

func TestACellThatWasMadeInertIsReadAsItWas(t *testing.T) {
	t.Parallel()
	file := "kind,tenant,chat_id,user_id,nickname,key\nnickname,lakeside-dt,c,'@ann,'=张三,''=x\n"
	rows, err := read(t, file, roster.Options{})
	if err != nil || len(rows) != 1 || len(rows[0].Problems) > 0 {
		t.Fatal(rows, err)
	}
	want := tasks.NicknameSync{Tenant: "lakeside-dt", ChatID: "c", UserID: "@ann", Nickname: "=张三"}
	if rows[0].Request.Task != want || rows[0].Request.Options.Key != "'=x" {
		t.Errorf("%+v", rows[0].Request)
	}
}
