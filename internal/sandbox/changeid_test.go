package sandbox_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/sandbox"
)

func (r *rig) employee(org, user string) sandbox.Employee {
	r.t.Helper()
	state, _ := r.box.State().Organisation(org)
	for _, e := range state.Employees {
		if e.UserID == user {
			return e
		}
	}
	r.t.Fatalf("the state knows no %s in %s", user, org)
	return sandbox.Employee{}
}

func TestAnIDIsChangedOnceAndThenLockedForAYear(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	answers(t, r.changeID(r.northToken(), "ann", "annnorth1"), 200, `{"result":true}`)
	if diff := cmp.Diff([]sandbox.Change{{Field: "dingTalkId", New: "annnorth1"}}, r.box.Effects()[0].Changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if e := r.employee("north", "ann"); e.DingTalkID != "annnorth1" || !e.IDSetAt.Equal(morning()) {
		t.Errorf("the platform believes %+v", e)
	}
	const locked = `{"code":"have.been.set","requestid":"ID","message":"You have already set a DingTalk ID and cannot change it."}`
	r.clock.Advance(365*24*time.Hour - time.Second)
	answers(t, r.changeID(r.northToken(), "ann", "annnorth2"), 400, locked)
	r.clock.Advance(time.Second)
	answers(t, r.changeID(r.northToken(), "ann", "annnorth2"), 200, `{"result":true}`)
	answers(t, r.changeID(r.northToken(), "ann", "annnorth3"), 400, locked)
	last := r.box.Effects()[1].Changes
	if diff := cmp.Diff([]sandbox.Change{{Field: "dingTalkId", Old: "annnorth1", New: "annnorth2"}}, last); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

func TestALockThatWasThereBeforeCountsFromItsOwnDate(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	if got := r.changeID(r.northToken(), "bob", "bobnorth2"); code(got) != "have.been.set" {
		t.Errorf("half a year after the last change: %s", got.Body)
	}
	r.clock.Advance(time.Date(2026, 9, 1, 0, 0, 0, 0, beijing).Sub(morning()))
	answers(t, r.changeID(r.northToken(), "bob", "bobnorth2"), 200, `{"result":true}`)
}

func TestAnIDIsUniqueOverAllOrganisations(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	north, south := r.northToken(), r.fetchToken("ding-south", "s-secret")
	const taken = `{"code":"incorrect.reserved","requestid":"ID","message":"The DingTalk ID is already taken. Please re-enter it."}`
	answers(t, r.changeID(north, "ann", "annsouth1"), 400, taken)
	answers(t, r.changeID(north, "ann", "stranger1"), 400, taken)
	answers(t, r.changeID(south, "eve", "bobnorth1"), 400, taken)
	answers(t, r.changeID(south, "eve", "evesouth1"), 200, `{"result":true}`)
	answers(t, r.changeID(north, "ann", "evesouth1"), 400, taken)
}

func TestAnIDThatWasGivenUpIsFreeAgain(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	north, south := r.northToken(), r.fetchToken("ding-south", "s-secret")
	answers(t, r.changeID(south, "ann", "annsouth2"), 200, `{"result":true}`)
	answers(t, r.changeID(north, "ann", "annsouth1"), 200, `{"result":true}`)
}

func TestEachMistakeInAnIDChangeHasItsCode(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	token := r.northToken()
	for _, c := range []struct{ name, user, id, want string }{
		{"five characters", "ann", "abcd1", "incorrect.length"},
		{"twenty-one characters", "ann", "a" + strings.Repeat("b", 20), "incorrect.length"},
		{"nothing", "ann", "", "incorrect.length"},
		{"a digit in front", "ann", "1abcdef", "incorrect.format"},
		{"an underscore", "ann", "abc_def", "incorrect.format"},
		{"letters of another script", "ann", "abcdé1", "incorrect.format"},
		{"a prohibited word", "ann", "theadmin1", "incorrect.format"},
		{"text before person", "unknown", "1abcdef", "incorrect.format"},
		{"unknown employee", "unknown", "abcdef1", "emp.not.exist"},
		{"employee of another organisation", "eve", "abcdef1", "emp.not.exist"},
		{"a personal account", "cat", "abcdef1", "internalenterpriseaccount.limit"},
		{"locked before taken", "bob", "stranger1", "have.been.set"},
		{"twenty characters fit", "ann", "a" + strings.Repeat("b", 19), "ok"},
	} {
		if got := r.changeID(token, c.user, c.id); code(got) != c.want {
			t.Errorf("%s: %d %s, want %s", c.name, got.Status, got.Body, c.want)
		}
	}
	if n := len(r.box.Effects()); n != 1 {
		t.Errorf("%d effects, want that of the one change", n)
	}
	if spent := r.north().Spent; spent != 13 {
		t.Errorf("%d calls metered, want all 13: refusals of the service count", spent)
	}
}

func TestTheAnswerToARepeatedIDIsConfigurable(t *testing.T) {
	t.Parallel()
	for repeated, want := range map[sandbox.RepeatedID]string{
		"": "have.been.set", sandbox.RepeatLocked: "have.been.set",
		sandbox.RepeatReserved: "incorrect.reserved", sandbox.RepeatAccepted: "ok",
	} {
		r := start(t, func(c *sandbox.Config) { c.RepeatedID = repeated })
		token := r.northToken()
		answers(t, r.changeID(token, "ann", "annnorth1"), 200, `{"result":true}`)
		if got := r.changeID(token, "ann", "annnorth1"); code(got) != want {
			t.Errorf("repeated id %q: %s, want %s", repeated, got.Body, want)
		}
		if n := len(r.box.Effects()); n != 1 {
			t.Errorf("repeated id %q: %d effects, want 1", repeated, n)
		}
	}
}

func TestAnIDChangeWithoutJSONOrTokenNeverReachesTheService(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	const path = "/v1.0/contact/orgAccounts/dingTalkIds/change"
	token := r.northToken()
	for _, c := range []struct{ contentType, token, body, want string }{
		{"application/json", "", `{"userId":"ann","dingTalkId":"annnorth1"}`, "AuthenticationFailed.MissingParameter"},
		{"application/json", "stale", `{"userId":"ann","dingTalkId":"annnorth1"}`, "InvalidAuthentication"},
		{formType, token, "userId=ann&dingTalkId=annnorth1", "commonParamIllegal"},
		{"application/json", token, `{"userId":"ann","userId":"bob","dingTalkId":"annnorth1"}`, "commonParamIllegal"},
	} {
		if got := r.must("POST", path, c.contentType, c.body, "x-acs-dingtalk-access-token", c.token); got.Status != 400 || code(got) != c.want {
			t.Errorf("answer %d %s, want %s", got.Status, got.Body, c.want)
		}
	}
	if n := len(r.box.Effects()); n != 0 {
		t.Errorf("%d effects", n)
	}
}
