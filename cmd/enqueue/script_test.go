package main

import (
	"testing"

	"rollcall/internal/commandtest"
)

func TestScripts(t *testing.T) {
	t.Parallel()
	kit.Scripts(t, scriptCommands, "redis", "single")
}

var scriptCommands = map[string]commandtest.Command{"workbook": workbook}
