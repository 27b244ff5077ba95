package sandbox_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/sandbox"
)

func TestPathsThatBelongToNoCallAreRefusedInTheWordsOfTheirHost(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	for _, c := range []struct {
		name, method, path string
		want               reply
	}{
		{"old host, unknown method", "POST", "/topapi/chat/nosuch", reply{
			Status: 200, Type: "application/json;charset=UTF-8",
			Body: `{"errcode":22,"sub_msg":"/topapi/chat/nosuch","errmsg":"Invalid method[/topapi/chat/nosuch]","request_id":"ID"}`,
		}},
		{"new host without its version", "POST", "/im/group/update", reply{
			Status: 200, Type: "application/json;charset=UTF-8",
			Body: `{"errcode":404,"errmsg":"the requested URI does not exist","request_id":"ID"}`,
		}},
		{"new host, unknown path", "POST", "/v1.0/im/nosuch", reply{
			Status: 404, Type: "application/json",
			Body: `{"code":"InvalidAction.NotFound","requestid":"ID","message":"no such API"}`,
		}},
		{"new host, wrong method", "GET", "/v1.0/im/group/update", reply{
			Status: 405, Type: "application/json",
			Body: `{"code":"UnsupportedHTTPMethod","requestid":"ID","message":"this API takes POST"}`,
		}},
		{"old host, wrong method", "GET", nickPath, reply{
			Status: 200, Type: "application/json;charset=UTF-8",
			Body: `{"errcode":43002,"errmsg":"a POST request is required","request_id":"ID"}`,
		}},
		{"ClassIn, unknown action", "POST", "/partner/api/course.api.php?action=nosuch", reply{
			Status: 200, Type: "application/json; charset=utf-8",
			Body: `{"error_info":{"errno":100,"error":"unknown action nosuch"}}`,
		}},
		{"ClassIn, wrong method", "GET", "/partner/api/course.api.php?action=modifyGroupMemberNickname", reply{
			Status: 200, Type: "application/json; charset=utf-8",
			Body: `{"error_info":{"errno":100,"error":"Incomplete or incorrect parameters"}}`,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, r.must(c.method, c.path, "", "")); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAConfigurationThatContradictsItselfIsRefused(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]sandbox.Config{
		`repeated id "sometimes"`: {RepeatedID: "sometimes"},
		"keep calls -1":           {KeepCalls: -1},
		`unknown API "nosuch"`:    {Limits: sandbox.Limits{Windows: map[string][]sandbox.Window{"nosuch": nil}}},
		"want at least 1":         {Limits: sandbox.Limits{Windows: map[string][]sandbox.Window{sandbox.APIToken: {{}}}}},
		`kind "leaky"`:            {Limits: sandbox.Limits{Address: sandbox.Window{Kind: "leaky", Calls: 1}}},
		"token lifetime 1ms":      {Limits: sandbox.Limits{TokenLifetime: time.Millisecond}},
		"address ban -1s":         {Limits: sandbox.Limits{AddressBan: -time.Second}},
		`unknown kind "gremlin"`:  {Scenario: sandbox.Scenario{Faults: []sandbox.Fault{{Kind: "gremlin"}}}},
		`organisation "x" stands`: {World: sandbox.World{Organisations: []sandbox.Organisation{{Name: "x"}, {Name: "x"}}}},
	} {
		if _, err := sandbox.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New: %v, want an error with %q", err, want)
		}
	}
}

func TestEveryAnswerIsDatedOnThePlatformsClock(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	r.clock.Advance(90 * time.Minute)
	response, err := r.client.Post(r.server.URL+"/partner/api/course.api.php?action=modifyGroupMemberNickname", formType, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got := response.Header.Get("Date"); got != "Tue, 10 Mar 2026 03:30:00 GMT" {
		t.Errorf("Date %q, want half past eleven in Beijing", got)
	}
}

func TestEqualSeedsGiveEqualTokensAndRequestIDs(t *testing.T) {
	t.Parallel()
	first, second := start(t, nil), start(t, nil)
	other := start(t, func(c *sandbox.Config) { c.Seed = 8 })
	a, b, c := first.northToken(), second.northToken(), other.northToken()
	if a != b || a == c {
		t.Errorf("tokens %s and %s of one seed, %s of another", a, b, c)
	}
	if diff := cmp.Diff(first.box.Calls(), second.box.Calls()); diff != "" {
		t.Errorf("calls of equal seeds differ:\n%s", diff)
	}
}

func TestManyCallersAtOnceLoseNoEffectAndShareNoNumber(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *sandbox.Config) {
		c.Limits.Windows = map[string][]sandbox.Window{sandbox.APIGroupNick: {}}
	})
	token := r.northToken()
	var callers sync.WaitGroup
	for i := range 40 {
		callers.Go(func() {
			if got := r.nick(token, "chat1", "ann", fmt.Sprintf("Ann %d", i)); code(got) != "0" {
				t.Errorf("call %d: %s", i, got.Body)
			}
		})
	}
	callers.Wait()
	effects := r.box.Effects()
	if len(effects) != 40 {
		t.Fatalf("%d effects, want 40", len(effects))
	}
	calls, before := map[int64]bool{}, ""
	for i, e := range effects {
		if e.Number != int64(i+1) || calls[e.Call] {
			t.Errorf("effect %d has number %d and call %d", i, e.Number, e.Call)
		}
		if calls[e.Call] = true; e.Changes[0].Old != before {
			t.Errorf("effect %d replaced %q, but %q stood there", i, e.Changes[0].Old, before)
		}
		before = e.Changes[0].New
	}
	if nick, _ := r.north().Nick("chat1", "ann"); nick != before {
		t.Errorf("the state says %q, the last effect %q", nick, before)
	}
}
