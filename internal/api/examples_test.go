package api_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"rollcall/internal/redistest"
	"rollcall/internal/run"
	"rollcall/internal/wire"
)

// interpreter returns a program, or skips the test if the machine has none.
func interpreter(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	return path
}

// A service in Python uploads rows, is killed in the middle, continues, and reads results.
func TestThePythonExampleContinuesWhereItWasKilled(t *testing.T) {
	t.Parallel()
	python := interpreter(t, "python3")
	const rows, part = 300, 40
	r := newRig(t, redistest.Real(t), options{})
	r.work(rows)
	dir := t.TempDir()
	token, names := filepath.Join(dir, "token"), filepath.Join(dir, "names.ndjson")
	if os.WriteFile(token, []byte(producer+"\n"), 0o600) != nil || os.WriteFile(names, []byte(nicknames(1, rows)), 0o600) != nil {
		t.Fatal("cannot write the files")
	}
	start := func() *exec.Cmd {
		return exec.CommandContext(t.Context(), python, "../../examples/http/rename.py", "--url", r.url, "--token-file", token, "--part", strconv.Itoa(part), names)
	}
	killed := start()
	out, err := killed.StdoutPipe()
	if err == nil {
		err = killed.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != fmt.Sprint("uploaded ", part) {
		t.Fatalf("%q, %v", lines.Text(), lines.Err())
	}
	_ = killed.Process.Kill()
	_ = killed.Wait()

	second, err := start().CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, second)
	}
	if strings.Contains(string(second), fmt.Sprintf("uploaded %d\n", part)) {
		t.Errorf("it began again:\n%s", second)
	}
	page := as[wire.RunPage](t, r.get(producer, "/v1/runs"))
	if len(page.Runs) != 1 || page.Runs[0].State != run.StateDone || page.Runs[0].Outcomes[run.OutcomeApplied] != rows {
		t.Errorf("%+v\n%s", page.Runs, second)
	}
	if strings.Contains(string(second), producer) {
		t.Error("the output holds the token")
	}
}

func TestTheNodeExampleEnqueuesOnce(t *testing.T) {
	t.Parallel()
	node := interpreter(t, "node")
	r := newRig(t, redistest.One(t), options{})
	for range 2 {
		cmd := exec.CommandContext(t.Context(), node, "../../examples/http/enqueue.mjs", "order-7", oneTask)
		cmd.Env = append(os.Environ(), "ROLLCALL_URL="+r.url, "ROLLCALL_TOKEN="+producer)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), "stored ") {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if n, err := r.rdb.LLen(t.Context(), "asynq:{lakeside-dt.nickname}:pending").Result(); err != nil || n != 1 {
		t.Errorf("%d tasks, %v", n, err)
	}
}

// The commands of docs/api.md run as they are, one after the other.
func TestTheCommandsOfTheGuideRun(t *testing.T) {
	t.Parallel()
	curl := interpreter(t, "curl")
	interpreter(t, "jq")
	shell := interpreter(t, "sh")
	guide, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	script.WriteString("PATH=$PWD:$PATH\n")
	for i, block := range strings.Split(string(guide), "```sh\n") {
		if code, _, ok := strings.Cut(block, "```"); ok && i > 0 && !strings.Contains(code, "rename.py") && !strings.Contains(code, "export ") {
			script.WriteString(code)
		}
	}
	r := newRig(t, redistest.One(t), options{})
	r.work(5)
	dir := t.TempDir()
	// The list of processes shows the arguments of commands to everybody.
	const wrapper = "#!/bin/sh\nprintf '%%s\\n' \"$@\" >>arguments\nexec %s \"$@\"\n"
	for name, content := range map[string]string{"names.ndjson": nicknames(1, 5), "token": all + "\n", "curl": fmt.Sprintf(wrapper, curl)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), shell, "-ec", script.String())
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "URL="+r.url)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s\n%s", err, script.String(), out)
	}
	if !strings.Contains(string(out), `"applied": 5`) {
		t.Errorf("the run was not applied:\n%s", out)
	}
	arguments, err := os.ReadFile(filepath.Join(dir, "arguments"))
	if err != nil || !strings.Contains(string(arguments), "@auth") || strings.Contains(string(arguments)+string(out), all) {
		t.Errorf("the arguments or the output hold the token (%v):\n%s", err, arguments)
	}
}
