//go:build unix

package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rollcall/internal/config"
)

// A FIFO without a writer, and a device without an end.
func TestOnlyARegularFileOfBoundedLengthIsRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo, long := filepath.Join(dir, "fifo"), filepath.Join(dir, "long")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(long, []byte(strings.Repeat("x", 65<<10)), 0o600); err != nil {
		t.Fatal(err)
	}
	const secret = "organisations: [{name: o, tenants: [{name: t, classin: {sid: '1', secret: {file: %s}}}]}]"
	const authority = "redis: {url: 'rediss://r:1', tls: {ca: %s}}\n" +
		"organisations: [{name: o, tenants: [{name: t, classin: {sid: '1', secret: {env: S}}}]}]"
	for name, c := range map[string]struct{ yaml, file, want string }{
		"a secret that is a FIFO":        {secret, fifo, "classin.secret comes from the file " + fifo + ", which is not a regular file"},
		"a secret that is a device":      {secret, "/dev/zero", "classin.secret comes from the file /dev/zero, which is not a regular file"},
		"a secret that is a directory":   {secret, dir, "which is not a regular file"},
		"a secret that is too long":      {secret, long, "which is longer than 64 KiB"},
		"an authority that is a device":  {authority, "/dev/zero", "redis.tls.ca comes from the file /dev/zero, which is not a regular file"},
		"a configuration that is a FIFO": {"", fifo, "which is not a regular file"},
		"an endless configuration":       {"", "/dev/zero", "which is not a regular file"},
	} {
		var err error
		if c.yaml == "" {
			_, err = config.Load(c.file, env(nil))
		} else {
			_, err = config.Parse("x.yaml", fmt.Appendf(nil, c.yaml, c.file), func(string) string { return "s" })
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line with %q", name, err, c.want)
		}
	}
}
