package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/access"
	"rollcall/internal/config"
)

const aTenant = "organisations: [{name: o, tenants: [{name: ci, classin: {sid: '1', secret: {env: S}}}]}]\n"

// parsed parses sections in front of a tenant. TOKEN, HASH and WHSEC are secrets of the
// environment.
func parsed(sections string) (*config.Config, error) {
	token := access.NewSecret().Reveal()
	return config.Parse("x.yaml", []byte(sections+aTenant), env(map[string]string{
		"S": "s", "TOKEN": token, "HASH": access.HashOf(token).String(), "WHSEC": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		"SHORT": "whsec_MfKQ9r8GKYqrTwjU", "THREE": strings.Repeat("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw ", 3),
	}))
}

func TestTokensAndWebhooksThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	tokens := func(fields string) string { return "api: {tokens: [{name: grades, " + fields + "}]}\n" }
	hook := func(fields string) string { return "webhooks: [{name: grades, " + fields + "}]\n" }
	for sections, want := range map[string]string{
		tokens("scopes: [read], expires: 2027-06-30, hash: {env: HASH}"):                                                                                          "",
		tokens("scopes: [read], tenants: [ci], expires: 2020-01-01, hash: {env: HASH}"):                                                                           "", // a worker must start
		tokens("scopes: [], expires: 2027-06-30, hash: {env: HASH}"):                                                                                              "token grades: scopes is an empty list",
		tokens("scopes: [admin], expires: 2027-06-30, hash: {env: HASH}"):                                                                                         "it must be one of enqueue, read, operate, approve, names",
		tokens("scopes: [read], expires: soon, hash: {env: HASH}"):                                                                                                "token grades: expires is \"soon\"; it must be a date",
		tokens("scopes: [read], expires: 2027-02-30, hash: {env: HASH}"):                                                                                          "token grades: expires is 2027-02-30, which is no day of the calendar",
		tokens("scopes: [read], hash: {env: HASH}"):                                                                                                               "token grades: expires is missing",
		tokens("scopes: [read], expires: 2027-06-30"):                                                                                                             "token grades: hash is missing",
		tokens("scopes: [read], expires: 2027-06-30, hash: {env: TOKEN}"):                                                                                         "token grades: hash comes from $TOKEN, which contains a token itself",
		tokens("scopes: [read], expires: 2027-06-30, hash: {env: S}"):                                                                                             "token grades: hash comes from $S, which is not a hash",
		tokens("scopes: [read], expires: 2027-06-30, hash: {env: NONE}"):                                                                                          "token grades: hash comes from the environment variable NONE, which is not set",
		tokens("scopes: [read], tenants: [dt], expires: 2027-06-30, hash: {env: HASH}"):                                                                           "token grades: tenants names dt, which is no tenant of this file",
		tokens("scopes: [read], tenants: [ci, ci], expires: 2027-06-30, hash: {env: HASH}"):                                                                       "token grades: tenants names ci twice",
		"api: {tokens: [{name: a, scopes: [read], expires: 2027-06-30, hash: {env: HASH}}, {name: b, scopes: [read], expires: 2027-06-30, hash: {env: HASH}}]}\n": "token b: hash is that of token a, too",
		hook("url: 'https://x.example/', secret: {env: WHSEC}"):                                                                                                   "",
		hook("url: 'http://127.0.0.1:9000/', secret: {env: WHSEC}, events: [lane.held], tenants: [ci], allow: [10.0.0.0/8]"):                                      "",
		hook("url: 'http://x.example/?key=hush', secret: {env: WHSEC}"):                                                                                           "webhook grades: url begins with http:// so anyone on the network could read it; write https://x.example",
		hook("url: 'ftp://x.example/?key=hush', secret: {env: WHSEC}"):                                                                                            "webhook grades: url begins with ftp://; write https://x.example",
		hook("url: 'https://u:hush@x.example/', secret: {env: WHSEC}"):                                                                                            "webhook grades: url contains a user or a fragment",
		hook("url: 'x.example/hush', secret: {env: WHSEC}"):                                                                                                       "webhook grades: url is not a URL",
		hook("url: 'https://x.example/', secret: {env: S}"):                                                                                                       "webhook grades: secret comes from $S, which holds no secret of a webhook",
		hook("url: 'https://x.example/', secret: {env: SHORT}"):                                                                                                   "webhook grades: secret comes from $SHORT, which holds no secret of a webhook",
		hook("url: 'https://x.example/', secret: {env: THREE}"):                                                                                                   "webhook grades: secret comes from $THREE, which holds 3 secrets; keep at most two",
		hook("url: 'https://x.example/', secret: {env: WHSEC}, events: [run.began]"):                                                                              "it must be one of run.ended, run.held, run.paused, lane.held",
		hook("url: 'https://x.example/', secret: {env: WHSEC}, allow: [intranet]"):                                                                                "webhook grades: allow has an entry that cannot be used",
		"http: {proxy: [proxy.internal]}\n":                                                                                                                       "http.proxy has an entry that cannot be used: \"proxy.internal\" is no address",
		"http: {tls: {listen: '127.0.0.1:8080', cert: a.pem, key: b.pem}}\n":                                                                                      "http.tls.listen is http.listen, too",
		"http: {tls: {listen: '0.0.0.0:8443', cert: nowhere.pem, key: nowhere.key}}\n":                                                                            "http.tls.cert comes from the file nowhere.pem, which does not exist",
		"http: {tls: {listen: '0.0.0.0:8443'}}\n":                                                                                                                 "http.tls.cert is missing",
	} {
		_, err := parsed(sections)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) || err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v, want %q", sections, err, want)
		}
	}
}

func TestTwoHashesAndTwoSecretsMayBeOnTwoLinesOfAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hashes := access.HashOf("a").String() + "\n" + access.HashOf("b").String() + "\n"
	secrets := "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\nwhsec_C2FVsBQIhrscChlQIMVPb5sSYspob7oD\n"
	for name, content := range map[string]string{"hashes": hashes, "secrets": secrets} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Parse("x.yaml", fmt.Appendf(nil, "api: {tokens: [{name: a, scopes: [read], expires: 2099-01-01, hash: {file: %s/hashes}}]}\n"+
		"webhooks: [{name: a, url: 'https://x.example', secret: {file: %s/secrets}}]\n%s", dir, dir, aTenant), env(map[string]string{"S": "s"}))
	if err != nil {
		t.Fatal(err)
	}
	if w := cfg.Warnings(); len(w) > 0 {
		t.Errorf("warnings: %v", w)
	}
	if got := cfg.Webhooks[0].Secrets(); len(got) != 2 || got[0] != secrets[:len(got[0])] {
		t.Errorf("secrets %q", got)
	}
}

func TestAnAPIThatNoClientCanUseAndTokensAtTheirEndAreNamed(t *testing.T) {
	t.Parallel()
	day := func(days int) string { return time.Now().UTC().AddDate(0, 0, days).Format(time.DateOnly) }
	token := func(expires string) string {
		return "api: {tokens: [{name: grades, scopes: [read], expires: " + expires + ", hash: {env: HASH}}]}\n"
	}
	users := "users: [{name: ann, password: {env: S}}]"
	for sections, want := range map[string]string{
		token(day(100)): "",
		token(day(100)) + "http: {listen: '127.0.0.1:9', proxy: [10.0.0.5]}\n":              "",
		token(day(100)) + "http: {listen: '0.0.0.0:9', proxy: [10.0.0.5], " + users + "}\n": "http: the web UI at 0.0.0.0:9 is not encrypted",
		token(day(100)) + "http: {listen: '0.0.0.0:9', " + users + "}\n":                    "api: the HTTP API is off: http.listen has no TLS",
		token(day(100)) + "http: {listen: 'off'}\n":                                         "api: the HTTP API is off: there is no listener",

		"http: {listen: 'off'}\n": "",
		token(day(13)):            "token grades: expires soon: its last day is " + day(13),
		token(day(-1)):            "token grades: has expired: its last day was " + day(-1),
		token(day(0)):             "token grades: expires soon", // it is valid until the end of the day
	} {
		cfg, err := parsed(sections)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, w := range cfg.Warnings() {
			got = append(got, w.Subject+": "+w.Text)
		}
		if all := strings.Join(got, "\n"); !strings.Contains(all, want) || want == "" && all != "" {
			t.Errorf("%s: %q, want %q", sections, all, want)
		}
	}
}

func TestTokensAndWebhooksAreReloadedWithoutARestart(t *testing.T) {
	t.Parallel()
	before, err := parsed("api: {tokens: [{name: a, scopes: [read], expires: 2027-06-30, hash: {env: HASH}}]}\n" +
		"webhooks: [{name: h, url: 'https://x.example/hush', secret: {env: WHSEC}}]\n")
	if err != nil {
		t.Fatal(err)
	}
	after, err := parsed("api: {tokens: [{name: a, scopes: [read, operate], expires: 2027-12-31, hash: {env: HASH}}]}\n" +
		"webhooks: [{name: h, url: 'https://x.example/new-hush', secret: {env: WHSEC}}, {name: i, url: 'https://y.example/', secret: {env: WHSEC}}]\n")
	if err != nil {
		t.Fatal(err)
	}
	reloadable, needsRestart := config.Changes(before, after)
	want := []string{
		"webhook h: url changed", "webhook i is new", "token a: scopes was read, is read, operate", "token a: expires was 2027-06-30, is 2027-12-31", "token a: hash changed",
	}
	if diff := cmp.Diff(sorted(want), sorted(reloadable)); diff != "" || len(needsRestart) > 0 {
		t.Errorf("reloadable (-want +got):\n%s\nneeds a restart: %v", diff, needsRestart)
	}
	taken := config.TakeOver(before, after)
	if len(taken.Webhooks) != 2 || taken.API.Tokens[0].Expires != "2027-12-31" {
		t.Errorf("taken over: %+v %+v", taken.API, taken.Webhooks)
	}
}

func sorted(lines []string) []string {
	slices.Sort(lines)
	return lines
}
