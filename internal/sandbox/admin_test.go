package sandbox_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/sandbox"
)

func (r *rig) read(path string, into any) {
	r.t.Helper()
	got := r.must("GET", path, "", "")
	if got.Status != 200 || got.Type != "application/json" {
		r.t.Fatalf("GET %s: %d %s", path, got.Status, got.Type)
	}
	if err := json.Unmarshal([]byte(got.Body), into); err != nil {
		r.t.Fatalf("GET %s: %v in %s", path, err, got.Body)
	}
}

func TestTheRootOfTheAdminAPIListsItsRoutes(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	var root struct {
		Routes []struct{ Method, Path, Does string }
	}
	r.read("/_sandbox", &root)
	for _, route := range root.Routes {
		path := strings.ReplaceAll(route.Path, "{id}", "1")
		if got := r.must(route.Method, path, "", ""); got.Status == 405 || (got.Status == 404 && path == route.Path) || route.Does == "" {
			t.Errorf("%s %s is listed and answers %d", route.Method, route.Path, got.Status)
		}
	}
	if len(root.Routes) != 8 {
		t.Errorf("%d routes, want 8", len(root.Routes))
	}
	if n := len(r.box.Calls()); n != 0 {
		t.Errorf("%d admin requests were logged as calls of the platforms", n)
	}
}

func TestStateEffectsAndCallsAreServedAsInTheGoAPI(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	token := r.northToken()
	r.nick(token, "chat1", "ann", "One")
	r.nick(token, "chat1", "unknown", "Two")
	r.group(token, `{"chatid":"chat1","name":"N","managementOptions":{"searchable":0}}`)

	var state sandbox.State
	r.read("/_sandbox/state", &state)
	if nick, _ := state.Organisations[0].Nick("chat1", "ann"); nick != "One" || state.Organisations[0].Spent != 3 {
		t.Errorf("state: nick %q, spent %d", nick, state.Organisations[0].Spent)
	}
	if value, set := state.Organisations[0].Chats[0].Options["searchable"]; !set || value != 0 {
		t.Error("state: the explicit 0 is not there")
	}
	var effects struct{ Effects []sandbox.Effect }
	r.read("/_sandbox/effects", &effects)
	if diff := cmp.Diff(r.box.Effects(), effects.Effects); diff != "" {
		t.Errorf("effects (-Go +JSON):\n%s", diff)
	}
	r.read("/_sandbox/effects?after=1", &effects)
	if len(effects.Effects) != 1 || effects.Effects[0].Number != 2 {
		t.Errorf("effects after the first: %+v", effects.Effects)
	}
	var calls struct {
		Calls   []sandbox.Call
		Arrived int64
	}
	r.read("/_sandbox/calls", &calls)
	if diff := cmp.Diff(r.box.Calls(), calls.Calls); diff != "" || calls.Arrived != 4 {
		t.Errorf("%d arrived; calls (-Go +JSON):\n%s", calls.Arrived, diff)
	}
	r.read("/_sandbox/calls?after=3", &calls)
	if len(calls.Calls) != 1 || calls.Calls[0].API != sandbox.APIGroupUpdate {
		t.Errorf("calls after the third: %+v", calls.Calls)
	}
	if got := r.must("GET", "/_sandbox/calls?after=x", "", ""); got.Status != 400 || !strings.Contains(got.Body, "want a number") {
		t.Errorf("after=x: %d %s", got.Status, got.Body)
	}
}

func TestTheLogDropsTheOldestCallsAndKeepsAllEffects(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *sandbox.Config) { c.KeepCalls = 3 })
	token := r.northToken()
	for i := range 5 {
		r.nick(token, "chat1", "ann", strconv.Itoa(i))
	}
	var numbers []int64
	for _, c := range r.box.Calls() {
		numbers = append(numbers, c.Number)
	}
	if diff := cmp.Diff([]int64{4, 5, 6}, numbers); diff != "" {
		t.Errorf("kept calls (-want +got):\n%s", diff)
	}
	if n := len(r.box.Effects()); n != 5 {
		t.Errorf("%d effects, want 5", n)
	}
}

func TestFaultsAreArmedShownAndDisarmedOverHTTP(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	token := r.northToken()
	answers(t, r.must("POST", "/_sandbox/faults", "application/json",
		`{"faults":[{"api":"updategroupnick","kind":"answer","code":"400001","latency":"1ms"},{"api":"group/update","kind":"outage"}]}`),
		201, "{\n  \"ids\": [\n    1,\n    2\n  ]\n}\n")
	answers(t, r.must("POST", "/_sandbox/faults", "application/yaml", "faults:\n  - {api: dingTalkIds/change, kind: ban}\n"),
		201, "{\n  \"ids\": [\n    3\n  ]\n}\n")
	if got := r.nick(token, "chat1", "ann", "A"); code(got) != "400001" {
		t.Errorf("the armed fault: %s", got.Body)
	}
	var shown struct {
		Faults []struct {
			ID, Matched, Fired int
			Fault              map[string]any
		}
	}
	r.read("/_sandbox/faults", &shown)
	if len(shown.Faults) != 3 || shown.Faults[0].Matched != 1 || shown.Faults[0].Fired != 1 {
		t.Fatalf("faults: %+v", shown.Faults)
	}
	want := map[string]any{"name": "answer-1", "api": "updategroupnick", "kind": "answer", "code": "400001", "latency": "1ms"}
	if diff := cmp.Diff(want, shown.Faults[0].Fault); diff != "" {
		t.Errorf("fault (-want +got):\n%s", diff)
	}
	answers(t, r.must("DELETE", "/_sandbox/faults/1", "", ""), 200, "{\n  \"disarmed\": 1\n}\n")
	if got := r.nick(token, "chat1", "ann", "A"); code(got) != "0" {
		t.Errorf("the disarmed fault: %s", got.Body)
	}
	for _, id := range []string{"1", "x"} {
		if got := r.must("DELETE", "/_sandbox/faults/"+id, "", ""); got.Status != 404 {
			t.Errorf("disarm %s: %d %s", id, got.Status, got.Body)
		}
	}
	answers(t, r.must("DELETE", "/_sandbox/faults", "", ""), 200, "{\n  \"disarmed\": 2\n}\n")
	if got := r.group(token, `{"chatid":"chat1","name":"N"}`); code(got) != "ok" {
		t.Errorf("after all were disarmed: %s", got.Body)
	}
}

func TestAFaultThatCannotBeArmedSaysWhyAndArmsNothing(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	for body, want := range map[string]string{
		`{"faults":[{"kind":"hang"},{"kind":"gremlin"}]}`: `unknown kind \"gremlin\"`,
		`{"faults":[]}`:                 "no faults",
		``:                              "there is nothing in it",
		`{"limits":{},"faults":[]}`:     "limits cannot change",
		`{"faults":[{"kinds":"hang"}]}`: "kinds",
	} {
		got := r.must("POST", "/_sandbox/faults", "application/json", body)
		if got.Status != 400 || !strings.Contains(got.Body, want) {
			t.Errorf("POST %s: %d %s, want %q", body, got.Status, got.Body, want)
		}
	}
	if _, err := r.box.Arm(sandbox.Fault{Kind: sandbox.FaultHang}, sandbox.Fault{Kind: "gremlin"}); err == nil {
		t.Error("Arm accepted a gremlin")
	}
	if n := len(r.box.Faults()); n != 0 {
		t.Errorf("%d faults are armed", n)
	}
}
