package tasks_test

import (
	"testing"

	"go.uber.org/goleak"

	"rollcall/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, redistest.Dials()) }
