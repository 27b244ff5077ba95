package config_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"rollcall/internal/config"
)

const oneSync = `organisations: [{name: o, tenants: [{name: t, classin: {sid: '1', secret: {env: S}}}]}]
schedules: [{name: nightly, cron: 37 2 * * *, source: {tenant: t, https: {url: {env: URL}, bearer: {env: TOKEN}}}, names: %s}]`

func syncOf(t *testing.T, names string, secrets map[string]string, judges ...config.Judge) (*config.Config, error) {
	t.Helper()
	return config.Parse("x.yaml", fmt.Appendf(nil, oneSync, names), func(name string) string {
		if value := secrets[name]; value != "" {
			return value
		}
		return "s3cret"
	}, judges...)
}

func TestAReloadTakesSecretsOfSourcesAndRules(t *testing.T) {
	t.Parallel()
	before, err := syncOf(t, "{template: one}", nil)
	if err != nil {
		t.Fatal(err)
	}
	after, err := syncOf(t, "{template: two}", map[string]string{"TOKEN": "rotated"})
	if err != nil {
		t.Fatal(err)
	}
	live, restart := config.Changes(before, after)
	want := "schedule nightly: source.https.bearer changed; schedule nightly: names changed"
	if got := strings.Join(live, "; "); got != want || len(restart) > 0 {
		t.Errorf("changes are %q, and %q need a restart; want %q", got, restart, want)
	}
	if got := config.TakeOver(before, after).Schedules[0].Source.HTTPS.Bearer.Value.Reveal(); got != "rotated" {
		t.Errorf("a reload takes %q", got)
	}
	aliased, err := syncOf(t, "{template: &one one, shorter: *one}", nil)
	if err != nil {
		t.Fatal(err)
	}
	if live, _ := config.Changes(aliased, before); len(live) != 1 {
		t.Errorf("the changes of a rule with an alias are %q", live)
	}
	if live, restart := config.Changes(before, before); len(live)+len(restart) > 0 {
		t.Errorf("nothing changed, but %q, %q", live, restart)
	}
}

func TestAJudgeReportsAtTheKeyThatAProblemBeginsWith(t *testing.T) {
	t.Parallel()
	judge := func(c *config.Config, report func(err error, path ...any)) {
		var spec struct {
			Template string `yaml:"template"`
		}
		if c.Schedules[0].Names.IsZero() {
			return
		}
		if err := c.Schedules[0].Names.Load(&spec, yaml.WithKnownFields()); err != nil {
			report(err, "schedules", 0, "names")
			return
		}
		report(errors.Join(errors.New("template: too short"), errors.New("template: again"), errors.New("nothing is named")), "schedules", 0, "names")
	}
	for names, want := range map[string]string{
		"{template: a}":     "x.yaml:2: schedule nightly: names.template is wrong: too short\nx.yaml:2: schedule nightly: names is wrong: nothing is named",
		"{templat: a}":      "x.yaml:2: schedule nightly: names is wrong: ",
		"&n {template: *n}": "x.yaml:2: schedule nightly: names",
		"none":              "x.yaml:2: schedule nightly: names is a single value, but must be a section with keys of its own",
		"{}":                "x.yaml:2: schedule nightly: names is wrong: ",
	} {
		if _, err := syncOf(t, names, nil, judge); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", names, err, want)
		}
	}
}
