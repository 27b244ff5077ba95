package kinds_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"rollcall/internal/kinds"
	"rollcall/tasks"
)

var update = flag.Bool("update", false, "rewrite the golden files: only for a new payload version")

const revision = 1763762142000000

// samples are the stored contract: a payload of each shape, by file name.
const tenant = "lakeside-dt"

func samples() map[string]tasks.Task {
	return map[string]tasks.Task{
		"nickname.json":         tasks.NicknameSync{Tenant: tenant, ChatID: "chat3929f", UserID: "u1", Nickname: "张三"},
		"nickname_literal.json": tasks.NicknameSync{Tenant: tenant, ChatID: "c", UserID: "u", Nickname: `[monitor] {"a":1} <&> 👩‍🏫`},
		"course.json":           tasks.CourseSync{Tenant: "lakeside-ci", CourseID: "561294"},
		"course_students.json":  tasks.CourseSync{Tenant: "lakeside-ci", CourseID: "561294", StudentUIDs: []string{"1445886", "1445887"}},
		"group_name.json":       tasks.GroupUpdate{Tenant: tenant, ChatID: "chat3929f", Name: "三年二班"},
		"group_full.json": tasks.GroupUpdate{
			Tenant: tenant, ChatID: "chat3929f", Name: "Class 3-2", Owner: "u1",
			OwnerType: tasks.OwnerEmployee, Icon: "@lADPDfmV", AddUserIDs: []string{"u2", "u3"}, DelUserIDs: []string{"u4"},
			AddExtIDs: []string{"x1"}, DelExtIDs: []string{"x2"}, Options: tasks.GroupOptions{
				MentionAllAuthority: new(1), ShowHistoryType: new(0), ValidationType: new(1),
				Searchable: new(0), ChatBannedType: new(0), ManagementType: new(1),
			},
		},
		"group_zero_option.json": tasks.GroupUpdate{Tenant: tenant, ChatID: "c", Options: tasks.GroupOptions{Searchable: new(0)}},
		"student.json":           tasks.StudentSync{Tenant: "lakeside-ci", StudentUID: "1445886", Name: "张三"},
		"id.json":                tasks.IDChange{Tenant: tenant, UserID: "u1", DingTalkID: "zhangsan01"},
		"id_alternatives.json": tasks.IDChange{
			Tenant: tenant, UserID: "u1", DingTalkID: "zhangsan01",
			Alternatives: []string{"zhangsan02", "zhangsan03"},
		},
	}
}

func TestPayloadsAreStoredAsTheyWereAndReadBack(t *testing.T) {
	t.Parallel()
	for name, task := range samples() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := task.Validate(tasks.Limits{}); err != nil {
				t.Fatal(err)
			}
			typename, payload, err := kinds.Encode(task, revision)
			if err != nil {
				t.Fatal(err)
			}
			got := typename + "\n" + string(payload) + "\n"
			path := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			golden, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(golden), got); diff != "" {
				t.Errorf("tasks that are stored today would be read otherwise tomorrow (-golden +got):\n%s", diff)
			}

			typename, line, _ := strings.Cut(string(golden), "\n")
			back, meta, err := kinds.Decode(typename, []byte(strings.TrimSpace(line)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(task, back); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			version := 1
			if name == "course_students.json" { // a worker of version 1 waits for one that knows the field
				version = 2
			}
			if diff := cmp.Diff(kinds.Meta{Version: version, Revision: revision}, meta); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeAsReadsOneKind(t *testing.T) {
	t.Parallel()
	want := tasks.CourseSync{Tenant: "lakeside-ci", CourseID: "561294"}
	_, payload, err := kinds.Encode(want, 7)
	if err != nil {
		t.Fatal(err)
	}
	got, meta, err := kinds.DecodeAs[tasks.CourseSync](payload)
	if err != nil || !cmp.Equal(got, want) || meta.Revision != 7 {
		t.Errorf("%+v %+v %v", got, meta, err)
	}
	if _, _, err := kinds.DecodeAs[tasks.NicknameSync](payload); err == nil || !strings.Contains(err.Error(), "course_id") {
		t.Errorf("read as another kind: %v", err)
	}
}

func TestAFieldOfALaterVersionIsRefusedInAnEarlierOne(t *testing.T) {
	t.Parallel()
	_, _, err := kinds.Decode(kinds.TypeCourseSync, []byte(`{"v":1,"rev":1,"tenant":"t","course_id":"1","student_uids":["2"]}`))
	if err == nil || !strings.Contains(err.Error(), "v: is 1, and the payload has a field of version 2") {
		t.Errorf("%v", err)
	}
	_, _, err = kinds.Decode(kinds.TypeCourseSync, []byte(`{"v":3,"rev":1}`))
	if newer, ok := errors.AsType[*kinds.NewerVersionError](err); !ok || newer.Known != 2 {
		t.Errorf("%v", err)
	}
}

func TestAPayloadIsRefusedByTheFieldAtFault(t *testing.T) {
	t.Parallel()
	const head = `{"v":1,"rev":1,"tenant":"t","chat_id":"c"`
	for payload, want := range map[string]string{
		``:                                       "payload of group:update: is not a JSON object",
		`[]`:                                     "is not a JSON object",
		`null`:                                   "is not a JSON object",
		`{`:                                      "ends too early",
		`{"rev":1,"tenant":"t"}`:                 "v: is missing",
		`{"v":0,"rev":1}`:                        "v: must be a whole number",
		`{"v":1.5,"rev":1}`:                      "v: must be a whole number",
		`{"v":"1","rev":1}`:                      "v: must be a whole number",
		`{"v":"v","rev":1}`:                      "v: must be a whole number",
		`{"v":{"v":1},"rev":1}`:                  "v: must be a whole number",
		`{"v":1,"tenant":"t"}`:                   "rev: is missing",
		`{"v":1,"rev":-3}`:                       "rev: is missing or below 1",
		`{"v":1,"rev":"5"}`:                      "rev: must be a JSON whole number",
		`{"v":1,"rev":1e30}`:                     "rev: must be a JSON whole number",
		`{"v":1,"rev":9007199254740992}`:         "rev: is 2^53 or above",
		`{"v":1,"rev":9223372036854775807}`:      "rev: is 2^53 or above",
		head + `,"nick":"n"}`:                    "nick: is not a field of version 1",
		head + `,"Name":"n"}`:                    `"Name": is not a field of version 1`,
		head + `,"name":1}`:                      "name: must be a JSON string",
		head + `,"name":null}`:                   "name: is null",
		head + `,"name":"a"}{}`:                  "goes on after its JSON object",
		head + `,"name":"a"} x`:                  "goes on after its JSON object",
		head + `,"chat_id":"d"}`:                 "chat_id: stands there twice",
		head + ",\"name\":\"\xff\"}":             "name: is not valid JSON in UTF-8",
		head + `,"name":"\ud800"}`:               "name: is not valid JSON in UTF-8",
		head + `,"add_user_ids":["a",2]}`:        "add_user_ids[1]: must be a JSON string",
		head + `,"add_user_ids":"a"}`:            "add_user_ids: must be a JSON array",
		head + `,"options":{"searchable":true}}`: "options.searchable: must be a JSON whole number",
		head + `,"options":{"searchable":null}}`: "options.searchable: is null",
		head + `,"options":{"dance":1}}`:         "options.dance: is not a field",
		head + `,"options":1}`:                   "options: must be a JSON object",
		head + `,"` + strings.Repeat("x", 999) + `":1}`:                   "is not a field",
		head + `,"name":"` + strings.Repeat("x", kinds.MaxPayload) + `"}`: "bytes, at most 65536",
	} {
		task, _, err := kinds.Decode(kinds.TypeGroupUpdate, []byte(payload))
		if _, ok := errors.AsType[*kinds.PayloadError](err); !ok || task != nil {
			t.Errorf("%.80s: %v, %v", payload, task, err)
			continue
		}
		if !strings.Contains(err.Error(), want) || len(err.Error()) > 300 {
			t.Errorf("%.80s: %q does not say %q", payload, err, want)
		}
	}
}

// The work of reading a payload must not grow with the square of its depth. The bound
// holds for every version: the version of a deep payload may be its last member.
func TestADeeplyNestedPayloadIsRefusedByItsDepth(t *testing.T) {
	t.Parallel()
	deep := func(open, within, end string, n int) string {
		return strings.Repeat(open, n) + within + strings.Repeat(end, n)
	}
	for name, payload := range map[string]string{
		"lists of a newer version":   `{"v":2,"new":` + deep("[", "", "]", 9000) + `}`,
		"objects of a newer version": `{"v":2,"new":` + deep(`{"a":`, "1", "}", 9000) + `}`,
		"version after the lists":    `{"new":` + deep("[", "", "]", 9000) + `,"v":2}`,
		"objects of this version":    `{"v":1,"rev":1,"options":` + deep(`{"a":`, "1", "}", 9000) + `}`,
		"a null in this version":     `{"v":1,"rev":1,"name":` + deep("[", "null", "]", 9000) + `}`,
		"never closed":               deep("[", "", "", 60_000),
		"one level too deep":         `{"v":2,"new":` + deep("[", "", "]", kinds.MaxDepth) + `}`,
	} {
		_, _, err := kinds.Decode(kinds.TypeGroupUpdate, []byte(payload))
		if _, ok := errors.AsType[*kinds.PayloadError](err); !ok || !strings.Contains(err.Error(), "nested") && name != "never closed" || len(err.Error()) > 300 {
			t.Errorf("%s: %.300v", name, err)
		}
	}
	_, _, err := kinds.Decode(kinds.TypeGroupUpdate, []byte(`{"v":2,"new":`+deep("[", "", "]", kinds.MaxDepth-1)+`}`))
	if _, ok := errors.AsType[*kinds.NewerVersionError](err); !ok {
		t.Errorf("as deep as allowed: %v", err)
	}
}

func TestAPayloadErrorDoesNotRepeatWhatThePayloadHolds(t *testing.T) {
	t.Parallel()
	for _, payload := range []string{
		`{"v":1,"rev":"张三"}`, `{"v":1,"rev":1,"tenant":["张三"]}`, `{"v":1,"rev":1,"nickname":"张三`, `{"v":"张三"}`,
	} {
		_, _, err := kinds.Decode(kinds.TypeNicknameSync, []byte(payload))
		if err == nil || strings.Contains(err.Error(), "张") {
			t.Errorf("%s: %v", payload, err)
		}
	}
}

func TestANewerVersionIsRecognisedWhateverItHolds(t *testing.T) {
	t.Parallel()
	for _, payload := range []string{`{"v":2}`, `{"tenant":null,"new":{"v":1},"v":12}`} {
		_, _, err := kinds.Decode(kinds.TypeNicknameSync, []byte(payload))
		newer, ok := errors.AsType[*kinds.NewerVersionError](err)
		if !ok || newer.Version < 2 || newer.Known != 1 {
			t.Errorf("%s: %v", payload, err)
		}
	}
}

func TestAnUnknownTypeIsRecognised(t *testing.T) {
	t.Parallel()
	_, _, err := kinds.Decode("email:send", []byte(`{"v":1,"rev":1}`))
	if unknown, ok := errors.AsType[*kinds.UnknownTypeError](err); !ok || unknown.Type != "email:send" {
		t.Errorf("%v", err)
	}
}

func TestATaskThatDoesNotFitIsNotEncoded(t *testing.T) {
	t.Parallel()
	ids := make([]string, 600)
	for i := range ids {
		ids[i] = strings.Repeat("x", 120) + string(rune('a'+i%26))
	}
	_, _, err := kinds.Encode(tasks.GroupUpdate{Tenant: tenant, ChatID: "c", AddUserIDs: ids}, 1)
	if err == nil || !strings.Contains(err.Error(), "split the member lists") {
		t.Errorf("%v", err)
	}
	if _, _, err := kinds.Encode(nick("u", "\xff"), 1); err == nil {
		t.Error("invalid UTF-8 was encoded")
	}
	pointer := nick("u", "A")
	if _, _, err := kinds.Encode(&pointer, 1); err == nil || !strings.Contains(err.Error(), "by value") {
		t.Errorf("a pointer: %v", err)
	}
}

// Any valid nickname arrives unchanged.
func TestANicknameIsKeptLiterally(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		task := nick("u1", rapid.StringOfN(rapid.Rune(), 1, 30, -1).Draw(t, "nickname"))
		if task.Validate(tasks.Limits{}) != nil {
			t.Skip("not a nickname")
		}
		_, payload, err := kinds.Encode(task, 1)
		if err != nil {
			t.Fatal(err)
		}
		back, _, err := kinds.DecodeAs[tasks.NicknameSync](payload)
		if err != nil || back != task {
			t.Fatalf("%q became %q: %v", task.Nickname, back.Nickname, err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, task := range samples() {
		typename, payload, err := kinds.Encode(task, revision)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(typename, payload)
	}
	f.Add(kinds.TypeGroupUpdate, []byte(`{"v":1,"rev":1,"add_user_ids":[],"options":{}}`))
	f.Add(kinds.TypeGroupUpdate, []byte(`{"v":2,"rev":1,"v":1}`))
	f.Fuzz(func(t *testing.T, typename string, payload []byte) {
		task, meta, err := kinds.Decode(typename, payload)
		if err != nil {
			return
		}
		again, encoded, err := kinds.Encode(task, meta.Revision)
		if err != nil {
			t.Fatalf("%s decodes and does not encode: %v", payload, err)
		}
		back, metaBack, err := kinds.Decode(again, encoded)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(task, back, cmpopts.EquateEmpty()); diff != "" || again != typename || meta != metaBack {
			t.Errorf("%s became %s:\n%s", payload, encoded, diff)
		}
	})
}
