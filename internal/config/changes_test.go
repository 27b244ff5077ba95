package config_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/config"
)

// edited parses the example with some words replaced.
func edited(t *testing.T, secret string, pairs ...string) *config.Config {
	t.Helper()
	path := inPlace(t, "testdata/example.yaml")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("the example does not contain %q", pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	// The roster is in the directory of the file, which differs between runs.
	text = strings.ReplaceAll(text, "roster: roster.csv", `courses: {tenant: lakeside-ci, ids: ["1"]}`)
	cfg, err := config.Parse(path, []byte(text), func(string) string { return secret })
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestChangesSeparatesWhatARunningWorkerCanApply(t *testing.T) {
	t.Parallel()
	const secret, other = "hush", "hush-hush"
	for name, c := range map[string]struct {
		after         *config.Config
		live, restart []string
	}{
		"nothing": {after: edited(t, secret)},
		"a limit and a schedule": {
			after: edited(t, secret, "calls: 5", "calls: 7", "30 2 *", "45 2 *"),
			live: []string{
				"tenant lakeside-dt: dingtalk.limits.id was 5 per 1s, is 7 per 1s",
				"schedule nightly: cron was 30 2 * * *, is 45 2 * * *",
			},
		},
		"limits that are added, or counted another way": {
			after: edited(t, secret, "id: {calls: 5, per: 1s}", "id: {calls: 5, per: 1s, window: fixed, burst: 2}", "{calls: 4000,", "{calls: 600, per: 1m}, {calls: 4000,"),
			live: []string{
				"tenant lakeside-dt: dingtalk.limits.nickname was 20 per 1s and 4000 per 24h, is 20 per 1s and 600 per 1m and 4000 per 24h",
				"tenant lakeside-dt: dingtalk.limits.id was 5 per 1s, is 5 per 1s (fixed window, burst of 2)",
			},
		},
		"a limit that becomes a list of one": {
			after: edited(t, secret, "id: {calls: 5, per: 1s}", "id: [{calls: 5, per: 1s}]"),
		},
		"a quota": {
			after: edited(t, secret, "- name: lakeside\n", "- name: lakeside\n    quota: {calls: 100000, reserve: 0}\n"),
			live: []string{
				"organisation lakeside: quota.calls was 5000, is 100000",
				"organisation lakeside: quota.reserve was 10, is 0",
			},
		},
		"a schedule under another name": {
			after: edited(t, secret, "name: nightly", "name: daily"),
			live:  []string{"schedule daily is new", "schedule nightly is removed"},
		},
		"a tenant under another name": {
			after:   edited(t, secret, "name: lakeside-dt", "name: lakeside-two"),
			restart: []string{"tenant lakeside-two is new", "tenant lakeside-dt is removed"},
		},
		"a tenant of another organisation": {
			after: edited(t, secret, "- name: lakeside\n", "- name: hillside\n"),
			restart: []string{
				"organisation hillside is new",
				"tenant lakeside-dt: organisation was lakeside, is hillside",
				"tenant lakeside-ci: organisation was lakeside, is hillside",
				"organisation lakeside is removed",
			},
		},
		"an address": {
			after:   edited(t, secret, "organisations:\n", "egress: {name: office, calls: 5000}\norganisations:\n"),
			restart: []string{"egress.name was default, is office", "egress.calls was 10000, is 5000"},
		},
		"the rest": {
			after: edited(t, secret, "6380/0", "6380/1", "username: rollcall", "tls: {}", "nickname_max: 30", "nickname_max: 40"),
			restart: []string{
				"redis.url was rediss://redis.internal:6380/0, is rediss://redis.internal:6380/1",
				"redis.tls is new",
				"tenant lakeside-dt: dingtalk.nickname_max was 30, is 40",
				"redis.username is removed",
			},
		},
		"secrets": {
			after: edited(t, other),
			live: []string{
				"redis.password changed",
				"tenant lakeside-dt: dingtalk.app_secret changed",
				"tenant lakeside-ci: classin.secret changed",
			},
		},
		"secrets of another app, and of another user of Redis": {
			after: edited(t, other, "username: rollcall", "username: worker", "dingabc123", "dingxyz"),
			live:  []string{"tenant lakeside-ci: classin.secret changed"},
			restart: []string{
				"redis.username was rollcall, is worker",
				"redis.password changed",
				"tenant lakeside-dt: dingtalk.app_key was dingabc123, is dingxyz",
				"tenant lakeside-dt: dingtalk.app_secret changed",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			live, restart := config.Changes(edited(t, secret), c.after)
			if diff := cmp.Diff([][]string{c.live, c.restart}, [][]string{live, restart}); diff != "" {
				t.Errorf("reloadable and not (-want +got):\n%s", diff)
			}
			if strings.Contains(strings.Join(append(live, restart...), "\n"), secret) {
				t.Error("a secret is shown")
			}
		})
	}
}
