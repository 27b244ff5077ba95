package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/config"
)

// quota parses a file with an organisation that has these keys.
func quota(text string) (config.Quota, error) {
	cfg, err := config.Parse("x.yaml", []byte("organisations: [{name: o, "+text+
		" tenants: [{name: t, classin: {sid: '1', secret: {env: S}}}]}]"), func(string) string { return "s" })
	if err != nil {
		return config.Quota{}, err
	}
	return cfg.Organisations[0].Quota, nil
}

func TestTheDefaultQuotaIsThatOfTheStandardEdition(t *testing.T) {
	t.Parallel()
	standard := config.Quota{Calls: 5000, Warn: 80, Reserve: 10, Messages: 3000}
	for text, want := range map[string]config.Quota{
		"":                                 standard,
		"quota: ,":                         standard,
		"quota: {},":                       standard,
		"quota: {calls: 500000},":          {Calls: 500_000, Warn: 80, Reserve: 10, Messages: 3000},
		"quota: {warn: 100, reserve: 50},": {Calls: 5000, Warn: 100, Reserve: 50, Messages: 3000},
	} {
		got, err := quota(text)
		if err != nil {
			t.Error(err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestAQuotaMayBeWithoutABoundAndWithoutAReserve(t *testing.T) {
	t.Parallel()
	got, err := quota("quota: {calls: 0, warn: 1, reserve: 0},")
	if want := (config.Quota{Calls: 0, Warn: 1, Reserve: 0, Messages: 3000}); err != nil || got != want {
		t.Errorf("quota is %+v, %v, want %+v", got, err, want)
	}
}
