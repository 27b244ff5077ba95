package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/internal/config"
)

// FuzzParse: whatever a file holds, it is taken or its problems are named, each
// on a line that the file has, and no secret that it points to is
// among them. What is taken has an end to its stop, and is taken again.
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
	for _, text := range []string{"# nothing\n", "---\n", "--- {}\n--- {}\n", "redis: &a {url: *a}", "? {}\n", "!!binary x", "\xef\xbb\xbfredis:\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if strings.Contains(string(content), "file") || strings.Contains(string(content), "path") {
			return // whatever it names would be read
		}
		read := func() (*config.Config, error) {
			return config.Parse("x.yaml", content, func(string) string { return secret })
		}
		cfg, err := read()
		if err == nil {
			if cfg.LongestStop() <= 0 {
				t.Error("taken, and a stop never ends")
			}
			if _, err := read(); err != nil {
				t.Errorf("taken, and then not: %v", err)
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
		// The parser's end of the file is on a line of its own.
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
