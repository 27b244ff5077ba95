package main

import (
	"os"
	"testing"

	"rollcall/internal/commandtest"
)

var kit = commandtest.New("rollcall", main)

func TestMain(m *testing.M) { os.Exit(kit.Main(m)) }

func TestEveryCommandOfThePageRuns(t *testing.T) {
	t.Parallel()
	kit.Page(t, "../../docs/rollcall.md", nil)
}
