package sandbox_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/sandbox"
)

// faulty starts a sandbox with faults armed, and fetches a token past them.
func faulty(t *testing.T, faults ...sandbox.Fault) (*rig, string) {
	t.Helper()
	r := start(t, nil)
	token := r.northToken()
	if _, err := r.box.Arm(faults...); err != nil {
		t.Fatalf("Arm: %v", err)
	}
	return r, token
}

func (r *rig) lastCall() sandbox.Call {
	r.t.Helper()
	calls := r.box.Calls()
	return calls[len(calls)-1]
}

func TestAFaultAnswersInTheEnvelopeOfItsAPI(t *testing.T) {
	t.Parallel()
	r, token := faulty(t,
		sandbox.Fault{API: sandbox.APIGroupNick, Kind: sandbox.FaultAnswer, Code: "-1", First: 1},
		sandbox.Fault{API: sandbox.APIGroupNick, Kind: sandbox.FaultAnswer, Code: "90002", At: 2},
		sandbox.Fault{API: sandbox.APIGroupNick, Kind: sandbox.FaultAnswer, Code: "90020", At: 3, Envelope: "flat", Message: "spent"},
		sandbox.Fault{API: sandbox.APIGroupNick, Kind: sandbox.FaultAnswer, Code: "400001", At: 4, Envelope: "nested"},
		sandbox.Fault{API: sandbox.APIGroupNick, Kind: sandbox.FaultAnswer, Code: "12345", At: 5, Status: 503},
		sandbox.Fault{API: sandbox.APIChangeID, Kind: sandbox.FaultAnswer, Code: "system.busy", At: 1},
		sandbox.Fault{API: sandbox.APIChangeID, Kind: sandbox.FaultAnswer, Code: "never.seen", At: 2, Message: "hm", Headers: map[string]string{"Retry-After": "7"}},
		sandbox.Fault{API: sandbox.APIClassNick, Kind: sandbox.FaultAnswer, Code: "104", First: 1},
		sandbox.Fault{API: sandbox.APIToken, Kind: sandbox.FaultAnswer, Code: "invalidClientIdOrSecret", First: 1},
		sandbox.Fault{API: sandbox.APIGroupUpdate, Kind: sandbox.FaultAnswer, Body: `{"success":false}`, First: 1},
	)
	for _, want := range []string{
		`{"errcode":-1,"errmsg":"system busy","request_id":"ID"}`,
		`{"errcode":88,"sub_code":"90002","sub_msg":"the API is called too often by everybody","errmsg":"ding talk error[subcode=90002,submsg=the API is called too often by everybody]","request_id":"ID"}`,
		`{"errcode":90020,"errmsg":"spent","request_id":"ID"}`,
		`{"errcode":88,"sub_code":"400001","sub_msg":"System error","errmsg":"ding talk error[subcode=400001,submsg=System error]","request_id":"ID"}`,
	} {
		answers(t, r.nick(token, "chat1", "ann", "A"), 200, want)
	}
	answers(t, r.nick(token, "chat1", "ann", "A"), 503, `{"errcode":12345,"errmsg":"unlisted code 12345","request_id":"ID"}`)
	if spent := r.north().Spent; spent != 3 {
		t.Errorf("%d calls metered, want 3: 90002 and 90020 come from the gateway", spent)
	}
	answers(t, r.changeID(token, "ann", "annnorth1"), 500, `{"code":"system.busy","requestid":"ID","message":"The system is busy. Please try again later."}`)
	unknown := r.changeID(token, "ann", "annnorth1")
	answers(t, unknown, 400, `{"code":"never.seen","requestid":"ID","message":"hm"}`)
	if unknown.RetryAfter != "7" {
		t.Errorf("Retry-After %q, want the fault's 7", unknown.RetryAfter)
	}
	answers(t, r.course("1001", "s-north", "501"), 200, `{"error_info":{"errno":104,"error":"Operation failed (unknown error)"}}`)
	answers(t, r.must("POST", "/v1.0/oauth2/accessToken", "application/json", `{"appKey":"ding-north","appSecret":"n-secret"}`), 400,
		`{"code":"invalidClientIdOrSecret","requestid":"ID","message":"invalid clientId or clientSecret"}`)
	answers(t, r.group(token, `{"chatid":"chat1","name":"N"}`), 200, `{"success":false}`)
	if n := len(r.box.Effects()); n != 0 {
		t.Errorf("%d effects behind injected refusals", n)
	}
}

func TestAFaultAnswerMayFollowAnAppliedCall(t *testing.T) {
	t.Parallel()
	r, token := faulty(t, sandbox.Fault{Name: "busy but done", API: sandbox.APIChangeID, Kind: sandbox.FaultAnswer, Code: "system.busy", Applied: true, First: 1})
	if got := r.changeID(token, "ann", "annnorth1"); got.Status != 500 || code(got) != "system.busy" {
		t.Errorf("answer %d %s", got.Status, got.Body)
	}
	if call := r.lastCall(); call.Effect != 1 || call.Code != "system.busy" || call.Fault != "busy but done" {
		t.Errorf("call %+v", call)
	}
	if got := r.changeID(token, "ann", "annnorth1"); code(got) != "have.been.set" {
		t.Errorf("the repeat: %s", got.Body)
	}
}

func TestAFaultStrikesOnlyTheCallsItNames(t *testing.T) {
	t.Parallel()
	busy := sandbox.Fault{API: sandbox.APIGroupNick, Kind: sandbox.FaultAnswer, Code: "400001"}
	for name, change := range map[string]func(*sandbox.Fault){
		"user":         func(f *sandbox.Fault) { f.User = "bob" },
		"chat":         func(f *sandbox.Fault) { f.Chat, f.User = "chat1", "bob" },
		"tenant":       func(f *sandbox.Fault) { f.Tenant, f.User = "ding-north", "bob" },
		"organisation": func(f *sandbox.Fault) { f.Organisation, f.User = "north", "bob" },
	} {
		fault := busy
		change(&fault)
		r, token := faulty(t, fault)
		if got := r.nick(token, "chat1", "ann", "A"); code(got) != "0" {
			t.Errorf("%s: ann was struck: %s", name, got.Body)
		}
		if got := r.nick(token, "chat1", "bob", "B"); code(got) != "400001" {
			t.Errorf("%s: bob was spared: %s", name, got.Body)
		}
	}
	for name, change := range map[string]func(*sandbox.Fault){
		"tenant":       func(f *sandbox.Fault) { f.Tenant = "ding-south" },
		"organisation": func(f *sandbox.Fault) { f.Organisation = "south" },
		"chat":         func(f *sandbox.Fault) { f.Chat = "chat2" },
	} {
		fault := busy
		change(&fault)
		r, token := faulty(t, fault)
		if got := r.nick(token, "chat1", "ann", "A"); code(got) != "0" {
			t.Errorf("another %s was struck: %s", name, got.Body)
		}
	}
	r, token := faulty(t,
		sandbox.Fault{API: sandbox.APIChangeID, WantedID: "annnorth1", Kind: sandbox.FaultAnswer, Code: "incorrect.reserved"},
		sandbox.Fault{API: sandbox.APIClassNick, Course: "505", Kind: sandbox.FaultAnswer, Code: "843"})
	if got := r.changeID(token, "ann", "annnorth1"); code(got) != "incorrect.reserved" {
		t.Errorf("wanted id: %s", got.Body)
	}
	if got := r.changeID(token, "ann", "annnorth2"); code(got) != "ok" {
		t.Errorf("the next candidate: %s", got.Body)
	}
	if got := r.course("1001", "s-north", "505"); code(got) != "843" {
		t.Errorf("course: %s", got.Body)
	}
	if got := r.course("1001", "s-north", "501"); code(got) != "1" {
		t.Errorf("another course: %s", got.Body)
	}
}

func TestAShareOfCallsIsStruckTheSameWayForTheSameSeed(t *testing.T) {
	t.Parallel()
	var seen [2]string
	for i := range seen {
		r := start(t, func(c *sandbox.Config) {
			c.Limits.Windows = map[string][]sandbox.Window{sandbox.APIGroupNick: {}}
			c.Scenario.Faults = []sandbox.Fault{{API: sandbox.APIGroupNick, Kind: sandbox.FaultAnswer, Code: "400001", Share: 0.3}}
		})
		token := r.northToken()
		for range 200 {
			seen[i] += map[string]string{"0": ".", "400001": "x"}[code(r.nick(token, "chat1", "ann", "A"))]
		}
	}
	if seen[0] != seen[1] {
		t.Errorf("equal seeds, different faults:\n%s\n%s", seen[0], seen[1])
	}
	if struck := strings.Count(seen[0], "x"); struck < 40 || struck > 80 || len(seen[0]) != 200 {
		t.Errorf("%d of %d calls struck, want about 60 of 200", struck, len(seen[0]))
	}
}

func TestAnOutageLastsAsLongAsItsWindowAndAppliesNoCall(t *testing.T) {
	t.Parallel()
	r, token := faulty(t, sandbox.Fault{Kind: sandbox.FaultOutage, After: 10 * time.Second, For: 30 * time.Second})
	for _, step := range []struct {
		wait time.Duration
		down bool
	}{{9 * time.Second, false}, {time.Second, true}, {29 * time.Second, true}, {time.Second, false}} {
		r.clock.Advance(step.wait)
		got := r.nick(token, "chat1", "ann", "A")
		if down := got.Status == 502; down != step.down {
			t.Errorf("answer %d %s, want down: %v", got.Status, got.Body, step.down)
		}
		if step.down && (got.Type != "text/html" || !strings.Contains(got.Body, "<h1>502 Bad Gateway</h1>")) {
			t.Errorf("the page of the outage: %s %s", got.Type, got.Body)
		}
	}
	if spent, effects := r.north().Spent, len(r.box.Effects()); spent != 2 || effects != 2 {
		t.Errorf("%d metered, %d effects, want 2 and 2", spent, effects)
	}
}

func TestABanIsAnsweredLikeTheFirewallDoes(t *testing.T) {
	t.Parallel()
	r, token := faulty(t, sandbox.Fault{Kind: sandbox.FaultBan, API: sandbox.APIGroupNick, First: 1})
	answers(t, r.nick(token, "chat1", "ann", "A"), 200, `{"status":1111,"wait":5,"source":"x5","punish":"deny","uuid":"ID"}`)
	if call := r.lastCall(); call.Code != "1111" || call.Metered || call.Effect != 0 {
		t.Errorf("call %+v", call)
	}
}

func TestOfSeveralFaultsTheFirstShapesTheAnswerAndAllAreCounted(t *testing.T) {
	t.Parallel()
	r, token := faulty(t,
		sandbox.Fault{Name: "one", API: sandbox.APIGroupNick, Kind: sandbox.FaultAnswer, Code: "400001", First: 1},
		sandbox.Fault{Name: "two", API: sandbox.APIGroupNick, Kind: sandbox.FaultAnswer, Code: "-1", First: 2})
	var codes []string
	for range 3 {
		codes = append(codes, code(r.nick(token, "chat1", "ann", "A")))
	}
	if diff := cmp.Diff([]string{"400001", "-1", "0"}, codes); diff != "" {
		t.Errorf("codes (-want +got):\n%s", diff)
	}
	for i, want := range []sandbox.FaultStatus{{Matched: 3, Fired: 1}, {Matched: 3, Fired: 1}} {
		if got := r.box.Faults()[i]; got.Matched != want.Matched || got.Fired != want.Fired {
			t.Errorf("fault %s: matched %d, fired %d, want %d and %d", got.Fault.Name, got.Matched, got.Fired, want.Matched, want.Fired)
		}
	}
}
