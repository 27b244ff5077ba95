package config_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"rollcall/internal/config"
)

// The defaults that other pages name are those of a file without the key.
func TestOtherPagesNameTheSameDefaults(t *testing.T) {
	t.Parallel()
	cfg, err := config.Parse("x.yaml", []byte(`organisations: [{name: o, tenants: [{name: t, classin: {sid: '1', secret: {env: S}}}]}]`), func(string) string { return "s" })
	if err != nil {
		t.Fatal(err)
	}
	if keep := time.Duration(cfg.DeadLetters.Keep); keep != 0 {
		t.Errorf("dead letters are kept for %s without dead_letters.keep", keep)
	}
	for file, want := range map[string]string{
		"../../docs/guarantees.md":   "until a person replays or discards it, or as long as [`dead_letters.keep`]",
		"../../SECURITY.md":          "`dead_letters.keep`",
		"../../docs/dead-letters.md": "are kept without limit unless `dead_letters.keep`",
	} {
		page, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(page), want) {
			t.Errorf("%s does not hold %q", file, want)
		}
	}
}
