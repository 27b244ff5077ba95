package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // for machines without a time zone database

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/config"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func env(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

func TestASmallFileGetsEveryDefault(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load("testdata/good.yaml", env(map[string]string{"DT": "app-secret", "CI": "ci-secret"}))
	if err != nil {
		t.Fatal(err)
	}
	dt := cfg.Organisations[0].Tenants[0].DingTalk
	ci := cfg.Organisations[0].Tenants[1].ClassIn
	if got := dt.AppSecret.Value.Reveal() + " " + ci.Secret.Value.Reveal(); got != "app-secret ci-secret" {
		t.Errorf("secrets are %q", got)
	}
	got := []any{
		cfg.Redis.URL, cfg.HTTP.Listen, cfg.Log, time.Duration(dt.Timeout), time.Duration(ci.Timeout),
		dt.NicknameMax, dt.Limits["group"], ci.Limits["course"], ci.BaseURL,
	}
	want := []any{
		"redis://127.0.0.1:6379/0", "127.0.0.1:8080",
		config.Log{Level: "info", Format: "auto"},
		15 * time.Second, time.Minute,
		30,
		config.Limits{{Calls: 20, Per: config.Duration(time.Second), Window: config.WindowUnknown}},
		config.Limits{{Calls: 3, Per: config.Duration(time.Second), Window: config.WindowUnknown}},
		"https://api.eeo.cn",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	if strings.Contains(fmt.Sprintf("%+v %#v", cfg, dt), "app-secret") {
		t.Error("printing the configuration shows a secret")
	}
}

func TestANumberWithLeadingZerosIsDecimal(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]int{"8": 8, "08": 8, "010": 10, "+5": 5} {
		cfg, err := config.Parse("x.yaml", []byte("organisations: [{name: o, tenants: [{name: t, classin: {sid: '1', secret: {env: S}, "+
			"limits: {course: {calls: "+written+", per: 1s}}}}]}]"), func(string) string { return "s" })
		if err != nil {
			t.Errorf("%s: %v", written, err)
		} else if got := cfg.Organisations[0].Tenants[0].ClassIn.Limits["course"][0].Calls; got != want {
			t.Errorf("%s was read as %d", written, got)
		}
	}
}

// Every invalid file reports all its problems, with lines and advice.
func TestInvalidFilesReportWhatToDo(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/wrong-*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no wrong files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(file, env(map[string]string{"DT": "app-secret"}))
			if err == nil {
				t.Fatal("the file was accepted")
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("a secret in the file is repeated in the message")
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(err.Error()+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, readErr := os.ReadFile(golden)
			if readErr != nil {
				t.Fatal(readErr)
			}
			if diff := cmp.Diff(string(want), err.Error()+"\n"); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}

func TestASecretFileThatOthersCanReadIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	yaml := []byte("organisations: [{name: o, tenants: [{name: t, classin: {sid: '1', secret: {file: " + path + "}}}]}]")
	if err := os.WriteFile(path, []byte("hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse("x.yaml", yaml, env(nil))
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.Organisations[0].Tenants[0].ClassIn.Secret.Value.Reveal(); got != "hush" {
		t.Errorf("secret is %q, want the file's first line", got)
	}
	if err := os.Chmod(path, 0o604); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Parse("x.yaml", yaml, env(nil)); err == nil || !strings.Contains(err.Error(), "chmod o-rwx") {
		t.Errorf("Parse() = %v, want an error that contains chmod", err)
	}
}

func TestRelativePathsStartAtTheFilesDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"secret": "hush\n", "roster.csv": "kind,tenant\n",
		"rollcall.yaml": `{organisations: [{name: o, tenants: [{name: t, dingtalk: {api: "https://api.dingtalk.io",
			oapi: "https://oapi.dingtalk.io", app_key: k, app_secret: {file: secret}}}]}],
			schedules: [{name: nightly, cron: 30 2 * * *, roster: roster.csv}]}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(content, "\t", " ")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Load(filepath.Join(dir, "rollcall.yaml"), env(nil))
	if err != nil {
		t.Fatal(err)
	}
	got := []string{cfg.Organisations[0].Tenants[0].DingTalk.AppSecret.Value.Reveal(), cfg.Schedules[0].Roster, cfg.Schedules[0].Zone}
	if diff := cmp.Diff([]string{"hush", filepath.Join(dir, "roster.csv"), "Asia/Shanghai"}, got); diff != "" {
		t.Errorf("secret, roster and zone (-want +got):\n%s", diff)
	}
}

func TestAKeyOfACertificateMustBeItsOwnAndPrivate(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	pair := server.TLS.Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	otherDER, err := x509.MarshalPKCS8PrivateKey(other)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, der []byte) {
		t.Helper()
		content := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("cert.pem", "CERTIFICATE", pair.Certificate[0])
	write("key.pem", "PRIVATE KEY", der)
	load := func() error {
		_, err := config.Parse(filepath.Join(dir, "x.yaml"), []byte(`
redis: {cluster: {addresses: ["127.0.0.1:7000"]}, tls: {ca: cert.pem, cert: cert.pem, key: key.pem}}
organisations: [{name: o, tenants: [{name: t, classin: {sid: "1", secret: {env: S}}}]}]`), env(map[string]string{"S": "s"}))
		return err
	}
	if err := load(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "key.pem"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := load(); err == nil || !strings.Contains(err.Error(), "chmod o-rwx") {
		t.Errorf("with a key that all can read: %v, want an error that contains chmod", err)
	}
	write("key.pem", "PRIVATE KEY", otherDER)
	if err := os.Chmod(filepath.Join(dir, "key.pem"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := load(); err == nil || !strings.Contains(err.Error(), "not the key of the certificate") {
		t.Errorf("with another key: %v, want an error about the pair", err)
	}
}
