package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"rollcall/internal/commandtest"
	"rollcall/internal/demo"
	"rollcall/internal/redistest"
	"rollcall/tasks"
)

// guideFile is a file of a guide: its name in the text, then its content.
var guideFile = regexp.MustCompile("(?s)`([a-z]+\\.csv)`[:：]\n\n```csv\n(.*?)```")

// guide returns a script that runs every command of a guide, with the files that it
// shows, against a worker and the emulated platforms.
func guide(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := string(content)
	var script, files strings.Builder
	script.WriteString("exec sh -c 'exec worker run --config \"$CONFIG\" 2>log' &w&\nlogged log 'worker ready'\n")
	// The names that the sample school has before the guide begins.
	script.WriteString("exec rollcall apply --yes --tenant lakeside-dingtalk --chat chat7Af3929 before.csv\n")
	files.WriteString("-- before.csv --\n用户ID,群昵称\nu001,7A 黄勇\nu007,7A 李佳琪\n")
	for _, file := range guideFile.FindAllStringSubmatch(page, -1) {
		fmt.Fprintf(&files, "-- %s --\n%s", file[1], file[2])
	}
	blocks := commandtest.Blocks(page, "sh")
	if len(blocks) < 10 {
		t.Fatalf("%d blocks of commands in %s", len(blocks), path)
	}
	end := "nick chat7Af3929 u001 '7A 黄勇'\nnick chat7Af3929 u151 '7A 李涛'\n"
	if testing.Short() { // the first run alone
		blocks, end = blocks[:2], "nick chat7Af3929 u001 '7A 黄勇（班长）'\n"
	}
	for _, block := range blocks {
		for line := range strings.Lines(block) {
			// A plan with changes exits with 2, a run with failed rows with 3.
			fmt.Fprintf(&script, "exec sh -c '%s; case $? in 0|2|3) ;; *) exit 1;; esac'\n", strings.TrimSpace(line))
			script.WriteString(after(line))
		}
	}
	script.WriteString(end + "kill -INT w\nwait w\n")
	return script.String() + files.String()
}

// after is what the reader sees or does by hand after a command.
func after(line string) string {
	switch {
	case strings.Contains(line, "run results class-7a --failed\n"):
		return "stdout '^line 4: 40003: .*to do: correct the user id'\n"
	case strings.Contains(line, "-o failed.csv"):
		return "grep '^u150,7A 李涛,.*,40003,' failed.csv\n! grep u001 failed.csv\nexec sed -i s/u150/u151/ failed.csv\n"
	case strings.Contains(line, "run undo class-7a --dry-run"):
		return "stdout '^  change           2  '\nstdout 'u001  7A 黄勇（班长）.* →  7A 黄勇$'\nnick chat7Af3929 u001 '7A 黄勇（班长）'\n"
	case strings.Contains(line, "run undo class-7a --yes"):
		return "stdout '^  restored         2  the old value is back$'\nstdout '^  nothing          1  '\n"
	case strings.Contains(line, "run list"):
		return "stdout ' corrected +done +1 +1 +0 '\nstdout ' undo class-7a +done '\nstdout ' move-7a +done +2 +2 +0 '\nstdout ' owners +done '\nstdout ' new-staff +done +1 +1 +0 '\n"
	}
	return ""
}

// Each command of the guides for administrators runs, in both languages; with -short those of
// the first run.
func TestEveryCommandOfTheGuidesRuns(t *testing.T) {
	t.Parallel()
	guides := []string{"../../docs/runs.md", "../../docs/runs.zh-CN.md"}
	for _, path := range guides {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			if testing.Short() && path != guides[0] {
				t.Skip("the commands are the same: make test-long")
			}
			script := filepath.Join(t.TempDir(), "guide.txtar")
			if err := os.WriteFile(script, []byte(guide(t, path)), 0o600); err != nil {
				t.Fatal(err)
			}
			s := newScene(t, at(redistest.Mini(t)))
			testscript.Run(t, testscript.Params{Files: []string{script}, Setup: s.setUp, Cmds: commands()})
		})
	}
}

// An ID can be changed once a year: who types the guide gives IDs to people whom the sample
// school leaves alone.
func TestTheGuidesChangeNoIDThatTheSampleSchoolHasChanged(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../docs/runs.md")
	if err != nil {
		t.Fatal(err)
	}
	_, ids, found := strings.Cut(string(content), "用户ID,钉钉号,备选钉钉号\n")
	if !found {
		t.Fatal("docs/runs.md shows no file with IDs")
	}
	ids, _, _ = strings.Cut(ids, "```")
	for _, request := range demo.Requests() {
		if change, is := request.Task.(tasks.IDChange); is && strings.Contains(ids, change.UserID+",") {
			t.Errorf("%s of docs/runs.md has an ID from the sample school", change.UserID)
		}
	}
}

// The guides show the same files and, but for --lang, the same commands.
func TestTheGuidesOfBothLanguagesHaveTheSameCommands(t *testing.T) {
	t.Parallel()
	of := func(path string) []string {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		page := strings.ReplaceAll(string(content), " --lang zh", "")
		return slices.Concat(commandtest.Blocks(page, "sh"), commandtest.Blocks(page, "csv"))
	}
	if en, zh := of("../../docs/runs.md"), of("../../docs/runs.zh-CN.md"); !slices.Equal(en, zh) {
		t.Errorf("docs/runs.md has\n%s\nand docs/runs.zh-CN.md\n%s", strings.Join(en, ""), strings.Join(zh, ""))
	}
}
