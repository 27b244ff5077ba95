package sandbox_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rollcall/internal/sandbox"
)

func TestAWorldThatContradictsItselfIsRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"organisation: []":                      "organisation",
		"organisations: [{name: a}, {name: a}]": `organisation "a" stands`,
		"organisations: [{name: \"\"}]":         "has no name or id",
		"organisations: [{name: a, apps: [{key: k}]}, {name: b, apps: [{key: k}]}]":                                                             `app key "k" stands in a already`,
		"organisations: [{name: a, employees: [{user_id: x}, {user_id: x}]}]":                                                                   `employee "x"`,
		"organisations: [{name: a, employees: [{user_id: x, dingtalk_id: same12}]}, {name: b, employees: [{user_id: y, dingtalk_id: same12}]}]": `dingTalkId "same12" stands in a/x already`,
		"taken_ids: [same12]\norganisations: [{name: a, employees: [{user_id: x, dingtalk_id: same12}]}]":                                       "stands in taken_ids already",
		"organisations: [{name: a, chats: [{chatid: c, members: [{user_id: x}]}]}]":                                                             "no employee of the organisation",
		"organisations: [{name: a, employees: [{user_id: x}], chats: [{chatid: c, owner: x}]}]":                                                 "not among the members",
		"organisations: [{name: a, employees: [{user_id: x}], chats: [{chatid: c, members: [{user_id: x}, {user_id: x}]}]}]":                    `member "x"`,
		"organisations: [{name: a, chats: [{chatid: c}, {chatid: c}]}]":                                                                         `chat "c"`,
		"organisations: [{name: a, schools: [{sid: s}, {sid: s}]}]":                                                                             `school "s"`,
		"organisations: [{name: a, schools: [{sid: s, courses: [{id: c}]}, {sid: t, courses: [{id: c}]}]}]":                                     `course "c"`,
		"organisations: [{name: a, schools: [{sid: s, courses: [{id: c, state: over}]}]}]":                                                      `state "over"`,
	} {
		if _, err := sandbox.LoadWorld(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n  error: %v\n  want one with %q", text, err, want)
		}
	}
}

func TestTheStateIsACopyAndShowsNoSecret(t *testing.T) {
	t.Parallel()
	seed := town()
	r := start(t, func(c *sandbox.Config) { c.World = seed })
	first := r.box.State()
	token := r.northToken()
	first.Organisations[0].Chats[0].Members[0].Nick = "scribble"
	first.Organisations[0].Schools[0].Courses[0].Students[0].Name = "scribble"
	seed.Organisations[0].Chats[0].Members[0].Nick = "scribble"
	fresh := start(t, nil)
	if diff := cmp.Diff(fresh.box.State(), r.box.State(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("what a caller scribbled reached the state:\n%s", diff)
	}
	page := r.must("GET", "/_sandbox/state", "", "").Body
	for _, secret := range []string{"n-secret", "s-north", token} {
		if strings.Contains(page, secret) {
			t.Errorf("the state shows %q", secret)
		}
	}
	if _, known := r.box.State().Organisation("west"); known {
		t.Error("an organisation that is none was found")
	}
	if _, known := r.north().Nick("chat1", "cat"); known {
		t.Error("a nickname of a user who is not a member was found")
	}
}
