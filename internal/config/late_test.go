package config_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/internal/config"
)

func TestTheWaitForLateRequestsIsBoundedOrOff(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"": "5m", "1s": "1s", "24h": "24h", "0s": "0s",
		"999ms": "it must be 0s, which turns it off, or 1s to 24h", "25h": "1s to 24h", "-1s": "1s to 24h",
	} {
		line := ""
		if value != "" {
			line = ", late_resend_after: " + value
		}
		cfg, err := config.Parse("rollcall.yaml", fmt.Appendf(nil, `
redis: {url: "redis://127.0.0.1:6379/0"}
http: {listen: "off"}
organisations:
  - {name: lakeside, tenants: [{name: dt, dingtalk: {api: "https://api.dingtalk.io", oapi: "https://oapi.dingtalk.io", app_key: a, app_secret: {env: S}%s}}]}
`, line), func(string) string { return "s" })
		if err != nil {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v, want %s", value, err, want)
			}
			continue
		}
		expected, err := time.ParseDuration(want)
		if got := time.Duration(cfg.Organisations[0].Tenants[0].DingTalk.LateResendAfter); err != nil || got != expected {
			t.Errorf("%q is %s, want %s", value, got, want)
		}
	}
}
