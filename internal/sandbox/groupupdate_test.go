package sandbox_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/sandbox"
)

const groupPath = "/v1.0/im/group/update"

func (r *rig) chat1() sandbox.Chat {
	r.t.Helper()
	for _, c := range r.north().Chats {
		if c.ID == "chat1" {
			return c
		}
	}
	r.t.Fatal("the state knows no chat1")
	return sandbox.Chat{}
}

func TestAGroupUpdateChangesWhatItNamesAndNothingElse(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	got := r.group(r.northToken(), `{"chatid":"chat1","name":"三年级","owner":"bob","ownerType":"emp","add_useridlist":["cat","ann"],
		"del_useridlist":["off","eve-was-never-here"],"icon":"@media"}`)
	if code(got) != "parameter.invalid" {
		t.Fatalf("an unknown user in a list: %s", got.Body)
	}
	before := r.chat1()
	if diff := cmp.Diff("Class 1", before.Name); diff != "" || len(r.box.Effects()) != 0 {
		t.Fatalf("a refused update left something behind: %s", diff)
	}
	got = r.group(r.northToken(), `{"chatid":"chat1","name":"三年级","owner":"bob","ownerType":"emp","add_useridlist":["cat","ann"],
		"del_useridlist":["off","cat"],"add_extidlist":["u-guest","u-ann"],"del_extidlist":["u-ann"],"icon":"@media","unknownKey":1}`)
	answers(t, got, 200, `{"success":true}`)
	if got.Type != "application/json" {
		t.Errorf("Content-Type %q", got.Type)
	}
	want := sandbox.Chat{
		ID: "chat1", Name: "三年级", Owner: "bob", OwnerType: "emp", Icon: "@media",
		Members:   []sandbox.Member{{UserID: "ann"}, {UserID: "bob", Nick: "Bobby"}, {UserID: "far"}},
		Externals: []string{"u-guest"},
	}
	if diff := cmp.Diff(want, r.chat1()); diff != "" {
		t.Errorf("chat (-want +got):\n%s", diff)
	}
	changes := []sandbox.Change{
		{Field: "name", Old: "Class 1", New: "三年级"},
		{Field: "icon", New: "@media"},
		{Field: "member", New: "cat"},
		{Field: "member", Old: "off"},
		{Field: "member", Old: "cat"},
		{Field: "external", New: "u-guest"},
		{Field: "external", New: "u-ann"},
		{Field: "external", Old: "u-ann"},
		{Field: "ownerType", New: "emp"},
		{Field: "owner", Old: "ann", New: "bob"},
	}
	if diff := cmp.Diff(changes, r.box.Effects()[0].Changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

func TestAnUpdateThatFailsAtItsLastStepLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	token := r.northToken()
	answers(t, r.group(token, `{"chatid":"chat1","add_extidlist":["u-guest","u-ann"],"managementOptions":{"searchable":0}}`), 200, `{"success":true}`)
	before := r.chat1()
	got := r.group(token, `{"chatid":"chat1","name":"N","icon":"@i","add_useridlist":["cat"],"del_useridlist":["bob"],"del_extidlist":["u-guest"],
		"owner":"cat","managementOptions":{"searchable":1,"managementType":2}}`)
	if code(got) != "parameter.invalid" {
		t.Errorf("answer %s", got.Body)
	}
	if diff := cmp.Diff(before, r.chat1()); diff != "" {
		t.Errorf("chat (-before +after):\n%s", diff)
	}
}

func TestAnExplicitZeroIsWrittenDownAndAnAbsentOptionIsNot(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	token := r.northToken()
	answers(t, r.group(token, `{"chatid":"chat1","managementOptions":{"searchable":0,"chatBannedType":1}}`), 200, `{"success":true}`)
	if diff := cmp.Diff(map[string]int{"searchable": 0, "chatBannedType": 1}, r.chat1().Options); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
	answers(t, r.group(token, `{"chatid":"chat1","managementOptions":{"mentionAllAuthority":1,"showHistoryType":1,"validationType":1,"chatBannedType":0,"managementType":1}}`), 200, `{"success":true}`)
	want := []sandbox.Change{
		{Field: "managementOptions.mentionAllAuthority", New: "1"},
		{Field: "managementOptions.showHistoryType", New: "1"},
		{Field: "managementOptions.validationType", New: "1"},
		{Field: "managementOptions.chatBannedType", Old: "1", New: "0"},
		{Field: "managementOptions.managementType", New: "1"},
	}
	if diff := cmp.Diff(want, r.box.Effects()[1].Changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

func TestEachMistakeInAGroupUpdateIsRefusedAsAWhole(t *testing.T) {
	t.Parallel()
	crowd := sandbox.Organisation{Name: "crowd", Apps: []sandbox.App{{Key: "ding-crowd", Secret: "c"}}}
	full := sandbox.Chat{ID: "full"}
	for i := range 1000 {
		id := fmt.Sprintf("user%d", i)
		crowd.Employees = append(crowd.Employees, sandbox.Employee{UserID: id})
		full.Members = append(full.Members, sandbox.Member{UserID: id})
	}
	crowd.Employees = append(crowd.Employees, sandbox.Employee{UserID: "late"})
	crowd.Externals = []string{"u-late"}
	crowd.Chats = []sandbox.Chat{full}
	r := start(t, func(c *sandbox.Config) {
		c.World.Organisations = append(c.World.Organisations, crowd)
		c.Limits.Windows = map[string][]sandbox.Window{sandbox.APIGroupUpdate: {}}
	})
	north, crowded := r.northToken(), r.fetchToken("ding-crowd", "c")
	many := `"` + strings.Join(strings.Fields(strings.Repeat("ann ", 41)), `","`) + `"`
	for _, c := range []struct{ name, token, body, want string }{
		{"twenty characters fit", north, `{"chatid":"chat1","name":"` + strings.Repeat("字", 20) + `"}`, "ok"},
		{"twenty-one do not", north, `{"chatid":"chat1","name":"` + strings.Repeat("字", 21) + `"}`, "parameter.invalid"},
		{"an empty name", north, `{"chatid":"chat1","name":""}`, "parameter.invalid"},
		{"no chat", north, `{"name":"N"}`, "parameter.invalid"},
		{"chatid in another case", north, `{"chatId":"chat1","name":"N"}`, "parameter.invalid"},
		{"unknown chat", north, `{"chatid":"nosuch","name":"N"}`, "parameter.invalid"},
		{"owner who is no member", north, `{"chatid":"chat1","owner":"cat"}`, "parameter.invalid"},
		{"owner who joins in the same call", north, `{"chatid":"chat1","owner":"cat","add_useridlist":["cat"]}`, "ok"},
		{"owner who is removed", north, `{"chatid":"chat1","del_useridlist":["cat"]}`, "parameter.invalid"},
		{"new owner out of sight", north, `{"chatid":"chat1","owner":"far"}`, "permession.checkFailed"},
		{"present owner out of sight", north, `{"chatid":"chat2","name":"N"}`, "permession.checkFailed"},
		{"present owner out of sight, to be replaced", north, `{"chatid":"chat2","owner":"ann","add_useridlist":["ann"]}`, "permession.checkFailed"},
		{"unknown owner type", north, `{"chatid":"chat1","ownerType":"boss"}`, "parameter.invalid"},
		{"outside owner who is not in", north, `{"chatid":"chat1","owner":"u-guest","ownerType":"ext"}`, "parameter.invalid"},
		{"outside owner", north, `{"chatid":"chat1","owner":"u-guest","ownerType":"ext","add_extidlist":["u-guest"]}`, "ok"},
		{"unknown member to remove", north, `{"chatid":"chat1","del_useridlist":["unknown"]}`, "parameter.invalid"},
		{"unknown outsider", north, `{"chatid":"chat1","add_extidlist":["u-unknown"]}`, "parameter.invalid"},
		{"forty-one at once", north, `{"chatid":"chat1","add_useridlist":[` + many + `]}`, "parameter.invalid"},
		{"empty icon", north, `{"chatid":"chat1","icon":""}`, "parameter.invalid"},
		{"option 2", north, `{"chatid":"chat1","name":"Never","managementOptions":{"searchable":2}}`, "parameter.invalid"},
		{"option in quotes", north, `{"chatid":"chat1","managementOptions":{"searchable":"0"}}`, "parameter.invalid"},
		{"no JSON", north, `chatid=chat1`, "parameter.invalid"},
		{"a full group", crowded, `{"chatid":"full","add_useridlist":["late"]}`, "parameter.invalid"},
		{"a full group and an outsider", crowded, `{"chatid":"full","add_extidlist":["u-late"]}`, "parameter.invalid"},
		{"no token", "", `{"chatid":"chat1","name":"N"}`, "AuthenticationFailed.MissingParameter"},
		{"stale token", "stale", `{"chatid":"chat1","name":"N"}`, "InvalidAuthentication"},
	} {
		effects := len(r.box.Effects())
		got := r.group(c.token, c.body)
		if status := map[bool]int{true: 200, false: 400}[c.want == "ok"]; got.Status != status || code(got) != c.want {
			t.Errorf("%s: answer %d %s, want code %s", c.name, got.Status, got.Body, c.want)
		}
		if grown := len(r.box.Effects()) > effects; grown != (c.want == "ok") {
			t.Errorf("%s: an effect was recorded: %v", c.name, grown)
		}
	}
	if name := r.chat1().Name; name != strings.Repeat("字", 20) {
		t.Errorf("the chat is called %q after a refused update", name)
	}
}

func TestAGroupUpdateTakesJSONAndItsTokenFromTheHeaderAlone(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	token := r.northToken()
	answers(t, r.must("POST", groupPath+"?access_token="+token, "application/json", `{"chatid":"chat1","name":"N"}`), 400,
		`{"code":"AuthenticationFailed.MissingParameter","requestid":"ID","message":"the header x-acs-dingtalk-access-token is missing"}`)
	if got := r.must("POST", groupPath, formType, "chatid=chat1&name=N", "x-acs-dingtalk-access-token", token); code(got) != "parameter.invalid" {
		t.Errorf("a form: %s", got.Body)
	}
	answers(t, r.group("stale", `{}`), 400,
		`{"code":"InvalidAuthentication","requestid":"ID","message":"the access_token is expired or does not exist, fetch it again"}`)
}
