package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/internal/config"
)

// FuzzParse checks that any file is either accepted or its problems are reported, each
// with a line that the file has and without any secret. An accepted file gives a stop
// that ends and limits that a lane can keep, and it is accepted again.
func FuzzParse(f *testing.F) {
	const secret = "zq7xk-w9vjm"
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, file := range append(files, "../../docs/rollcall.sample.yaml") {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	for _, limits := range []string{
		"[{calls: 20, per: 1s, window: fixed, burst: 4}, {calls: 600, per: 1m, window: bucket}, {calls: 4000, per: 24h}]",
		"&a [{calls: 9, per: 1s}, *a]", "[{calls: 4000, per: 24h}]", "{calls: 450, per: 1h, burst: 449}",
	} {
		f.Add([]byte("organisations: [{name: o, tenants: [{name: t, classin: {sid: '1', secret: {env: S}, limits: {course: " + limits + "}}}]}]"))
	}
	f.Add([]byte("egress: {name: office, calls: 450, per: 1h}\norganisations: [{name: o, quota: {calls: 0, warn: 100, reserve: 50}, tenants: [{name: t, classin: {sid: '1', secret: {env: S}}}]}]"))
	for _, text := range []string{"# nothing\n", "---\n", "--- {}\n--- {}\n", "redis: &a {url: *a}", "? {}\n", "!!binary x", "\xef\xbb\xbfredis:\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if strings.Contains(string(content), "file") || strings.Contains(string(content), "path") {
			return // any file that it names would be read
		}
		read := func() (*config.Config, error) {
			return config.Parse("x.yaml", content, func(string) string { return secret })
		}
		cfg, err := read()
		if err == nil {
			if cfg.LongestStop() <= 0 {
				t.Error("accepted, but a stop never ends")
			}
			for _, org := range cfg.Organisations {
				if q := org.Quota; q.Calls < 0 || q.Warn < 1 || q.Warn > 100 || q.Reserve < 0 || q.Reserve > 50 {
					t.Errorf("accepted with the quota %+v", q)
				}
			}
			if fault := unkept(config.Limits{{Calls: cfg.Egress.Calls, Per: cfg.Egress.Per, Window: config.WindowUnknown}}); fault != "" || cfg.Egress.Name == "" {
				t.Errorf("accepted with the address %+v: %s", cfg.Egress, fault)
			}
			for _, limits := range limitsOf(cfg) {
				if fault := unkept(limits); fault != "" {
					t.Errorf("taken, and %s: %s", fault, limits)
				}
			}
			if _, err := read(); err != nil {
				t.Errorf("accepted, and then rejected: %v", err)
			}
			return
		}
		problems, ok := errors.AsType[*config.ProblemsError](err)
		if !ok || len(problems.Problems) == 0 {
			t.Fatalf("an error without a problem: %v", err)
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("a secret is shown: %v", err)
		}
		// The parser counts the end of the file as a line of its own.
		lines := strings.Count(strings.ReplaceAll(string(content), "\r", "\n"), "\n") + 2
		for _, p := range problems.Problems {
			if p.Text == "" || p.Line < 0 || p.Line > lines {
				t.Errorf("of %d lines, line %d: %q", lines, p.Line, p.Text)
			}
			if strings.Contains(p.Text, "fault of rollcall") {
				t.Error(p.Text)
			}
		}
	})
}

// limitsOf returns the limits of every lane.
func limitsOf(cfg *config.Config) []config.Limits {
	var all []config.Limits
	for _, org := range cfg.Organisations {
		for _, t := range org.Tenants {
			for _, lane := range t.Platform().Lanes {
				all = append(all, lane.Limits)
			}
		}
	}
	return all
}

// unkept returns why a lane could not keep its limits; "" if it can.
func unkept(limits config.Limits) string {
	spaced := false
	pers := map[config.Duration]bool{}
	for _, l := range limits {
		switch even := l.Calls - l.Burst; {
		case l.Calls < 1 || l.Burst < 0 || even < 1:
			return "nothing is left to space"
		case l.Window == "":
			return "a window has no default"
		case pers[l.Per]:
			return "two limits have the same per"
		case !l.Daily() && (time.Duration(l.Per) < 100*time.Millisecond || time.Duration(l.Per) > time.Hour):
			return "a per is out of bounds"
		case !l.Daily() && time.Duration(l.Per)/time.Duration(even) > 8*time.Second:
			return "tasks time out while they wait"
		}
		pers[l.Per] = true
		spaced = spaced || !l.Daily()
	}
	if !spaced || len(limits) > 4 {
		return "too many limits, or none is spaced"
	}
	return ""
}
