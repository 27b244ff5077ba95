package main

import (
	"bufio"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"rollcall/internal/access"
	"rollcall/internal/redistest"
)

// A service in Python uploads 10,000 rows, is killed in the middle, continues, seals and
// applies the run, gets its webhook, and reads the results.
func TestThePythonServiceRenamesTenThousandPeople(t *testing.T) {
	if testing.Short() {
		t.Skip("renames 10,000 people, which takes half a minute: make test-long")
	}
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	const rows, part = 10_000, 500
	s := redistest.Real(t)
	dir, token, hook := t.TempDir(), access.NewSecret().Reveal(), free(t)
	writeFile(t, dir, "hash", access.HashOf(token).String())
	writeFile(t, dir, "token", token)
	writeFile(t, dir, "secret", webhookSecret)
	var names strings.Builder
	for i := range rows {
		fmt.Fprintf(&names, `{"tenant":"dt","chat_id":"c%d","user_id":"u%d","nickname":"n%d","key":"k%d"}`+"\n", i/500, i, i, i)
	}
	writeFile(t, dir, "names.ndjson", names.String())
	r := newRotationAt(t, s, fmt.Sprintf(`{url: %q}
api: {tokens: [{name: grades, scopes: [enqueue], tenants: [dt], expires: 2099-12-31, hash: {file: %q}}]}
webhooks: [{name: grades, url: "http://%s/", secret: {file: %q}}]`, s.URL(), filepath.Join(dir, "hash"), hook, filepath.Join(dir, "secret")), 1000)

	_, port, _ := strings.Cut(hook, ":")
	start := func() *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), python, "../../examples/http/rename.py", "--url", strings.TrimSuffix(r.page, "/metrics"),
			"--token-file", "token", "--part", strconv.Itoa(part), "--hook", port, "--hook-secret-file", "secret", "names.ndjson")
		cmd.Args[1], _ = filepath.Abs(cmd.Args[1])
		cmd.Dir = dir
		return cmd
	}
	killed := start()
	out, err := killed.StdoutPipe()
	if err == nil {
		err = killed.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	last := ""
	for lines := bufio.NewScanner(out); last != fmt.Sprint("uploaded ", rows/2) && lines.Scan(); {
		last = lines.Text()
	}
	_ = killed.Process.Kill()
	if err := killed.Wait(); last != fmt.Sprint("uploaded ", rows/2) || err == nil {
		t.Fatalf("the service was not killed in the middle of the upload: %q, %v\n%s", last, err, r.log)
	}

	second, err := start().CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s\n%s", err, second, r.log)
	}
	for _, want := range []string{"webhook run.ended", fmt.Sprintf("done  {'applied': %d}", rows)} {
		if !strings.Contains(string(second), want) {
			t.Errorf("the output has no %q:\n%s", want, second)
		}
	}
	if strings.Contains(string(second), fmt.Sprintf("uploaded %d\n", rows/2)) {
		t.Errorf("it began again:\n%s", second)
	}
	if strings.Contains(string(second)+r.log.String(), token) {
		t.Error("the output or the log has the token")
	}
	r.sent = rows
	r.allRenamed()
}
