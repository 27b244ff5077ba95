package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/config"
)

const oneTenant = "%sorganisations:\n  - name: hill\n    tenants:\n      - name: hill-ci\n        classin: {sid: \"1\", secret: {env: S}}\n"

func warningsOf(t *testing.T, secret, redis string) []string {
	t.Helper()
	cfg, err := config.Parse("rollcall.yaml", fmt.Appendf(nil, oneTenant, redis), func(string) string { return secret })
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, w := range cfg.Warnings() {
		all = append(all, w.Subject+": "+w.Text)
	}
	return all
}

func TestASecretThatLooksDamagedIsNamed(t *testing.T) {
	t.Parallel()
	named := func(what string) []string {
		return []string{"tenant hill-ci: classin.secret, the value of $S, " + what + "; remove that unless it belongs to the secret"}
	}
	for secret, want := range map[string][]string{
		"hush":           nil,
		"hush\n":         nil,
		"hush\r\n":       nil,
		"hu sh'x":        nil,
		" hush":          named("begins with a blank"),
		"hush\t\n":       named("ends with a blank"),
		"\u3000hush":     named("begins with a blank"),
		"\ufeffhush":     named("begins with a byte order mark"),
		`"hush"`:         named("begins with a quotation mark and ends with a quotation mark"),
		"'hush":          named("begins with a quotation mark"),
		"hush\u201d":     named("ends with a quotation mark"),
		"\xff\xfeh\x00":  named("begins with the byte order mark of UTF-16, so save it as UTF-8"),
		"hush\nhush\n":   named("has more than one line"),
		"\ufeff hush \n": named("begins with a byte order mark and ends with a blank"),
	} {
		if diff := cmp.Diff(want, warningsOf(t, secret, "")); diff != "" {
			t.Errorf("%q (-want +got):\n%s", secret, diff)
		}
	}
}

func TestARedisBeyondThisMachineWithoutTLSIsNamed(t *testing.T) {
	t.Parallel()
	for redis, want := range map[string]string{
		"url: redis://127.0.0.1:6379/0":                                            "",
		"url: 'redis://[::1]:6379'":                                                "",
		"url: redis://localhost":                                                   "",
		"url: rediss://redis.internal:6379":                                        "",
		"url: unix:///run/redis.sock":                                              "",
		"url: redis://redis.internal:6379/2":                                       "redis.internal:6379",
		"url: redis://10.0.0.9":                                                    "10.0.0.9",
		"sentinel: {master: m, addresses: [\"10.0.0.1:26379\"]}":                   "10.0.0.1:26379",
		"sentinel: {master: m, addresses: [\"10.0.0.1:26379\"]}, tls: {}":          "",
		"cluster: {addresses: [\"127.0.0.1:7000\", \"10.0.0.2:7000\"]}":            "10.0.0.2:7000",
		"cluster: {addresses: [\"10.0.0.2:7000\"]}, tls: {server_name: redis.sch}": "",
	} {
		var expected []string
		if want != "" {
			expected = []string{"redis: the connection to " + want + " is not encrypted: anyone on the network can read names and " +
				"the password; use TLS (rediss:// or redis.tls), or a network that you trust"}
		}
		if diff := cmp.Diff(expected, warningsOf(t, "hush", "redis: {"+redis+"}\n")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", redis, diff)
		}
	}
}

func TestAWebUIBeyondThisMachineIsNamed(t *testing.T) {
	t.Parallel()
	for listen, warns := range map[string]bool{
		"127.0.0.1:8080": false, "localhost:8080": false, "'[::1]:8080'": false, "'off'": false,
		"0.0.0.0:8080": true, "':8080'": true, "10.0.0.9:8080": true, "'[::]:8080'": true, "worker.internal:8080": true,
	} {
		got := warningsOf(t, "hush", "redis: {url: 'redis://127.0.0.1'}\nhttp: {listen: "+listen+", users: [{name: ann, password: {env: S}}]}\n")
		if warns != (len(got) == 1 && strings.HasPrefix(got[0], "http: the web UI at "+strings.Trim(listen, "'")+" is not encrypted: ")) || !warns && len(got) > 0 {
			t.Errorf("listen %s: %q", listen, got)
		}
	}
}
