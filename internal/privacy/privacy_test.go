package privacy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rollcall/internal/kinds"
	"rollcall/internal/privacy"
	"rollcall/tasks"
)

func TestAMaskShowsTheFirstAndTheLastCharacterAtMost(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "张三": "**", "chat1": "*****", "chat-7b-2026": "c…6(12)", "alice01": "a…1(7)",
		"欧阳建国先生": "欧…(6)", "三年二班 王芳": "三…(7)", "[monitor] 张三": "[…(12)", "Zoë Brontë": "Z…(10)", "\xffabcdef": "*…(7)",
	} {
		if got := privacy.Mask(text); got != want {
			t.Errorf("Mask(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestAMaskNeverShowsTheEndOfAChineseName(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z\[]{0,8}[一-龥]{1,6}`).Draw(t, "name")
		runes := []rune(name)
		if got := privacy.Mask(name); len(runes) > 1 && strings.Contains(got, string(runes[1:])) || strings.HasSuffix(strings.TrimRight(got, "()0123456789"), string(runes[len(runes)-1:])) {
			t.Fatalf("%s is shown as %s", name, got)
		}
	})
}

func TestAPlatformsMessageIsMaskedLikeThePayload(t *testing.T) {
	t.Parallel()
	words := privacy.Words(tasks.NicknameSync{Tenant: "lakeside-dt", ChatID: "chat1", UserID: "employee7", Nickname: "三年二班 王芳"})
	for text, want := range map[string]string{
		"user employee7 is not in chat1":        "user e…7(9) is not in chat1",
		"34001: [employee7]三年二班 王芳不在群里":         "34001: [e…7(9)]三…(7)不在群里",
		"employee77 and xemployee7 are others":  "employee77 and xemployee7 are others",
		"nothing of them, as in 40035":          "nothing of them, as in 40035",
		"employee7,employee7;employee7 thrice":  "e…7(9),e…7(9);e…7(9) thrice",
		"用户employee7的群昵称“三年二班 王芳”不合法，请检查userid": "用户e…7(9)的群昵称“三…(7)”不合法，请检查userid",
	} {
		if diff := cmp.Diff(want, privacy.Redact(text, words)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	id := privacy.Words(tasks.IDChange{Tenant: "t", UserID: "4", DingTalkID: "zhangsan01", Alternatives: []string{"zhangsan02"}})
	if got := privacy.Redact("400401: 4 cannot have zhangsan02", id); got != "400401: * cannot have z…2(10)" {
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
