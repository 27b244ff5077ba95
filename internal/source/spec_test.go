package source_test

import (
	"strings"
	"testing"
	"time"

	"rollcall/internal/secret"
	"rollcall/internal/source"
)

// Each problem begins with the key of the configuration.
func TestAWrongSpecNamesTheKey(t *testing.T) {
	t.Parallel()
	url := secret.New("https://sis.example.edu/roster")
	for key, spec := range map[string]interface{ Validate() error }{
		"path: missing":               source.FilesSpec{},
		"path: \"/srv/[\" is not":     source.FilesSpec{Place: source.Place{Path: "/srv/["}},
		"done: \"*.done\" is a":       source.OneRosterSpec{Place: source.Place{Path: "/srv/a", Done: "*.done"}},
		"settle: -1s":                 source.FilesSpec{Place: source.Place{Path: "/srv/a", Settle: -time.Second}},
		"max_age: -1s":                source.HTTPSSpec{URL: url, MaxAge: -time.Second},
		"max_size: 1073741824":        source.HTTPSSpec{URL: url, MaxSize: 1 << 30},
		"max_unpacked: -1":            source.OneRosterSpec{Place: source.Place{Path: "/srv/a"}, MaxUnpacked: -1},
		"encoding: \"big5\"":          source.HTTPSSpec{URL: url, Form: source.Form{Encoding: "big5"}},
		"columns: \"id \"":            source.HTTPSSpec{URL: url, Form: source.Form{Columns: []string{"id "}}},
		"columns: \"id\" occurs":      source.OneRosterSpec{Place: source.Place{Path: "/srv/a"}, Columns: []string{"id", "id"}},
		"url: missing":                source.HTTPSSpec{},
		"url: cannot be read":         source.HTTPSSpec{URL: secret.New("https://%zz/")},
		"url: it has a user":          source.HTTPSSpec{URL: secret.New("https://a:b@sis.example.edu/")},
		"url: the scheme is \"ftp\"":  source.HTTPSSpec{URL: secret.New("ftp://sis.example.edu/")},
		"bearer: a user name or":      source.HTTPSSpec{URL: url, Bearer: secret.New("t"), Username: "u", Password: secret.New("p")},
		"bearer: the token has":       source.HTTPSSpec{URL: url, Bearer: secret.New("Bearer t")},
		"username: basic":             source.HTTPSSpec{URL: url, Username: "u"},
		"username: it has a colon":    source.HTTPSSpec{URL: url, Username: "u:v", Password: secret.New("p")},
		"ca: it holds no certificate": source.HTTPSSpec{URL: url, CA: []byte("x")},
		"timeout: 2h0m0s is not":      source.HTTPSSpec{URL: url, Timeout: 2 * time.Hour},
	} {
		if err := spec.Validate(); err == nil || !strings.Contains("\n"+err.Error(), "\n"+key) {
			t.Errorf("error %v, want one that begins with %q", err, key)
		}
	}
	if _, err := source.NewFiles(source.FilesSpec{}); err == nil {
		t.Error("a wrong spec makes a source of files")
	}
	if _, err := source.NewOneRoster(source.OneRosterSpec{}); err == nil {
		t.Error("a wrong spec makes a source of bundles")
	}
}

func TestASpecWithoutOptionsIsValid(t *testing.T) {
	t.Parallel()
	for _, spec := range []interface{ Validate() error }{
		source.FilesSpec{Place: source.Place{Path: "/srv/roster-*.csv"}},
		source.OneRosterSpec{Place: source.Place{Path: "/srv/bundle.zip"}},
		source.HTTPSSpec{URL: secret.New("https://sis.example.edu/roster.xlsx")},
		source.HTTPSSpec{URL: secret.New("http://[::1]:8080/"), Username: "u", Password: secret.New("p")},
	} {
		if err := spec.Validate(); err != nil {
			t.Error(err)
		}
	}
}
