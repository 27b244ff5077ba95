package redisdb_test

import (
	"strings"
	"testing"

	"rollcall/internal/redisdb"
	"rollcall/internal/secret"
)

// FuzzAddress checks that no error repeats a part of the password, however the password
// is malformed, and that an accepted address names a server.
func FuzzAddress(f *testing.F) {
	const head, tail = "zq7xk", "w9vjm"
	for _, scheme := range []string{"redis", "rediss", "unix", "redis+sentinel", "rediss+cluster"} {
		f.Add(scheme, "", "@127.0.0.1:6379/0")
		f.Add(scheme, "/?#@:%", "@127.0.0.1,[::1]:1/mymaster/2?db=1")
		f.Add(scheme, "%zz", "@h:99999?pool_size=x&read_timeout=3s")
	}
	f.Fuzz(func(t *testing.T, scheme, password, rest string) {
		if strings.Contains(password, "@") && !strings.Contains(rest, "@") {
			return // it is ambiguous which part is the host
		}
		address := scheme + "://user:" + head + password + tail + rest
		options, err := redisdb.Config{URL: secret.New(address)}.Options()
		if err != nil {
			if text := err.Error(); strings.Contains(text, head) || strings.Contains(text, tail) {
				t.Errorf("%q is shown: %s", address, text)
			}
			return
		}
		if len(options.Addrs) == 0 {
			t.Errorf("%q is accepted but names no server", address)
		}
		if options.TLSConfig != nil && options.TLSConfig.InsecureSkipVerify && !strings.Contains(rest, "skip_verify") && !strings.Contains(password, "skip_verify") {
			t.Errorf("%q turns the certificate's check off", address)
		}
	})
}
