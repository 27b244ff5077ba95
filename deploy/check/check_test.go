// Package check_test judges the files of deploy/ by the code of those who will read them:
// kustomize, Kubernetes' own types and pod security policy, Docker Compose, BuildKit. It
// is a module of its own, since that code is large and no part of rollcall.
//
// It needs no cluster, no Docker engine and no network. It must not know how rollcall's
// numbers hang together: that is tested in deploy/deploy_test.go.
package check_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// copied returns a copy of deploy/ in which the files that an operator supplies
// exist.
func copied(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "deploy")
	if err := os.CopyFS(dir, os.DirFS("..")); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"compose", "kubernetes/overlays/example"} {
		for _, file := range []string{
			"secrets/redis-password", "secrets/redis-admin-password", "secrets/monitor-password",
			"secrets/lakeside-app-secret", "secrets/hillside-school-secret", "rosters/lakeside.csv",
		} {
			path := filepath.Join(dir, at, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte("s3cret\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// Compose's own loader: its JSON schema, interpolation, and what may not occur
// together.
func TestTheComposeFileIsTaken(t *testing.T) {
	t.Parallel()
	dir := copied(t)
	options, err := cli.NewProjectOptions([]string{filepath.Join(dir, "compose", "compose.yaml")}, cli.WithConsistency(true))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range project.Secrets {
		if _, err := os.Stat(file.File); err != nil {
			t.Errorf("secret %s: %v", name, err)
		}
	}
	for name, file := range project.Configs {
		if _, err := os.Stat(file.File); err != nil {
			t.Errorf("config %s: %v", name, err)
		}
	}
	for name, service := range project.Services {
		got := []any{service.ReadOnly, service.CapDrop, service.SecurityOpt, service.Privileged}
		want := []any{true, []string{"ALL"}, []string{"no-new-privileges:true"}, false}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: read_only, cap_drop, security_opt, privileged (-want +got):\n%s", name, diff)
		}
		if service.User == "" || service.HealthCheck == nil || service.StopGracePeriod == nil {
			t.Errorf("%s has no user, no health check or no stop_grace_period", name)
		}
	}
	if !project.Networks["redis"].Internal {
		t.Error("Redis' network reaches outside")
	}
}

// What docker build says of the file before it builds: syntax, and its linter.
func TestTheDockerfileIsTaken(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parser.Parse(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range parsed.Warnings {
		t.Errorf("line %v: %s", w.Location, w.Short)
	}
	lint := linter.New(&linter.Config{ExperimentalAll: true, Warn: func(rule, _, url, msg string, at []parser.Range) {
		t.Errorf("%s: %s (%v, %s)", rule, msg, at, url)
	}})
	stages, _, err := instructions.Parse(parsed.AST, lint)
	if err != nil {
		t.Fatal(err)
	}
	last := stages[len(stages)-1]
	if last.BaseName != "scratch" {
		t.Errorf("the image is built on %s, not on nothing", last.BaseName)
	}
	said := map[string]string{}
	for _, command := range last.Commands {
		switch c := command.(type) {
		case *instructions.UserCommand:
			said["user"] = c.User
		case *instructions.EntrypointCommand:
			said["entrypoint"] = c.CmdLine[0]
			if c.PrependShell {
				t.Error("the entrypoint needs a shell, and the image has none")
			}
		case *instructions.HealthCheckCommand:
			said["health"] = c.Health.Test[0]
		case *instructions.CopyCommand:
			for _, path := range c.SourcePaths {
				said["copies "+filepath.Base(path)] = c.DestPath
			}
		}
	}
	want := map[string]string{
		"user": "65532:65532", "entrypoint": "worker", "health": "CMD",
		"copies worker": "/usr/local/bin/", "copies enqueue": "/usr/local/bin/", "copies rollcall": "/usr/local/bin/",
		"copies ca-certificates.crt": "/etc/ssl/certs/ca-certificates.crt",
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Errorf("the image (-want +got):\n%s", diff)
	}
}
