package sandbox_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/sandbox"
)

const wholeScenario = `
limits:
  monthly_quota: 200
  token_lifetime: 60s
  address_ban: 1m
  address: {calls: 100, per: 20s}
  windows:
    updategroupnick:
      - {kind: bucket, calls: 20, per: 1s}
    group/update: []
faults:
  - name: everything at once
    api: updategroupnick
    organisation: north
    tenant: ding-north
    chat: chat1
    user: ann
    at: 3
    after: 10s
    for: 1m30s
    kind: answer
    applied: true
    code: "400001"
    message: try later
    status: 500
    envelope: nested
    headers: {Retry-After: "2"}
    latency: 250ms
    jitter: 50ms
  - {api: dingTalkIds/change, wanted_id: abc123, kind: reset, applied: true, first: 2}
  - {api: modifyGroupMemberNickname, course: "501", kind: truncated, share: 0.25}
  - {kind: odd_body, body: "<html>"}
`

func TestAScenarioFileCanContainEveryField(t *testing.T) {
	t.Parallel()
	got, err := sandbox.LoadScenario(strings.NewReader(wholeScenario))
	if err != nil {
		t.Fatal(err)
	}
	want := sandbox.Scenario{
		Limits: &sandbox.Limits{
			MonthlyQuota: 200, TokenLifetime: time.Minute, AddressBan: time.Minute, Address: sandbox.Window{Calls: 100, Per: 20 * time.Second},
			Windows: map[string][]sandbox.Window{
				sandbox.APIGroupNick: {{Kind: sandbox.Bucket, Calls: 20, Per: time.Second}}, sandbox.APIGroupUpdate: {},
			},
		},
		Faults: []sandbox.Fault{
			{
				Name: "everything at once", API: sandbox.APIGroupNick, Organisation: "north", Tenant: "ding-north", Chat: "chat1", User: "ann",
				At: 3, After: 10 * time.Second, For: 90 * time.Second, Kind: sandbox.FaultAnswer, Applied: true, Code: "400001",
				Message: "try later", Status: 500, Envelope: "nested", Headers: map[string]string{"Retry-After": "2"},
				Latency: 250 * time.Millisecond, Jitter: 50 * time.Millisecond,
			},
			{API: sandbox.APIChangeID, WantedID: "abc123", Kind: sandbox.FaultReset, Applied: true, First: 2},
			{API: sandbox.APIClassNick, Course: "501", Kind: sandbox.FaultTruncated, Share: 0.25},
			{Kind: sandbox.FaultOddBody, Body: "<html>"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("scenario (-want +got):\n%s", diff)
	}
}

func TestAScenariosLimitsReplaceThoseOfTheConfiguration(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *sandbox.Config) {
		c.Limits.MonthlyQuota = 9
		c.Scenario.Limits = &sandbox.Limits{MonthlyQuota: 3}
	})
	if quota := r.north().Quota; quota != 3 {
		t.Errorf("quota %d, want the scenario's 3", quota)
	}
}

func TestAFaultWrittenAsJSONReadsBackTheSame(t *testing.T) {
	t.Parallel()
	scenario, err := sandbox.LoadScenario(strings.NewReader(wholeScenario))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]any{"faults": scenario.Faults})
	if err != nil {
		t.Fatal(err)
	}
	again, err := sandbox.LoadScenario(strings.NewReader(string(text)))
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if diff := cmp.Diff(scenario.Faults, again.Faults); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

func TestAMistakeInAScenarioIsNamedWithItsLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"faults:\n  - kind: hang\n    colour: red\n":   {"line 3", "colour"},
		"faults:\n  - {kind: hang}\n  - kind: hangs\n": {"line 3", `unknown kind "hangs"`},
		"fault: []\n": {"line 1", "fault"},
		"faults:\n  - kind: hang\n    latency: soon\n":                                  {"line 3", "soon"},
		"faults:\n  - {kind: hang, latency: 5}\n":                                       {"line 2", "cannot construct !!int"},
		"faults:\n  - {kind: hang, after: -5s}\n":                                       {"line 2", "after -5s: want 0, or at least a microsecond"},
		"faults:\n  - {kind: hang, for: 5ns}\n":                                         {"line 2", "for 5ns"},
		" \n":                                                                           {"there is nothing in it"},
		"faults:\n  - {name: x, kind: latency}\n":                                       {`fault "x"`, "wants a latency"},
		"faults:\n  - {kind: answer, api: updategroupnick}\n":                           {"wants a code or a body"},
		"faults:\n  - {kind: answer, code: \"1\"}\n":                                    {"a code wants an api"},
		"faults:\n  - {kind: answer, api: updategroupnick, code: busy}\n":               {"are numbers"},
		"faults:\n  - {kind: answer, api: modifyGroupMemberNickname, code: x}\n":        {"are numbers"},
		"faults:\n  - {kind: hang, api: nosuch}\n":                                      {`unknown api "nosuch"`},
		"faults:\n  - {kind: hang, at: 1, first: 2}\n":                                  {"exclude each other"},
		"faults:\n  - {kind: hang, at: -1}\n":                                           {"count from 1"},
		"faults:\n  - {kind: hang, share: 1.5}\n":                                       {"share 1.5"},
		"faults:\n  - {kind: hang, share: .nan}\n":                                      {"share NaN"},
		"faults:\n  - {kind: hang, status: 42}\n":                                       {"status 42"},
		"faults:\n  - {kind: refused, applied: true}\n":                                 {"applied means nothing"},
		"faults:\n  - {kind: hang, lands: 1m}\n":                                        {"lands belongs to kind hang with applied"},
		"faults:\n  - {kind: hang, envelope: flat}\n":                                   {"only updategroupnick"},
		"faults:\n  - {kind: hang, api: updategroupnick, envelope: round}\n":            {`envelope "round"`},
		"faults:\n  - {kind: ban, api: modifyGroupMemberNickname}\n":                    {"cannot happen"},
		"faults:\n  - {kind: expired_token, api: accessToken}\n":                        {"cannot happen"},
		"limits:\n  windows:\n    updategroupnick: [{calls: 0}]\n":                      {"want at least 1"},
		"limits:\n  windows:\n    updategroupnick: [{calls: 1, per: 1}]\n":              {"line 3", "cannot construct !!int"},
		"faults:\n  - {kind: hang}\n  - {kind: hang}\n  - {kind: hang, status: 99}\n\n": {"line 4"},
	} {
		_, err := sandbox.LoadScenario(strings.NewReader(text))
		if err == nil {
			t.Errorf("accepted:\n%s", text)
			continue
		}
		for _, part := range want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("error %q does not say %q", err, part)
			}
		}
	}
}

// The manual's examples are read by the code that they explain.
func TestTheManualsExamplesAreValid(t *testing.T) {
	t.Parallel()
	manual, err := os.ReadFile("../../docs/sandbox.md")
	if err != nil {
		t.Fatal(err)
	}
	world, err := sandbox.LoadWorld(strings.NewReader(example(t, string(manual), "organisations:")))
	if err != nil {
		t.Error(err)
	}
	scenario, err := sandbox.LoadScenario(strings.NewReader(example(t, string(manual), "limits:")))
	if err != nil {
		t.Error(err)
	}
	if len(world.Organisations) == 0 || len(scenario.Faults) == 0 || scenario.Limits == nil {
		t.Errorf("the examples are empty: %+v %+v", world, scenario)
	}
	if _, err := sandbox.New(sandbox.Config{World: world, Scenario: scenario}); err != nil {
		t.Error(err)
	}
	for _, kind := range []sandbox.FaultKind{
		sandbox.FaultLatency, sandbox.FaultAnswer, sandbox.FaultHang, sandbox.FaultReset, sandbox.FaultOutage, sandbox.FaultRefused,
		sandbox.FaultTruncated, sandbox.FaultOddBody, sandbox.FaultExpiredToken, sandbox.FaultBan,
	} {
		if !strings.Contains(string(manual), "| `"+string(kind)+"` |") {
			t.Errorf("the manual does not explain kind %s", kind)
		}
	}
}

// example returns the YAML block of the manual that starts with a key.
func example(t *testing.T, manual, key string) string {
	t.Helper()
	for _, block := range strings.Split(manual, "```yaml\n")[1:] {
		if text, _, closed := strings.Cut(block, "```"); closed && strings.HasPrefix(text, key) {
			return text
		}
	}
	t.Fatalf("the manual has no YAML example that starts with %s", key)
	return ""
}

func FuzzLoadScenario(f *testing.F) {
	f.Add(wholeScenario)
	f.Add(`{"faults":[{"kind":"hang"}]}`)
	f.Add("")
	f.Add("faults: [&a {kind: hang}, *a]")
	f.Fuzz(func(t *testing.T, text string) {
		scenario, err := sandbox.LoadScenario(strings.NewReader(text))
		if err != nil {
			return
		}
		if _, err := sandbox.New(sandbox.Config{Scenario: scenario}); err != nil {
			t.Errorf("loaded, but New refuses it: %v", err)
		}
	})
}
