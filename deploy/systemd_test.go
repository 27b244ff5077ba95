package deploy_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/exitcode"
)

// exposure is the bound of what systemd-analyze security says of the unit, in
// tenths, from 0 to 100. README.md has the figure.
const exposure = "11"

const unitFile = "systemd/rollcall-worker.service"

// readUnit returns the unit's settings; one that occurs twice has two values.
func readUnit(t *testing.T) map[string][]string {
	t.Helper()
	content, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string][]string{}
	for _, m := range regexp.MustCompile(`(?m)^([A-Za-z]+)=(.*)$`).FindAllStringSubmatch(string(content), -1) {
		settings[m[1]] = append(settings[m[1]], m[2])
	}
	return settings
}

func TestTheUnitStopsReloadsAndRestartsAsTheWorkerNeeds(t *testing.T) {
	t.Parallel()
	unit := readUnit(t)
	want := map[string]string{
		"ExecStart":                "/opt/rollcall/bin/worker run --config /etc/rollcall/rollcall.yaml",
		"ExecReload":               "/bin/kill -HUP $MAINPID",
		"KillMode":                 "mixed",
		"Restart":                  "on-failure",
		"RestartPreventExitStatus": fmt.Sprintf("%d %d", exitcode.Usage, exitcode.Config), // a panic exits with 2
		"User":                     "rollcall",
	}
	got := map[string]string{}
	for key := range want {
		got[key] = strings.Join(unit[key], " | ")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", unitFile, diff)
	}
	users, err := os.ReadFile("systemd/rollcall.sysusers.conf")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(users), "\nu rollcall ") {
		t.Error("the sysusers file does not make the unit's user")
	}
}

func TestSystemdTakesTheUnitAndFindsItHardened(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not on the PATH: install systemd to have the unit judged")
	}
	content, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	// verify wants the program to exist where the unit says it is.
	dir := t.TempDir()
	program := filepath.Join(dir, "worker")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	moved := filepath.Join(dir, filepath.Base(unitFile))
	text := strings.ReplaceAll(string(content), "/opt/rollcall/bin/worker", program)
	if err := os.WriteFile(moved, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"verify", "--man=no", moved},
		{"security", "--offline=true", "--no-pager", "--threshold=" + exposure, moved},
	} {
		out, err := exec.CommandContext(t.Context(), "systemd-analyze", args...).CombinedOutput()
		if err != nil {
			t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, out)
		} else if args[0] == "verify" && len(out) > 0 {
			t.Errorf("systemd-analyze verify warns:\n%s", out)
		}
	}
}
