package naming_test

import (
	"strings"
	"testing"
)

// A damaged value in any column that the rule uses is a problem of its row: somebody whom a
// damaged value of the filter left out would count as missing.
func TestADamagedValueOfAnyColumnIsAProblem(t *testing.T) {
	t.Parallel()
	const rule = `
columns: {person: 学号, name: 姓名}
filter: [{column: 状态, in: [在读]}]
template: '{{.name}}'
equal_names: {within: 班级}
chats: {column: 群}
`
	const fine = "S1|黄勇|在读|7A|chat1;chat2"
	for row, want := range map[string]string{
		fine:                                               "",
		"S1|黄勇|离校|#N/A|chat1":                              "", // not in the roster: nothing of the row is used
		"1.2E+10|黄勇|在读|7A|chat1":                           "column 学号: ",
		"S1|#REF!|在读|7A|chat1":                             "column 姓名: ",
		"S1|黄勇|#N/A|7A|chat1":                              "column 状态: ",
		"S1|黄勇|#VALUE!|7A|chat1":                           "column 状态: ",
		"S1|黄勇|\ufffd\ufffd|7A|chat1":                      "column 状态: ",
		"S1|黄勇|在读|=VLOOKUP(A1)|chat1":                      "column 班级: ",
		"S1|黄勇|在读|7A|#N/A":                                 "column 群: ",
		"S1|黄勇|在读|7A|chat1;1.0":                            "column 群: ",
		"S1|黄勇|在读|7A|chat1；七年级群":                           "column 群: ",
		"S1|黄勇|在读|" + strings.Repeat("7", 5000) + "|chat1": "column 班级: ",
	} {
		got := compile(t, rule).Apply(rows("学号|姓名|状态|班级|群", row), nil)
		switch {
		case want == "" && len(got.Problems) > 0, want != "" && (len(got.Problems) != 1 || len(got.Named) > 0 || got.Excluded > 0):
			t.Errorf("%.60s: %+v", row, got)
		case want != "" && !strings.HasPrefix(got.Problems[0].What, want):
			t.Errorf("%.60s: %s, want %s", row, got.Problems[0].What, want)
		}
	}

	// The classes of a map, each for itself.
	const mapped = `
columns: {person: 学号, name: 姓名}
template: '{{.name}}'
chats: {of: 班级, missing: skip, map: {7A: chat1}}
`
	got := compile(t, mapped).Apply(rows("学号|姓名|班级", "S1|黄勇|7A；#REF!", "S2|王芳|7A；7B"), nil)
	if len(got.Problems) != 1 || got.Problems[0].Row != 0 || len(got.Named) != 1 {
		t.Errorf("of classes: %+v", got)
	}
}
