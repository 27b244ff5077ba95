// Package deploy_test holds the files of deploy/ against the code and against
// each other. What needs the code of Kubernetes or Docker is in check/, a module
// of its own.
package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"rollcall/internal/config"
)

// A way to run the worker: its configuration, and the files that say how long
// it may take to stop and which secrets it is handed.
type way struct {
	name, config string
	stop         time.Duration
	delivers     []string // names of secrets
}

func ways(t *testing.T) []way {
	t.Helper()
	unit := readUnit(t)
	var credentials []string
	for _, c := range unit["LoadCredential"] {
		name, _, _ := strings.Cut(c, ":")
		credentials = append(credentials, name)
	}

	var compose struct {
		Services map[string]struct {
			Secrets []string `yaml:"secrets"`
			Grace   string   `yaml:"stop_grace_period"`
		} `yaml:"services"`
	}
	decode(t, "compose/compose.yaml", &compose)

	var deployment struct {
		Spec struct {
			Template struct {
				Spec struct {
					Grace int `yaml:"terminationGracePeriodSeconds"`
				} `yaml:"spec"`
			} `yaml:"template"`
		} `yaml:"spec"`
	}
	decode(t, "kubernetes/base/deployment.yaml", &deployment)
	var example struct {
		Secrets []struct {
			Name  string   `yaml:"name"`
			Files []string `yaml:"files"`
		} `yaml:"secretGenerator"`
	}
	decode(t, "kubernetes/overlays/example/kustomization.yaml", &example)
	var mounted []string
	for _, s := range example.Secrets {
		if s.Name == "rollcall-secrets" {
			for _, file := range s.Files {
				mounted = append(mounted, filepath.Base(file))
			}
		}
	}
	return []way{
		{"systemd", "systemd/rollcall.yaml", seconds(t, unit["TimeoutStopSec"][0]+"s"), credentials},
		{"compose", "compose/rollcall.yaml", seconds(t, compose.Services["worker"].Grace), compose.Services["worker"].Secrets},
		{
			"kubernetes", "kubernetes/overlays/example/rollcall.yaml",
			time.Duration(deployment.Spec.Template.Spec.Grace) * time.Second, mounted,
		},
	}
}

func decode(t *testing.T, file string, into any) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func seconds(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

var (
	secretFile = regexp.MustCompile(`\{file: ([^}]+)\}`)
	rosterFile = regexp.MustCompile(`roster: (\S+)`)
)

// load reads a configuration as its worker would, with every secret and roster
// where the file says that it is. It returns the names of the secrets, too.
func load(t *testing.T, file string) (*config.Config, []string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir, text := t.TempDir(), string(content)
	put := func(path, content string) string {
		moved := filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(moved, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return moved
	}
	var secrets []string
	text = secretFile.ReplaceAllStringFunc(text, func(m string) string {
		path := secretFile.FindStringSubmatch(m)[1]
		secrets = append(secrets, filepath.Base(path))
		return "{file: " + put(path, "s3cret") + "}"
	})
	text = rosterFile.ReplaceAllStringFunc(text, func(m string) string {
		return "roster: " + put(rosterFile.FindStringSubmatch(m)[1], "kind,tenant,chat_id,user_id,nickname\n")
	})
	cfg, err := config.Parse(file, []byte(text), func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	return cfg, secrets
}

func TestEveryConfigurationIsTakenAndIsHandedItsSecrets(t *testing.T) {
	t.Parallel()
	for _, w := range ways(t) {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			_, named := load(t, w.config)
			slices.Sort(named)
			delivered := slices.Sorted(slices.Values(w.delivers))
			if diff := cmp.Diff(delivered, named); diff != "" {
				t.Errorf("secrets that are handed over and those that %s names differ (-handed over +named):\n%s", w.config, diff)
			}
		})
	}
}

// settling is what a stop takes in addition to the running exchange: its slot, and
// its settle while Redis is unavailable. See docs/architecture.md, "Budgets of time".
const settling = 31 * time.Second

// A stop timeout that is too short ends in a kill, and an ID change with an unknown
// outcome.
func TestAStopIsLongerThanWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	for _, w := range ways(t) {
		cfg, _ := load(t, w.config)
		if got := time.Duration(cfg.StopTimeout); got != w.stop {
			t.Errorf("%s: the worker is granted %s, and stop_timeout in %s says %s", w.name, w.stop, w.config, got)
		}
		for _, org := range cfg.Organisations {
			for _, tenant := range org.Tenants {
				var exchange time.Duration
				switch {
				case tenant.DingTalk != nil:
					exchange = time.Duration(tenant.DingTalk.Timeout)
				case tenant.ClassIn != nil:
					exchange = time.Duration(tenant.ClassIn.Timeout)
				}
				if exchange == 0 || exchange+settling >= w.stop {
					t.Errorf("%s: tenant %s needs %s and %s to stop, and is granted %s", w.name, tenant.Name, exchange, settling, w.stop)
				}
			}
		}
	}
}

func TestTheTrialsConfigurationIsTaken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var whole []byte
	for _, file := range []string{"trial/rollcall.yaml", "trial/schedules.yaml"} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		whole = append(whole, content...)
	}
	file := filepath.Join(dir, "rollcall.yaml")
	if err := os.WriteFile(file, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, _ := load(t, file)
	if len(cfg.Organisations) != 2 || len(cfg.Schedules) != 2 {
		t.Errorf("the trial has %d organisations and %d schedules, want two each", len(cfg.Organisations), len(cfg.Schedules))
	}
}

// A fix of the standard library reaches what is built by all of them, or by some.
func TestEveryModuleAndTheImageNameOneGoRelease(t *testing.T) {
	t.Parallel()
	pattern := regexp.MustCompile(`(?m)^(?:toolchain go|ARG GO_IMAGE=golang:)([0-9.]+)`)
	named := map[string]string{}
	for _, file := range []string{"../go.mod", "../tools/go.mod", "check/go.mod", "Dockerfile"} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if m := pattern.FindStringSubmatch(string(content)); m != nil {
			named[file] = m[1]
		}
	}
	want := named["../go.mod"]
	if diff := cmp.Diff(map[string]string{"../go.mod": want, "../tools/go.mod": want, "check/go.mod": want, "Dockerfile": want}, named); diff != "" || want == "" {
		t.Errorf("go.mod's toolchain line and the others differ (-want +named):\n%s", diff)
	}
}

// The image has no zone files, and schedules have zones.
func TestTimeZonesAreInTheProgram(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "../cmd/worker").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(strings.Fields(string(out)), "time/tzdata") {
		t.Error("cmd/worker does not import time/tzdata: in an image without zone files no schedule has a zone")
	}
}

// Every shell script, and every command that the pages for operators show, is
// at least shell.
func TestShellIsShell(t *testing.T) {
	t.Parallel()
	parse := func(what, shell, text string) {
		cmd := exec.CommandContext(t.Context(), shell, "-n")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
	}
	for file, shell := range map[string]string{"trial.sh": "bash", "redis/acl.sh": "sh"} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parse(file, shell, string(content))
	}
	blocks := 0
	for _, page := range []string{"README.md", "../docs/operations.md"} {
		content, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(content), -1) {
			blocks++
			parse(page, "bash", m[1])
		}
	}
	if blocks < 10 {
		t.Errorf("only %d blocks of commands found: the search is broken", blocks)
	}
}
