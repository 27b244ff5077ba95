package main

import (
	"path/filepath"
	"testing"

	"rollcall/internal/commandtest"
	"rollcall/internal/redistest"
)

func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(scriptFile("*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	redistest.Either(t, func(t *testing.T, s *redistest.Server) { kit.Run(t, s, files, scriptCommands) })
}

// With -short, TestScripts runs on one Redis; a few scripts also run on miniredis here.
func TestSomeScriptsOnMiniredis(t *testing.T) {
	t.Parallel()
	if !testing.Short() {
		t.Skip("TestScripts runs all of them")
	}
	kit.Run(t, redistest.Mini(t), []string{scriptFile("redis"), scriptFile("single")}, scriptCommands)
}

func scriptFile(name string) string { return filepath.Join("testdata", "script", name+".txtar") }

var scriptCommands = map[string]commandtest.Command{"workbook": workbook}
