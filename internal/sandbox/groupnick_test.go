package sandbox_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rollcall/internal/sandbox"
)

const nickDone = `{"errcode":0,"errmsg":"ok","success":true,"request_id":"ID"}`

func TestANicknameIsSetAndWrittenDown(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	got := r.nick(r.northToken(), "chat1", "bob", "张三 [monitor]")
	answers(t, got, 200, nickDone)
	if got.Type != "application/json;charset=UTF-8" {
		t.Errorf("Content-Type %q", got.Type)
	}
	if nick, ok := r.north().Nick("chat1", "bob"); !ok || nick != "张三 [monitor]" {
		t.Errorf("the platform believes %q", nick)
	}
	calls := r.box.Calls()
	want := []sandbox.Effect{{
		Number: 1, Call: 2, Time: morning(), API: sandbox.APIGroupNick, Organisation: "north", Tenant: "ding-north",
		Target:    sandbox.Target{Chat: "chat1", User: "bob"},
		Changes:   []sandbox.Change{{Field: "nick", Old: "Bobby", New: "张三 [monitor]"}},
		RequestID: calls[1].RequestID,
	}}
	if diff := cmp.Diff(want, r.box.Effects()); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
	wantCall := sandbox.Call{
		Number: 2, Time: morning(), API: sandbox.APIGroupNick, Method: "POST", Path: nickPath,
		Organisation: "north", Tenant: "ding-north", Target: sandbox.Target{Chat: "chat1", User: "bob"},
		Status: 200, Code: "0", Metered: true, Effect: 1,
	}
	if diff := cmp.Diff(wantCall, calls[1], cmpopts.IgnoreFields(sandbox.Call{}, "RequestID")); diff != "" {
		t.Errorf("call (-want +got):\n%s", diff)
	}
}

func TestSettingTheSameValueIsACallAndAnEffect(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	answers(t, r.nick(r.northToken(), "chat1", "bob", "Bobby"), 200, nickDone)
	if diff := cmp.Diff([]sandbox.Change{{Field: "nick", Old: "Bobby", New: "Bobby"}}, r.box.Effects()[0].Changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if spent := r.north().Spent; spent != 1 {
		t.Errorf("%d calls metered, want 1", spent)
	}
}

func TestAMemberRenamesThemselvesWithoutACall(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	if !r.box.Rename("north", "chat1", "bob", "the boss") {
		t.Fatal("bob is not in the chat")
	}
	if nick, _ := r.north().Nick("chat1", "bob"); nick != "the boss" {
		t.Errorf("the platform believes %q", nick)
	}
	want := []sandbox.Effect{{
		Number: 1, Time: morning(), Organisation: "north", Target: sandbox.Target{Chat: "chat1", User: "bob"},
		Changes: []sandbox.Change{{Field: "nick", Old: "Bobby", New: "the boss"}},
	}}
	if diff := cmp.Diff(want, r.box.Effects()); diff != "" || len(r.box.Calls()) != 0 || r.north().Spent != 0 {
		t.Errorf("%d calls; effects (-want +got):\n%s", len(r.box.Calls()), diff)
	}
	for _, no := range [][3]string{{"north", "chat1", "no-one"}, {"north", "chat9", "bob"}, {"south", "chat1", "bob"}} {
		if r.box.Rename(no[0], no[1], no[2], "x") {
			t.Errorf("%q were renamed", no)
		}
	}
}

func TestTheBodyMayBeAFormOrJSONAndTheTokenInQueryOrForm(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	token := r.northToken()
	inForm := url.Values{"access_token": {token}, "chatid": {"chat1"}, "userid": {"ann"}, "group_nick": {"Form"}}
	answers(t, r.must("POST", nickPath, formType, inForm.Encode()), 200, nickDone)
	answers(t, r.must("POST", nickPath+"?access_token="+token, "application/json",
		`{"chatid":"chat1","userid":"ann","group_nick":"<Json & \"co\">"}`), 200, nickDone)
	if nick, _ := r.north().Nick("chat1", "ann"); nick != `<Json & "co">` {
		t.Errorf("the platform believes %q", nick)
	}
}

func TestATokenInTheWrongPlaceIsNoToken(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	token := r.northToken()
	const blank = `{"errcode":88,"sub_code":"40000","sub_msg":"access_token is blank","errmsg":"ding talk error[subcode=40000,submsg=access_token is blank]","request_id":"ID"}`
	form := "chatid=chat1&userid=ann&group_nick=A"
	answers(t, r.must("POST", nickPath, formType, form, "x-acs-dingtalk-access-token", token), 200, blank)
	answers(t, r.must("POST", nickPath, formType, form, "Authorization", "Bearer "+token), 200, blank)
	answers(t, r.must("POST", nickPath, "application/json", `{"access_token":"`+token+`"}`), 200, blank)
	answers(t, r.nick("stale", "chat1", "ann", "A"), 200,
		`{"errcode":88,"sub_code":"40014","sub_msg":"illegal access_token","errmsg":"ding talk error[subcode=40014,submsg=illegal access_token]","request_id":"ID"}`)
}

func TestEachMistakeInANicknameCallHasItsCode(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	token := r.northToken()
	long := strings.Repeat("字", 30)
	for _, c := range []struct{ name, chat, user, nick, want string }{
		{"thirty characters fit", "chat1", "ann", long, "0"},
		{"thirty-one do not", "chat1", "ann", long + "字", "400002"},
		{"no nickname", "chat1", "ann", "", "400002"},
		{"no chat", "", "ann", "A", "400002"},
		{"no user", "chat1", "", "A", "400002"},
		{"not UTF-8", "chat1", "ann", "\xff", "400002"},
		{"unknown chat before unknown user", "nosuch", "unknown", "A", "34001"},
		{"unknown user before bad words", "chat1", "unknown", "casino", "40003"},
		{"disabled user", "chat1", "off", "A", "60120"},
		{"user out of sight", "chat1", "far", "A", "50002"},
		{"user of another chat before bad words", "chat1", "cat", "casino", "60124"},
		{"bad words", "chat1", "ann", "the casino", "41049"},
		{"an escape in place of a character", "chat1", "ann", `\u5f20`, "40033"},
		{"a backslash alone", "chat1", "ann", `a\b`, "0"},
	} {
		if got := r.nick(token, c.chat, c.user, c.nick); got.Status != 200 || code(got) != c.want {
			t.Errorf("%s: answer %d %s, want code %s", c.name, got.Status, got.Body, c.want)
		}
	}
	if got := len(r.box.Effects()); got != 2 {
		t.Errorf("%d effects, want those of the two calls that passed", got)
	}
}

func TestABodyThatCannotBeReadHasItsCode(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	path := nickPath + "?access_token=" + r.northToken()
	for _, c := range []struct{ name, contentType, body, want string }{
		{"no JSON", "application/json", `{"chatid":`, "47001"},
		{"escapes in JSON", "application/json", `{"chatid":"chat1","userid":"ann","group_nick":"\u003c"}`, "40033"},
		{"an escaped backslash before a u", "application/json", `{"chatid":"chat1","userid":"ann","group_nick":"\\u12"}`, "0"},
		{"an escaped backslash before what looks like an escape", "application/json", `{"chatid":"\\u0041","userid":"ann","group_nick":"A"}`, "34001"},
		{"keys in another case", "application/json", `{"chatId":"chat1","userId":"ann","group_nick":"A"}`, "400002"},
		{"a number for a name", "application/json", `{"chatid":"chat1","userid":"ann","group_nick":5}`, "400002"},
		{"a broken form", formType, "chatid=%zz", "400002"},
		{"another type", "text/plain", "chatid=chat1", "43004"},
		{"no type", "", "chatid=chat1", "43004"},
	} {
		if got := r.must("POST", path, c.contentType, c.body); got.Status != 200 || code(got) != c.want {
			t.Errorf("%s: answer %d %s, want code %s", c.name, got.Status, got.Body, c.want)
		}
	}
}

func TestAnAppWithoutThePermissionLearnsWhichOneItLacks(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	token := r.fetchToken("ding-bare", "b-secret")
	got := r.nick(token, "chat1", "ann", "A")
	if code(got) != "88/60011" || !strings.Contains(got.Body, "{requiredScopes=[qyapi_chat_manage]}") {
		t.Errorf("old host: %s", got.Body)
	}
	const denied = `{"code":"Forbidden.AccessDenied.AccessTokenPermissionDenied","requestid":"ID","message":"the app lacks the permission for this API","accessdenieddetail":{"requiredScopes":["`
	answers(t, r.group(token, `{"chatid":"chat1","name":"N"}`), 403, denied+`qyapi_chat_manage"]}}`)
	answers(t, r.changeID(token, "ann", "annnorth1"), 403, denied+`qyapi_manage_addresslist"]}}`)
	if spent := r.north().Spent; spent != 0 {
		t.Errorf("%d refused calls were metered", spent)
	}
}
