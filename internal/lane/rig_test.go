package lane_test

import (
	"testing"
	"time"

	"rollcall/internal/lanetest"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// The limits of the tests. A slow lane lets three tasks wait for their slot and holds
// seven in total.
var (
	slow    = []pace.Limit{{Calls: 1, Per: time.Second}}
	fast    = []pace.Limit{{Calls: 1000, Per: time.Second}}
	fastest = []pace.Limit{{Calls: 10_000, Per: time.Second}}
)

// rig is one worker, whose commands and calls are recorded.
type rig struct {
	*lanetest.Rig

	wire   *wire
	leaves *leaves // the calls of the worker; several rigs may share one
}

func newRig(t *testing.T, s *redistest.Server) *rig {
	t.Helper()
	r := &rig{wire: &wire{dequeues: map[string]int{}}, leaves: &leaves{}}
	r.Rig = lanetest.New(t, s, r.wire)
	r.Left = func(from time.Time, left bool) { r.leaves.note(from, left) }
	return r
}
