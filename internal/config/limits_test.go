package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/config"
)

// courseLimits parses a file with only these limits.
func courseLimits(text string) (config.Limits, error) {
	cfg, err := config.Parse("x.yaml", []byte("organisations: [{name: o, tenants: [{name: t, classin: {sid: '1', secret: {env: S}, "+
		"limits: {course: "+text+"}}}]}]"), func(string) string { return "s" })
	if err != nil {
		return nil, err
	}
	return cfg.Organisations[0].Tenants[0].ClassIn.Limits["course"], nil
}

func TestALaneHasOneLimitOrSeveral(t *testing.T) {
	t.Parallel()
	second := config.Limit{Calls: 20, Per: config.Duration(time.Second), Window: config.WindowUnknown}
	day := config.Limit{Calls: 4000, Per: config.Day, Window: config.WindowUnknown}
	bucket := config.Limit{Calls: 600, Per: config.Duration(time.Minute), Window: config.WindowBucket, Burst: 30}
	for text, want := range map[string]config.Limits{
		"{calls: 20, per: 1s}":                              {second},
		"[{calls: 20, per: 1s}]":                            {second},
		"[{calls: 20, per: 1s}, {calls: 4000, per: 24h}]":   {second, day},
		"[{calls: 4000, per: 1440m}, {calls: 20, per: 1s}]": {day, second},
		"[{calls: 20, per: 1s}, {calls: 600, per: 1m, window: bucket, burst: 30}, {calls: 4000, per: 24h}]": {second, bucket, day},
	} {
		got, err := courseLimits(text)
		if err != nil {
			t.Error(err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestOnlyADayIsCountedRatherThanSpaced(t *testing.T) {
	t.Parallel()
	for per, daily := range map[config.Duration]bool{config.Day: true, config.Day - 1: false, config.Duration(time.Second): false} {
		if got := (config.Limit{Calls: 1, Per: per}).Daily(); got != daily {
			t.Errorf("a limit per %s is daily: %t", per, got)
		}
	}
}

func TestTheBoundsOfALimitAreThoseOfThePage(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{calls: 1, per: 100ms}":           "",
		"{calls: 1, per: 99ms}":            "100ms to 1h, or 24h",
		"{calls: 450, per: 1h}":            "",
		"{calls: 449, per: 1h}":            "at least one call in 8s",
		"{calls: 900, per: 61m}":           "100ms to 1h, or 24h",
		"{calls: 20, per: 1s, burst: 19}":  "",
		"{calls: 20, per: 1s, burst: 20}":  "less than calls, 20",
		"{calls: 460, per: 1h, burst: 10}": "",
		"{calls: 460, per: 1h, burst: 11}": "lower burst until",
		// A day may have fewer calls than one in 8 s: it is not spaced.
		"[{calls: 1, per: 1s}, {calls: 1, per: 24h, window: fixed}]":                            "",
		"[{calls: 1, per: 1s}, {calls: 2, per: 2s}, {calls: 3, per: 3s}, {calls: 4, per: 24h}]": "",
	} {
		_, err := courseLimits(text)
		if want == "" && err != nil {
			t.Errorf("%s is refused: %v", text, err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want an error that contains %q", text, err, want)
		}
	}
}

func TestLimitsAreFormattedForPeople(t *testing.T) {
	t.Parallel()
	for want, text := range map[string]string{
		"3 per 1s": "{calls: 3, per: 1s, window: unknown, burst: 0}",
		"20 per 1s and 600 per 1m and 4000 per 24h":                 "[{calls: 20, per: 1s}, {calls: 600, per: 1m}, {calls: 4000, per: 24h}]",
		"3 per 1s (fixed window, burst of 2) and 9 per 5s (bucket)": "[{calls: 3, per: 1s, window: fixed, burst: 2}, {calls: 9, per: 5s, window: bucket}]",
		"3 per 1s (burst of 1)":                                     "{calls: 3, per: 1s, burst: 1}",
	} {
		if got, err := courseLimits(text); err != nil || got.String() != want {
			t.Errorf("%s reads %q, %v, want %q", text, got, err, want)
		}
	}
}
