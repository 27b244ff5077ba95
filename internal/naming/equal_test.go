package naming_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEqualNamesInAChatHaveStableSuffixes(t *testing.T) {
	t.Parallel()
	const plain = `{template: "{{.name}}", chats: {column: chat_id}}`
	for name, c := range map[string]struct {
		rule  string
		had   map[string]string
		lines []string
		want  map[string]string
	}{
		"by id, in each chat": {
			plain, nil,
			[]string{"u2|张伟|c1", "u1|张伟|c1", "u3|张伟|c2", "u4|李涛|c1"},
			map[string]string{"u1/c1": "张伟", "u2/c1": "张伟2", "u3/c2": "张伟", "u4/c1": "李涛"},
		},
		"who has the name keeps it": {
			plain,
			map[string]string{"u2/c1": "张伟"},
			[]string{"u1|张伟|c1", "u2|张伟|c1", "u3|张伟|c1"},
			map[string]string{"u1/c1": "张伟2", "u2/c1": "张伟", "u3/c1": "张伟3"},
		},
		"who has a number keeps it": {
			plain,
			map[string]string{"u1/c1": "张伟7", "u2/c1": "张伟"},
			[]string{"u1|张伟|c1", "u2|张伟|c1", "u3|张伟|c1"},
			map[string]string{"u1/c1": "张伟7", "u2/c1": "张伟", "u3/c1": "张伟2"},
		},
		"the other one left: no call is spent, and a returner has the name again": {
			plain,
			map[string]string{"u2/c1": "张伟2"},
			[]string{"u2|张伟|c1"},
			map[string]string{"u2/c1": "张伟2"},
		},
		"a newcomer takes the free name": {
			plain,
			map[string]string{"u2/c1": "张伟2"},
			[]string{"u2|张伟|c1", "u3|张伟|c1"},
			map[string]string{"u2/c1": "张伟2", "u3/c1": "张伟"},
		},
		"a number is not the name of another": {
			plain, nil,
			[]string{"u1|张伟|c1", "u2|张伟|c1", "u3|张伟2|c1"},
			map[string]string{"u1/c1": "张伟", "u2/c1": "张伟3", "u3/c1": "张伟2"},
		},
		"a renamed person keeps nothing": {
			plain,
			map[string]string{"u1/c1": "张三", "u2/c1": "班花"},
			[]string{"u1|张伟|c1", "u2|张伟|c1"},
			map[string]string{"u1/c1": "张伟", "u2/c1": "张伟2"},
		},
		"both claim it": {
			plain,
			map[string]string{"u1/c1": "张伟", "u2/c1": "张伟"},
			[]string{"u1|张伟|c1", "u2|张伟|c1"},
			map[string]string{"u1/c1": "张伟", "u2/c1": "张伟2"},
		},
		"the suffix is the rule's": {
			`{template: "{{.name}}", chats: {column: chat_id}, equal_names: {suffix: "（#）"}}`,
			map[string]string{"u2/c1": "张伟（4）"},
			[]string{"u1|张伟|c1", "u2|张伟|c1", "u3|张伟|c1"},
			map[string]string{"u1/c1": "张伟", "u2/c1": "张伟（4）", "u3/c1": "张伟（2）"},
		},
		"the name makes room for the number": {
			`{template: "{{.name}}", chats: {column: chat_id}, max: 12, max_width: 16}`, nil,
			[]string{"u1|七年级三班张伟同|c1", "u2|七年级三班张伟同|c1", "u3|七年级三班张伟学|c1"},
			map[string]string{"u1/c1": "七年级三班张伟同", "u2/c1": "七年级三班张伟2", "u3/c1": "七年级三班张伟学"},
		},
		"equal names are allowed": {
			`{template: "{{.name}}", chats: {column: chat_id}, equal_names: {allow: true}}`,
			map[string]string{"u2/c1": "张伟2"},
			[]string{"u1|张伟|c1", "u2|张伟|c1"},
			map[string]string{"u1/c1": "张伟", "u2/c1": "张伟"},
		},
		"a name that ends in a digit": {
			plain,
			map[string]string{"u2/c1": "7A22"},
			[]string{"u1|7A2|c1", "u2|7A2|c1", "u3|7A|c1", "u4|7A|c1"},
			map[string]string{"u1/c1": "7A2", "u2/c1": "7A22", "u3/c1": "7A", "u4/c1": "7A3"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			people := rows(append([]string{"user_id|name|chat_id"}, c.lines...)...)
			got := compile(t, c.rule).Apply(people, had(c.had))
			if diff := cmp.Diff(c.want, values(got)); diff != "" || len(got.Problems) > 0 {
				t.Errorf("names (-want +got):\n%s%+v", diff, got.Problems)
			}
		})
	}
}

func TestIDsAreNumberedAndPlannedForOnePersonEach(t *testing.T) {
	t.Parallel()
	type id struct {
		Person, Value, After string
		Alternatives         []string
		Swapped              bool
	}
	for name, c := range map[string]struct {
		rule  string
		had   map[string]string
		lines []string
		want  []id
	}{
		"collisions": {
			`{kind: id, alternatives: 2}`, nil,
			[]string{"u3|张伟", "u1|张伟", "u2|章伟", "u4|曾一"},
			[]id{
				{"u1", "zhangwei", "", []string{"zhangwei4", "zhangwei5"}, false},
				{"u2", "zhangwei2", "", []string{"zhangwei6", "zhangwei7"}, false},
				{"u3", "zhangwei3", "", []string{"zhangwei8", "zhangwei9"}, false},
				{"u4", "zengyi", "", []string{"zengyi2", "zengyi3"}, false},
			},
		},
		"short ones": {
			`{kind: id, alternatives: 1}`, nil,
			[]string{"u1|吴一", "u2|吴一", "u3|鄂娥"},
			[]id{{"u1", "wuyi01", "", []string{"wuyi03"}, false}, {"u2", "wuyi02", "", []string{"wuyi04"}, false}, {"u3", "ee0001", "", []string{"ee0002"}, false}},
		},
		"who has one keeps it": {
			`{kind: id, alternatives: 1}`,
			map[string]string{"u2": "zhangwei", "u3": "zhangwei5"},
			[]string{"u1|张伟", "u2|张伟", "u3|张伟"},
			[]id{{"u1", "zhangwei2", "", []string{"zhangwei3"}, false}, {"u2", "zhangwei", "", nil, false}, {"u3", "zhangwei5", "", nil, false}},
		},
		"one is handed on, after its owner has another": {
			`{kind: id, alternatives: 1}`,
			map[string]string{"u9": "zhangwei"},
			[]string{"u1|张伟", "u9|王芳芳"},
			[]id{{"u9", "wangfangfang", "", []string{"wangfangfang2"}, false}, {"u1", "zhangwei", "u9", nil, false}},
		},
		"a chain": {
			`{kind: id}`,
			map[string]string{"u8": "zhangwei", "u9": "wangfang"},
			[]string{"u1|张伟", "u8|王芳", "u9|李涛涛"},
			[]id{{"u9", "litaotao", "", nil, false}, {"u8", "wangfang", "u9", nil, false}, {"u1", "zhangwei", "u8", nil, false}},
		},
		"an exchange is not possible": {
			`{kind: id}`,
			map[string]string{"u1": "wangfang", "u2": "zhangwei"},
			[]string{"u1|张伟", "u2|王芳"},
			[]id{{"u1", "zhangwei2", "", nil, true}, {"u2", "wangfang", "u1", nil, false}},
		},
		"one whom the filter leaves out keeps theirs": {
			`{kind: id, filter: [{column: name, not_in: [王芳]}]}`,
			map[string]string{"u2": "zhangwei"},
			[]string{"u1|张伟", "u2|王芳"},
			[]id{{"u1", "zhangwei2", "", nil, false}},
		},
		"a template": {
			`{kind: id, template: "lakeside-{{last 4 .user_id}}"}`, nil, []string{"00u1|张伟"}, []id{{"00u1", "lakeside00u1", "", nil, false}},
		},
		"a long one": {
			`{kind: id, alternatives: 1}`, nil,
			[]string{"u1|欧阳双双双双双双"},
			[]id{{"u1", "ouyangshuangshua", "", []string{"ouyangshuangshua2"}, false}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result := compile(t, c.rule).Apply(rows(append([]string{"user_id|name"}, c.lines...)...), had(c.had))
			var got []id
			for _, n := range result.Named {
				got = append(got, id{n.Person, n.Value, n.After, n.Alternatives, n.Swapped})
			}
			if diff := cmp.Diff(c.want, got); diff != "" || len(result.Problems) > 0 {
				t.Errorf("IDs (-want +got):\n%s%+v", diff, result.Problems)
			}
		})
	}
}

func TestANameWithoutLettersGivesNoID(t *testing.T) {
	t.Parallel()
	got := compile(t, `{kind: id, template: "{{.name}}"}`).Apply(rows("user_id|name", "u1|张伟", "u2|1a", "u3|abcdef"), nil)
	if len(got.Named) != 1 || len(got.Problems) != 2 {
		t.Errorf("%+v", got)
	}
}
