package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/internal/commandtest"
	"rollcall/internal/exitcode"
	"rollcall/internal/redistest"
)

var kit = commandtest.New("enqueue", main)

func TestMain(m *testing.M) { os.Exit(kit.Main(m)) }

// Every command of the page runs, each block in one shell.
func TestEveryCommandOfThePageRuns(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/enqueue.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := commandtest.Blocks(string(page), "csv")
	if len(files) != 1 {
		t.Fatalf("%d CSV files on the page, want one", len(files))
	}
	if err := os.WriteFile(filepath.Join(dir, "roster.csv"), []byte(files[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	url, err := commandtest.ServeAll(redistest.Mini(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	blocks := commandtest.Blocks(string(page), "sh")
	if len(blocks) < 3 {
		t.Fatalf("%d blocks of commands found", len(blocks))
	}
	for _, block := range blocks {
		out := kit.Shell(t, dir, url, block)
		if strings.Contains(out, "张三") {
			t.Errorf("a nickname is printed:\n%s", out)
		}
	}
}

// The output on the page of files is the output of its commands.
func TestThePageOfFilesShowsWhatIsPrinted(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../docs/files.md")
	if err != nil {
		t.Fatal(err)
	}
	page, dir := string(content), t.TempDir()
	for name, content := range map[string]string{
		"names.csv":   commandtest.Blocks(page, "csv")[0],
		"damaged.csv": "学号,昵称\n2023001,张三\n1.80E+17,李四\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	url, err := commandtest.ServeAll(redistest.Mini(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	var printed strings.Builder
	commands := append(commandtest.Blocks(page, "sh"), "enqueue bulk --tenant lakeside-dt --chat chat1 --map 学号=user_id damaged.csv && exit 1 || true\n")
	for _, block := range commands {
		printed.WriteString(kit.Shell(t, dir, url, block))
	}
	for _, block := range commandtest.Blocks(page, "text") {
		for line := range strings.Lines(block) {
			if !strings.Contains(printed.String(), line) {
				t.Errorf("docs/files.md shows %q, which no command prints:\n%s", line, printed.String())
			}
		}
	}
}

func TestThePageNamesEveryOutcome(t *testing.T) {
	t.Parallel()
	commandtest.NamesWords(t, "../../docs/json.md", "stored", "already_there", "outdated", "refused", "not_stored", "not_known", "valid")
}

func TestThePageOfExitCodesNamesEveryCode(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/exit-codes.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []int{
		exitcode.OK, exitcode.Failed, exitRefused, exitNotStored, exitNotKnown, exitcode.Usage, exitcode.Config,
	} {
		if !strings.Contains(string(page), fmt.Sprintf("\n| %d | ", code)) {
			t.Errorf("docs/exit-codes.md does not name %d", code)
		}
	}
	if strings.Contains(string(page), "\n| 2 | ") && !strings.Contains(string(page), "\n| 2 | Go panic") {
		t.Error("docs/exit-codes.md gives 2 another meaning than a Go panic")
	}
}

func TestTheCommandLinksNoPlatform(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "/providers\n") || !strings.Contains(string(out), "/tasks\n") {
		t.Errorf("%s", out)
	}
}
