package privacy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/width"
	"pgregory.net/rapid"

	"rollcall/internal/kinds"
	"rollcall/internal/privacy"
	"rollcall/tasks"
)

func TestAMaskShowsTheFirstAndTheLastCharacterAtMost(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "王": "**", "张三": "张**", "王小明": "王**", "欧阳娜娜": "欧**", "司马相如子": "司**", "4": "**", "u1": "**", "chat1": "**", "Zoë": "**",
		"chat-7b-2026": "c…6(12)", "alice01": "a…1(7)", "欧阳建国先生": "欧…(6)", "三年二班 王芳": "三…(7)", "[monitor] 张三": "[…(12)",
		"Zoë Brontë": "Z…(10)", "\xffabcdef": "*…(7)", "\u202e张三": "**", "\u202eabcdef": "*…(7)",
	} {
		if got := privacy.Mask(text); got != want {
			t.Errorf("Mask(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestAMaskCannotBeReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.StringMatching(`[a-z\[]{0,3}[一-龥]{1,3}`).Draw(t, "a name")
		second := rapid.StringMatching(`[a-z\[]{0,3}[一-龥]{1,3}`).Draw(t, "another")
		runes := []rune(first)
		got := privacy.Mask(first)
		if strings.ContainsAny(strings.TrimPrefix(got, string(runes[:1])), string(runes[1:])) || len(runes) == 1 && got == first {
			t.Fatalf("%s is shown as %s", first, got)
		}
		// Neither the length nor more than the first character distinguishes short names.
		if len(runes) > 1 && len(runes) < 6 && len([]rune(second)) > 1 && len([]rune(second)) < 6 && runes[0] == []rune(second)[0] {
			if other := privacy.Mask(second); got != other {
				t.Fatalf("%s and %s are shown as %s and %s", first, second, got, other)
			}
		}
	})
}

func TestAPlatformsMessageIsMaskedLikeThePayload(t *testing.T) {
	t.Parallel()
	nickname := privacy.Words(tasks.NicknameSync{Tenant: "lakeside-dt", ChatID: "chat1", UserID: "employee7", Nickname: "三年二班 王芳"})
	group := privacy.Words(tasks.GroupUpdate{Tenant: "lakeside-dt", ChatID: "chat1", Name: "Zoë Brontë", Owner: "4", AddUserIDs: []string{"u1", "employee7"}})
	id := privacy.Words(tasks.IDChange{Tenant: "t", UserID: "4", DingTalkID: "zhangsan01", Alternatives: []string{"zhangsan02"}})
	for _, c := range []struct {
		words      []string
		text, want string
	}{
		{nickname, "user employee7 is not in chat1", "user e…7(9) is not in chat1"},
		{nickname, "34001: [employee7]三年二班 王芳不在群里", "34001: [e…7(9)]三…(7)不在群里"},
		{nickname, "employee7,employee7;employee7 thrice", "e…7(9),e…7(9);e…7(9) thrice"},
		{nickname, "用户employee7的群昵称“三年二班 王芳”不合法，请检查userid", "用户e…7(9)的群昵称“三…(7)”不合法，请检查userid"},
		{nickname, "nothing of them, as in 40035", "nothing of them, as in 40035"},
		// Other forms of the same.
		{nickname, "EMPLOYEE7 or Employee7", "e…7(9) or e…7(9)"},
		{nickname, "ｅｍｐｌｏｙｅｅ７：三年二班　王芳", "e…7(9)：三…(7)"},
		{nickname, "em\u200bployee\u00ad7 and 王\ufeff芳", "e…7(9) and 王**"},
		{nickname, `{"user":"\u0065mployee7","nick":"\u4e09\u5e74\u4e8c\u73ed \u738b\u82b3"}`, `{"user":"e…7(9)","nick":"三…(7)"}`},
		{nickname, "nick=%E4%B8%89%E5%B9%B4%E4%BA%8C%E7%8F%AD%20%e7%8e%8b%e8%8a%b3&user=employee7", "nick=三…(7)&user=e…7(9)"},
		{nickname, "&#29579;&#x82b3; &amp; &quot;employee7&quot;", "王** &amp; &quot;e…7(9)&quot;"},
		{nickname, `\nemployee7 at %2Femployee7/`, `\ne…7(9) at %2Fe…7(9)/`},
		{group, "ZOE\u0308 BRONTE\u0308", "Z…(10)"},
		// Parts, and what is cut.
		{nickname, "昵称包含敏感词：王芳", "昵称包含敏感词：王**"},
		{group, "Ms Brontë is no member", "Ms B…(6) is no member"},
		{nickname, "a long message about emplo…", "a long message about **…"},
		{nickname, "一个很长的消息：三年二班 王…", "一个很长的消息：三**…"},
		// Short words are in other words.
		{id, "400401: 4 cannot have zhangsan02", "400401: ** cannot have z…2(10)"},
		{group, "u1 of u12, error 4: 44", "** of u12, error **: 44"},
	} {
		if diff := cmp.Diff(c.want, privacy.Redact(c.text, c.words)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.text, diff)
		}
	}
}

func TestANameOfOneCharacterBlanksNoMessage(t *testing.T) {
	t.Parallel()
	const message = "用户不在群里，请检查 userid (a, 1)! = 不"
	for name, want := range map[string]string{
		"不": "用户不在群里，请检查 userid (a, 1)! = **", "用": message, "a": "用户不在群里，请检查 userid (**, 1)! = 不", " ": message, "，": message, "!": message, "=": message, "": message,
	} {
		if diff := cmp.Diff(want, privacy.Redact(message, []string{name})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", name, diff)
		}
	}
}

// In every position and form of a name no two characters of it are left.
func TestNoPartOfANameIsLeftInAMessage(t *testing.T) {
	t.Parallel()
	write := map[string]func(string) string{
		"plain": func(s string) string { return s },
		"upper": strings.ToUpper,
		"wide":  width.Widen.String,
		"URL":   url.PathEscape,
		"JSON":  func(s string) string { return strings.Trim(strconv.QuoteToASCII(s), `"`) },
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[一-龥]{2,4}|[一-龥]{3,5} [一-龥]{2,3}|[A-Za-z]{6,9}[0-9]{0,3}`).Draw(t, "name")
		form := rapid.SampledFrom([]string{"plain", "upper", "wide", "URL", "JSON"}).Draw(t, "form")
		before := rapid.SampledFrom([]string{"", "用户", "user ", "[", `"`, "\n"}).Draw(t, "before")
		after := rapid.SampledFrom([]string{"", "不在群里", " is absent", "]", `"`, "…"}).Draw(t, "after")
		text := before + write[form](name) + after
		got := privacy.Redact(text, []string{name})
		if want := before + privacy.Mask(name) + after; got != want {
			t.Fatalf("%q is shown as %q, want %q", text, got, want)
		}
	})
}

func FuzzRedact(f *testing.F) {
	f.Add("user \\u005A%e7%8e&#x82b3; …", "Zoë")
	f.Add("\\ud83d\\u", "\xff")
	f.Fuzz(func(t *testing.T, text, word string) {
		got := privacy.Redact(text, []string{word})
		if utf8.ValidString(text) && utf8.ValidString(word) && !utf8.ValidString(got) {
			t.Errorf("%q of %q is not UTF-8", got, text)
		}
		if privacy.Redact(text, nil) != text {
			t.Errorf("%q changed without a word", text)
		}
	})
}

func TestThePeopleOfAPayloadThatCannotBeReadAreMasked(t *testing.T) {
	t.Parallel()
	for name, payload := range map[string]string{
		"newer": `{"v":9,"rev":1,"tenant":"lakeside-dt","user_id":"employee7","extra":{"names":["王芳"]}}`,
		"cut":   `{"v":1,"user_id":"employee7","nickname":"王芳","chat_id":"ch`,
		"deep":  `{"user_id":"employee7","nickname":"王芳","x":` + strings.Repeat("[", 1<<16),
	} {
		words := privacy.WordsOf(kinds.TypeNicknameSync, []byte(payload))
		if got := privacy.Redact("employee7: 王芳 user_id of lakeside-dt", words); got != "e…7(9): 王** user_id of lakeside-dt" {
			t.Errorf("%s: %s", name, got)
		}
	}
	if words := privacy.WordsOf("somebody:else", []byte("\xff no JSON")); len(words) != 0 {
		t.Errorf("words %q", words)
	}
}

func TestThePeopleOfATargetAreKnown(t *testing.T) {
	t.Parallel()
	words := append(privacy.WordsOfTarget(tasks.KindNickname, "chat1/dept%2Femployee7"), privacy.WordsOfValue(tasks.KindNickname, "nickname", "王芳")...)
	words = append(words, privacy.WordsOfValue(tasks.KindGroup, "owner", "emp:owner77")...)
	words = append(words, privacy.WordsOfValue(tasks.KindGroup, "icon", "@media")...)
	if got := privacy.Redact("dept/employee7 王芳 owner77 @media chat1", words); got != "d…7(14) 王** o…7(7) @media chat1" {
		t.Error(got)
	}
}

func TestNoWordOfATaskOfAnyKindIsLeftInItsMask(t *testing.T) {
	t.Parallel()
	for _, task := range []tasks.Task{
		tasks.NicknameSync{Tenant: "lakeside-dt", ChatID: "chat1", UserID: "employee7", Nickname: "Zoë Brontë"},
		tasks.GroupUpdate{
			Tenant: "lakeside-dt", ChatID: "chat1", Name: "王芳和她的朋友", Owner: "employee8", AddUserIDs: []string{"employee9"},
			DelUserIDs: []string{"employee10"}, AddExtIDs: []string{"union-11"}, DelExtIDs: []string{"union-12"},
		},
		tasks.IDChange{Tenant: "lakeside-dt", UserID: "employee7", DingTalkID: "zhangsan01", Alternatives: []string{"zhangsan02"}},
	} {
		_, payload, err := kinds.Encode(privacy.Task(task), 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range privacy.Words(task) {
			if word == "" || strings.Contains(string(payload), word) {
				t.Errorf("%T: %q is in %s", task, word, payload)
			}
		}
	}
}

// A value that masks itself stays masked where no logger of ours prints it.
func TestAValueIsMaskedHoweverItIsPrinted(t *testing.T) {
	t.Parallel()
	value := privacy.Personal("Zoë Brontë")
	var foreign bytes.Buffer
	slog.New(slog.NewTextHandler(&foreign, nil)).Info("done", "target", value)
	slog.New(slog.NewJSONHandler(&foreign, nil)).Info("done", "target", value)
	inJSON, err := json.Marshal(map[string]any{"name": value})
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{
		foreign.String(), string(inJSON), fmt.Sprint(value), fmt.Sprintf("%s %v %+v %#v", value, value, value, value), fmt.Errorf("of %v", value).Error(),
	} {
		if strings.Contains(got, "Brontë") || !strings.Contains(got, "Z…(10)") {
			t.Errorf("printed: %s", got)
		}
	}
}

func TestATargetNamesItsPlaceAndNotItsPerson(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind      tasks.Kind
		key, want string
	}{
		{tasks.KindNickname, "c1/employee7", "c1/e…7(9)"},
		{tasks.KindID, "employee7", "e…7(9)"},
		{tasks.KindCourse, "course-1234", "course-1234"},
		{tasks.KindGroup, "chat-12345", "chat-12345"},
		{tasks.KindNickname, "", ""},
	} {
		if got := privacy.Target(c.kind, c.key); got != c.want {
			t.Errorf("%s %s is shown as %q, want %q", c.kind, c.key, got, c.want)
		}
	}
}
