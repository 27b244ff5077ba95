package buildinfo_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"rollcall/internal/buildinfo"
)

func TestNoFieldIsEmptyWithoutALinkersVersion(t *testing.T) {
	t.Parallel()
	info := buildinfo.Read()
	if info.Version == "" || info.Revision == "" || info.Go != runtime.Version() {
		t.Errorf("Read() = %+v", info)
	}
	if !strings.HasPrefix(info.String(), info.Version+" (commit ") {
		t.Errorf("String() = %q", info)
	}
}

func TestTheUserAgentNamesTheVersionAndNothingElse(t *testing.T) {
	t.Parallel()
	info := buildinfo.Info{Version: "0.1.0-5-g1234abc", Revision: "1234abc", Go: "go1.26.10"}
	if got := info.UserAgent(); got != "rollcall/0.1.0-5-g1234abc" {
		t.Errorf("UserAgent() = %q", got)
	}
}

// The Makefile names the variables of this package by text: a renamed variable
// would be ignored by the linker without an error.
func TestMakeBuildSetsTheVersion(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes a build of all commands: make test-long")
	}
	root, bin := "../..", t.TempDir()
	build := exec.CommandContext(t.Context(), "make", "-C", root, "build", "BIN="+bin, "VERSION=9.8.7", "REVISION=abcdef0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make build: %v\n%s", err, out)
	}
	line := regexp.MustCompile(`^(enqueue|rollcall|worker) 9\.8\.7 \(commit abcdef0, go1\.\S+, \S+/\S+\)\n$`)
	for _, args := range [][]string{{"enqueue", "--version"}, {"rollcall", "--version"}, {"worker", "--version"}, {"worker", "version"}} {
		out, err := exec.CommandContext(t.Context(), filepath.Join(bin, args[0]), args[1:]...).CombinedOutput()
		if err != nil || !line.Match(out) {
			t.Errorf("%s: %v, %q", strings.Join(args, " "), err, out)
		}
	}
}
