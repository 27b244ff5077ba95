package main

import (
	"testing"

	"rollcall/internal/commandtest"
)

func TestScripts(t *testing.T) {
	t.Parallel()
	kit.Scripts(t, scriptCommands, "lanes-hold", "runs")
}

var scriptCommands = map[string]commandtest.Command{
	"seed": seed, "worker": worker, "die": die, "closes": closes, "ends": ends, "events": events,
	"schedules": schedules(), "direct": direct, "attempt": attempt, "taskid": taskid, "vanish": vanish,
}
