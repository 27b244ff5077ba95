package naming_test

import (
	"strings"
	"testing"

	"rollcall/internal/naming"
)

// nickname returns the only name that a template gives for a person with these columns.
func nickname(t *testing.T, settings, template string, person map[string]string) string {
	t.Helper()
	spec, err := naming.Parse([]byte("{chats: {column: chat_id}" + settings + "}"))
	if err != nil {
		t.Fatal(err)
	}
	spec.Template = template
	spec.Examples = []naming.Example{{Person: person, Nickname: "?"}}
	tried, err := naming.Try(spec)
	if err != nil {
		t.Fatal(err)
	}
	return tried[0].Got
}

func TestFunctionsOfTemplates(t *testing.T) {
	t.Parallel()
	person := map[string]string{"name": "欧阳小明", "class": "７A 班", "role": "班主任", "number": "2023010042", "empty": "", "latin": "Zoë Müller"}
	for template, want := range map[string]string{
		`{{.class}} {{.name}}`: "７A 班 欧阳小明",

		`{{half .class | replace " 班" ""}} {{surname .name}}`: "7A 欧阳",

		`{{given .name}}`:                       "小明",
		`{{pinyin .name}}`:                      "ouyangxiaoming",
		`{{pinyinName .name}}`:                  "Ouyang Xiaoming",
		`{{initials .name}}`:                    "oyxm",
		`{{upper (initials .name)}}`:            "OYXM",
		`{{pinyin .latin}}`:                     "zoemuller",
		`{{pinyinName .latin}}`:                 "ZoeMuller",
		`{{lower .latin}}`:                      "zoë müller",
		`{{first 2 .name}}{{last 4 .number}}`:   "欧阳0042",
		`{{first 0 .name}}{{last 0 .name}}x`:    "x",
		`{{first 99 .name}}{{last 99 .number}}`: "欧阳小明2023010042",

		`{{default "无" .empty}}{{default "x" .role}}`: "无班主任",

		`{{.name}}{{wrap "（" "）" .role}}{{wrap "（" "）" .empty}}`: "欧阳小明（班主任）",

		`{{if contains "主任" .role}}老师{{else}}学生{{end}}`: "老师",

		`{{if and (eq .role "班主任") (not .empty)}}a{{else if ne .role ""}}b{{end}}`: "a",

		`{{with .role}}{{.}} {{$.name}}{{end}}{{with .empty}}x{{else}}{{.number}}{{end}}`: "班主任 欧阳小明2023010042",
		`{{or .empty .name}}{{/* a comment */}}`:                                          "欧阳小明",
		"  {{.name}}  \t {{.empty}} x ":                                                   "欧阳小明 x",
		`{{role .role}}{{class .class}}`:                                                  "班主任七班",
	} {
		if got := nickname(t, `, roles: {学生: ""}, classes: {"7a 班": 七班}`, template, person); got != want {
			t.Errorf("%s gives %q, want %q", template, got, want)
		}
	}
}

func TestSurnamesHaveTheirOwnReadings(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"单雄信": "Shan Xiongxin", "曾国藩": "Zeng Guofan", "解缙": "Xie Jin", "仇英": "Qiu Ying", "区寄": "Ou Ji", "查良镛": "Zha Liangyong",
		"任正非": "Ren Zhengfei", "华罗庚": "Hua Luogeng", "尉迟恭": "Yuchi Gong", "朴树": "Piao Shu", "缪昌明": "Miao Changming",
		"翟志刚": "Zhai Zhigang", "盖叫天": "Ge Jiaotian", "万俟卨": "Moqi Xie", "长孙无忌": "Zhangsun Wuji", "令狐冲": "Linghu Chong",
		"单于丹": "Chanyu Dan", "诸葛亮": "Zhuge Liang", "單雄信": "Shan Xiongxin", "吕布": "Lyu Bu", "张伟": "Zhang Wei", "张 伟": "Zhang Wei",
		"乐毅": "Yue Yi", "种师道": "Chong Shidao", "欧阳": "Ou Yang", "买买提·艾力": "Maimaitiaili", "张": "Zhang", "Anna Li": "AnnaLi",
	} {
		if got := nickname(t, "", "{{pinyinName .name}}", map[string]string{"name": name}); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestARuleHasReadingsOfItsOwn(t *testing.T) {
	t.Parallel()
	const own = `, pinyin: {盖: gai, 张乐: zhang yue, 尉迟: wei chi, 欧阳重: ou yang chong}`
	for name, want := range map[string]string{
		"盖聂": "Gai Nie", "张乐": "Zhang Yue", "张乐天": "Zhang Letian", "尉迟恭": "Weichi Gong", "欧阳重": "Ouyang Chong", "王乐": "Wang Le",
	} {
		if got := nickname(t, own, "{{pinyinName .name}}", map[string]string{"name": name}); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestANameIsCutToWhatThePlatformTakesAndNeverInsideACharacter(t *testing.T) {
	t.Parallel()
	family := "👨‍👩‍👧‍👦" // seven code points
	for name, c := range map[string]struct{ settings, name, want string }{
		"thirty fit":              {"", strings.Repeat("名", 30), strings.Repeat("名", 30)},
		"one more does not":       {"", strings.Repeat("名", 31), strings.Repeat("名", 30)},
		"the chat's own limit":    {", max: 40", strings.Repeat("名", 41), strings.Repeat("名", 40)},
		"of a student":            {"", strings.Repeat("a", 40), strings.Repeat("a", 30)},
		"an emoji stays whole":    {"", strings.Repeat("名", 24) + family, strings.Repeat("名", 24)},
		"an emoji that fits":      {"", strings.Repeat("名", 23) + family + "x", strings.Repeat("名", 23) + family},
		"an accent stays":         {"", strings.Repeat("a", 29) + "e\u0301", strings.Repeat("a", 29)},
		"a flag stays whole":      {"", strings.Repeat("a", 29) + "🇨🇳", strings.Repeat("a", 29)},
		"no blank at the end":     {"", strings.Repeat("a", 29) + " bcd", strings.Repeat("a", 29)},
		"full width counts two":   {", max_width: 20", "七年级三班张伟同学家长们", "七年级三班张伟同学家"},
		"half width counts one":   {", max_width: 20", "7C 张伟同学家长们好啊", "7C 张伟同学家长们好"},
		"a full-width form":       {", max_width: 16", "ＡＢＣＤＥＦＧＨＩ", "ＡＢＣＤＥＦＧＨ"},
		"emoji are wide":          {", max_width: 16", strings.Repeat("👍", 9), strings.Repeat("👍", 8)},
		"the shorter template":    {`, shorter: "{{first 3 .name}}"`, strings.Repeat("名", 31), "名名名"},
		"a shorter that does not": {`, shorter: "{{.name}}长"`, strings.Repeat("名", 31), strings.Repeat("名", 30)},
	} {
		if got := nickname(t, c.settings, "{{.name}}", map[string]string{"name": c.name}); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestValuesThatGiveNoNameAreProblems(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ template, name, want string }{
		"empty":          {"{{.name}}", "", "(the template gives an empty name"},
		"too long":       {"{{.name}}", strings.Repeat("x", 5000), "(column name: the value is too long"},
		"grows too long": {`{{replace "x" "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy" .name}}`, strings.Repeat("x", 100), "(the template gives a text that is too long"},
		"a lost name":    {"{{.name}}", "张\ufffd", "(column name: has characters that were lost"},
		"a formula":      {"{{.name}}", "=A1", "(column name: is a formula"},
		"one character":  {"{{.name}}", "a" + strings.Repeat("\u0301", 40), "(the name begins with a character that is longer"},
	} {
		if got := nickname(t, "", c.template, map[string]string{"name": c.name}); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
