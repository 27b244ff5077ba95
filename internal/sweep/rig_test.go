package sweep_test

import (
	"context"
	"testing"

	"rollcall/internal/lanetest"
	"rollcall/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// The queues of the lane that a rig adds unless a test says otherwise.
const nicknames, urgent = lanetest.Nicknames, lanetest.Nicknames + ".urgent"

// rig is one worker.
type rig struct{ *lanetest.Rig }

func newRig(t *testing.T, s *redistest.Server) *rig {
	t.Helper()
	return &rig{lanetest.New(t, s)}
}

// nothing carries out a task without a call.
func nothing(context.Context, func(context.Context) error, string) error { return nil }
