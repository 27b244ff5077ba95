package config_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/config"
)

func TestWorkersShareOneAddressByDefault(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]config.Egress{
		"":                               {Name: "default", Calls: 10_000, Per: config.Duration(20 * time.Second)},
		"egress: ,":                      {Name: "default", Calls: 10_000, Per: config.Duration(20 * time.Second)},
		"egress: {name: b2},":            {Name: "b2", Calls: 10_000, Per: config.Duration(20 * time.Second)},
		"egress: {calls: 450, per: 1h},": {Name: "default", Calls: 450, Per: config.Duration(time.Hour)},
	} {
		cfg, err := config.Parse("x.yaml", []byte("{"+text+" organisations: [{name: o, tenants: [{name: t, classin: {sid: '1', secret: {env: S}}}]}]}"),
			func(string) string { return "s" })
		if err != nil {
			t.Error(err)
		} else if diff := cmp.Diff(want, cfg.Egress); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}
