package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"rollcall/internal/commandtest"
	"rollcall/internal/redistest"
)

var kit = commandtest.New("rollcall", main)

func TestMain(m *testing.M) { os.Exit(kit.Main(m)) }

// Every command of the page runs, each block in one shell.
func TestEveryCommandOfThePageRuns(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/rollcall.md")
	if err != nil {
		t.Fatal(err)
	}
	url, err := commandtest.ServeAll(redistest.Mini(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	blocks := commandtest.Blocks(string(page), "sh")
	if len(blocks) < 4 {
		t.Fatalf("%d blocks of commands found", len(blocks))
	}
	for _, block := range blocks {
		kit.Shell(t, t.TempDir(), url, block)
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
