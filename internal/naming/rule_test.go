package naming_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rollcall/internal/naming"
	"rollcall/tasks"
)

// compile compiles a rule in YAML.
func compile(t rapid.TB, rule string) *naming.Rule {
	t.Helper()
	spec, err := naming.Parse([]byte(rule))
	if err != nil {
		t.Fatal(err)
	}
	r, err := naming.Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// rows makes people of lines with cells that | separates; the first has the columns.
func rows(lines ...string) []naming.Person {
	columns := strings.Split(lines[0], "|")
	var people []naming.Person
	for _, line := range lines[1:] {
		people = append(people, naming.Person{At: "line", Columns: columns, Fields: strings.Split(line, "|")})
	}
	return people
}

// values are the values of a result, by person and chat.
func values(r naming.Result) map[string]string {
	all := map[string]string{}
	for _, n := range r.Named {
		all[strings.TrimSuffix(n.Person+"/"+n.Chat, "/")] = n.Value
	}
	return all
}

// had is what people have, by person and chat as in values.
func had(of map[string]string) naming.Had {
	return func(person, chat string) string { return of[strings.TrimSuffix(person+"/"+chat, "/")] }
}

const school = `
columns: {person: 学号, name: 姓名, class: 班级, role: 身份}
filter:
  - {column: 状态, not_in: [离校, 休学]}
  - {column: role, in: [学生, 班长, 老师]}
template: '{{class .class}} {{.name}}{{wrap "（" "）" (role .role)}}'
roles: {学生: ""}
classes: {七年级3班: 7C}
chats: {map: {七年级3班: chat7c, 8A: chat8a;chat8}}
examples:
  - {person: {姓名: 黄勇, 班级: 七年级３班, 身份: 班长}, nickname: 7C 黄勇（班长）}
  - {person: {name: 张伟, class: 8A, role: 学生}, nickname: 8A 张伟}
  - {person: {姓名: 李涛, 身份: 学生, 状态: 离校}, left_out: true}
`

func TestPeopleOfARosterAreNamedByFilterTemplateAndChats(t *testing.T) {
	t.Parallel()
	rule := compile(t, school)
	got := rule.Apply(rows(
		"学号|姓名|班级|身份|状态",
		"u1|黄勇|七年级3班|班长|",
		"u2|张 伟 |8A|学生|在读",
		"u3|李涛|8A|学生|离校",
		"u4|王芳|8A|家长|",
		"u5|赵敏|9A|学生|",
		"|钱进|8A|学生|",
		"u7|#N/A|8A|学生|",
		"u8|孙 伟|七年级３班;8a|老师|",
	), nil)
	want := map[string]string{
		"u1/chat7c": "7C 黄勇（班长）", "u2/chat8a": "8A 张 伟", "u2/chat8": "8A 张 伟",
		"u8/chat7c": "七年级３班;8a 孙 伟（老师）", "u8/chat8a": "七年级３班;8a 孙 伟（老师）", "u8/chat8": "七年级３班;8a 孙 伟（老师）",
	}
	if diff := cmp.Diff(want, values(got)); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	var problems []string
	for _, p := range got.Problems {
		problems = append(problems, p.Person+": "+p.What)
	}
	wantProblems := []string{
		"u5: class 9A is not in chats.map: add it there, or write missing: skip",
		": column 学号 is missing",
		"u7: column 姓名: is an error value of a spreadsheet: correct the formula, or enter the value",
	}
	if diff := cmp.Diff(wantProblems, problems); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if got.Excluded != 2 {
		t.Errorf("%d people are left out, want 2", got.Excluded)
	}
	if diff := cmp.Diff([]string{"filter 1: 状态: 休学"}, got.Unused); diff != "" {
		t.Errorf("unused values (-want +got):\n%s", diff)
	}
}

func TestARuleNamesTheColumnsThatAReadingLacks(t *testing.T) {
	t.Parallel()
	rule := compile(t, school)
	if err := rule.Check([]string{"学号", "姓名", "班级", "身份", "状态", "电话"}); err != nil {
		t.Error(err)
	}
	err := rule.Check([]string{"学号", "名字", "班级", "状态"})
	if err == nil || !strings.Contains(err.Error(), "no column 姓名, 身份 (it has 学号, 名字, 班级, 状态)") {
		t.Errorf("%v", err)
	}
	people := rows("学号|名字", "u1|张伟")
	if got := rule.Apply(people, nil); len(got.Named) > 0 || len(got.Problems) != 1 {
		t.Errorf("%+v", got)
	}
}

func TestStudentsHaveOneNameAndNoChat(t *testing.T) {
	t.Parallel()
	rule := compile(t, `{kind: student, template: "{{.class}} {{.name}}", equal_names: {suffix: (#), within: class}}`)
	got := rule.Apply(rows("student_uid|name|class", "1445886|张伟|7A", "1445887|张伟|7A", "1445888|张伟|7B", "abc|李涛|7B"), nil)
	want := map[string]string{"1445886": "7A 张伟", "1445887": "7A 张伟(2)", "1445888": "7B 张伟"}
	if diff := cmp.Diff(want, values(got)); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if len(got.Problems) != 1 || got.Problems[0].Person != "abc" {
		t.Errorf("problems: %+v", got.Problems)
	}
	if rule.Kind() != tasks.KindStudent {
		t.Errorf("kind %s", rule.Kind())
	}
}

// A source has a row for each class of a person.
func TestRowsOfOnePersonAreOneOrContradictEachOther(t *testing.T) {
	t.Parallel()
	rule := compile(t, `{template: "{{.name}}", chats: {column: chat_id}}`)
	got := rule.Apply(rows("user_id|name|chat_id", "u1|张伟|c1", "u1|张伟|c1; c2", "u2|李涛|c1", "u2|李滔|c1", "u2|李涛|c2"), nil)
	want := map[string]string{"u1/c1": "张伟", "u1/c2": "张伟", "u2/c2": "李涛"}
	if diff := cmp.Diff(want, values(got)); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if len(got.Problems) != 2 || got.Problems[0].Row != 2 || got.Problems[1].Row != 3 {
		t.Errorf("problems: %+v", got.Problems)
	}
}

func TestTheVersionChangesWithWhatTheRuleDoes(t *testing.T) {
	t.Parallel()
	version := func(rule string) string { return compile(t, rule).Version() }
	const base = `{template: "{{.name}}", chats: {column: chat_id}`
	same := version(base + "}")
	for _, rule := range []string{
		base + `, examples: [{person: {name: 张伟}, nickname: 张伟}]}`,
		`{chats: {column: chat_id}, template: "{{.name}}"}`,
	} {
		if version(rule) != same {
			t.Errorf("%s has another version", rule)
		}
	}
	for _, rule := range []string{
		`{template: "{{.name}} ", chats: {column: chat_id}}`, base + `, filter: [{column: role, in: [x]}]}`, base + `, roles: {a: b}}`,
		base + `, pinyin: {乐: yue}}`, base + `, max: 20}`, base + `, equal_names: {suffix: (#)}}`, base + `, columns: {name: 姓名}}`,
	} {
		if version(rule) == same {
			t.Errorf("%s has the same version", rule)
		}
	}
}

func TestAnUnusableRuleIsRefusedWithEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	const ok = `chats: {column: chat_id}, `
	for rule, want := range map[string]string{
		`{` + ok + `}`:                                                                      "template is missing",
		`{template: "{{.name}}"}`:                                                           "chats must have exactly one of column",
		`{kind: course, template: x}`:                                                       `kind "course": must be nickname, student or id`,
		`{kind: student, template: x, max: 30}`:                                             "ClassIn cuts names of students after 24 characters",
		`{kind: student, template: x, chats: {column: c}}`:                                  "chats is only for the kind nickname",
		`{kind: id, max: 20}`:                                                               "are not for the kind id",
		`{kind: id, alternatives: 11}`:                                                      "must be 0 to 10",
		`{` + ok + `template: x, alternatives: 1}`:                                          "only for the kind id",
		`{` + ok + `template: x, max: 5}`:                                                   "must be 12 to 256 characters",
		`{` + ok + `template: x, max_width: 10}`:                                            "must be 16 to 60",
		`{` + ok + `template: "{{.name"}`:                                                   "template:1: unclosed action",
		`{` + ok + `template: "{{range .name}}x{{end}}"}`:                                   "is not allowed here: a name has only values, functions, if and with",
		`{` + ok + `template: "{{range 1000000000}}x{{end}}"}`:                              "is not allowed here",
		`{` + ok + `template: '{{define "t"}}{{template "t"}}{{end}}{{template "t"}}'}`:     "define, block",
		`{` + ok + `template: '{{template "template"}}'}`:                                   "is not allowed here",
		`{` + ok + `template: '{{printf "%0999999999d" 1}}'}`:                               "printf is not allowed: functions are and, class, contains",
		`{` + ok + `template: '{{index .name 1}}'}`:                                         "index is not allowed",
		`{` + ok + `template: '{{env "HOME"}}'}`:                                            `function "env" not defined: functions are and, class`,
		`{` + ok + `template: '{{$x := .name}}{{$x}}'}`:                                     "variables are not allowed",
		`{` + ok + `template: '{{.name.first}}'}`:                                           "must be one column",
		`{` + ok + `template: '{{.}}'}`:                                                     "the dot alone is only for the inside of with",
		`{` + ok + `template: '{{with .role}}{{.name}}{{end}}'}`:                            "write $.name",
		`{` + ok + `template: '{{first .name 4}}'}`:                                         "first is used as in {{first 4 .name}}",
		`{` + ok + `template: '{{first 99999 .name}}'}`:                                     "must be a whole number",
		`{` + ok + `template: '{{eq .role "a"}}'}`:                                          "gives true or false, not a text",
		`{` + ok + `template: '{{.name "x"}}'}`:                                             ".name is not a function",
		`{` + ok + `template: '{{not}}'}`:                                                   "not needs one value",
		`{` + ok + `template: '{{and .a true}}'}`:                                           "needs texts alone, or conditions alone",
		`{` + ok + `template: x, shorter: '{{nil}}'}`:                                       "shorter:1",
		`{` + ok + `template: x, filter: [{column: a}]}`:                                    "filter 1: must have exactly one of in, not_in and matches",
		`{` + ok + `template: x, filter: [{in: [a]}]}`:                                      "filter 1: column is missing",
		`{` + ok + `template: x, filter: [{column: a, matches: "("}]}`:                      "filter 1: matches: error parsing regexp",
		`{` + ok + `template: x, equal_names: {suffix: "2"}}`:                               "must contain one #",
		`{` + ok + `template: x, equal_names: {suffix: "##"}}`:                              "must contain one #",
		`{` + ok + `template: x, equal_names: {suffix: "1#"}}`:                              "must not contain digits",
		`{` + ok + `template: x, equal_names: {suffix: "#\t"}}`:                             "only visible characters",
		`{` + ok + `template: x, equal_names: {allow: true, suffix: "#"}}`:                  "no use for suffix",
		`{` + ok + `template: x, pinyin: {单: dan1}}`:                                        "pinyin: 单: dan1: write a syllable for each",
		`{` + ok + `template: x, columns: {name: ""}}`:                                      "columns has an empty entry",
		`{template: x, chats: {map: {7A: ""}}}`:                                             "7A has no chat id",
		`{template: x, chats: {map: {7A: a, ７a: b}}}`:                                       "is in the map twice",
		`{template: x, chats: {map: {7A: a}, missing: ignore}}`:                             "must be report or skip",
		`{` + ok + `template: x, examples: [{nickname: x}]}`:                                "example 1: person is missing",
		`{` + ok + `template: x, examples: [{person: {a: b}}]}`:                             "example 1: must have exactly one of",
		`{` + ok + `template: x, examples: [{person: {a: b}, id: x}]}`:                      "the rule is of kind nickname: write nickname",
		`{` + ok + `template: "{{.name}}", examples: [{person: {name: 张伟}, nickname: 张三}]}`: `example 1: the rule gives "张伟", not "张三"`,
	} {
		spec, err := naming.Parse([]byte(rule))
		if err == nil {
			_, err = naming.Compile(spec)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", rule, err, want)
		}
	}
	if _, err := naming.Parse([]byte("{template: x, nickname: y}")); err == nil || !strings.Contains(err.Error(), "nickname") {
		t.Errorf("an unknown key: %v", err)
	}
	spec, err := naming.Parse([]byte(`{max: 5, template: "{{", filter: [{}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := naming.Compile(spec); err == nil || len(strings.Split(err.Error(), "\n")) < 4 {
		t.Errorf("not everything is reported: %v", err)
	}
}
