package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const pacedConfig = `egress: {name: office, calls: 5000, per: 20s}
organisations:
  - name: lakeside
    quota: {calls: 0}
    tenants:
      - name: lakeside-dingtalk
        dingtalk:
          api: http://127.0.0.1:1
          oapi: http://127.0.0.1:1
          app_key: dingdemo
          app_secret: {env: APP_SECRET}
          limits:
            nickname: [{calls: 20, per: 1s, window: fixed, burst: 4}, {calls: 600, per: 1m}, {calls: 4000, per: 24h}]
  - name: hillside
    quota: {calls: 500000, warn: 90, reserve: 0}
    tenants:
      - name: hillside-dingtalk
        dingtalk: {api: "http://127.0.0.1:1", oapi: "http://127.0.0.1:1", app_key: dinghill, app_secret: {env: APP_SECRET}}
  - name: seaside
    tenants:
      - name: seaside-classin
        classin: {base_url: "http://127.0.0.1:1", sid: "1000082", secret: {env: SCHOOL_SECRET}}
`

func TestCheckShowsEveryLimitQuotaAndTheAddress(t *testing.T) {
	t.Parallel()
	file := writeFile(t, t.TempDir(), "rollcall.yaml", pacedConfig)
	c := runCheck(t, checkEnv, "-c", file)
	for _, want := range []string{
		"egress  office, 5000 per 20s for all tenants together\n",
		"quota   lakeside: calls are counted, without a monthly quota\n",
		"quota   hillside: 500000 calls per month; warning at 90 %, none reserved for urgent tasks\n",
		"20 per 1s (fixed window, burst of 4) and 600 per 1m and 4000 per 24h",
	} {
		if !strings.Contains(c.out, want) {
			t.Errorf("check does not print %q:\n%s", want, c.out)
		}
	}
	if strings.Contains(c.out, "quota   seaside") {
		t.Errorf("check prints a quota for ClassIn, which has none:\n%s", c.out)
	}

	type limit struct {
		Limit string `json:"limit"`
	}
	type limited struct {
		Egress egressPlan  `json:"egress"`
		Quotas []quotaPlan `json:"quotas"`
		Lanes  []limit     `json:"lanes"`
	}
	var got limited
	if err := json.Unmarshal([]byte(runCheck(t, checkEnv, "-c", file, "--json").out), &got); err != nil {
		t.Fatal(err)
	}
	got.Lanes = got.Lanes[:2]
	want := limited{
		Egress: egressPlan{Name: "office", Limit: "5000 per 20s"},
		Quotas: []quotaPlan{
			{Organisation: "lakeside", Calls: 0, Warn: 80, Reserve: 10},
			{Organisation: "hillside", Calls: 500_000, Warn: 90, Reserve: 0},
		},
		Lanes: []limit{{"20 per 1s (fixed window, burst of 4) and 600 per 1m and 4000 per 24h"}, {"20 per 1s"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("check --json (-want +got):\n%s", diff)
	}
}
