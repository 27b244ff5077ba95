package run_test

import (
	"testing"

	"rollcall/internal/redistest"
	"rollcall/tasks"
)

// The first rows of a lane may be in a later block than the last row of the canary.
func TestALaneWithoutRowsOfTheCanaryWaitsForIt(t *testing.T) {
	t.Parallel()
	for _, blocks := range []int{1, 2, 3} {
		r := newRig(t, redistest.One(t), 3)
		rows := nicknames(many(256*blocks, "n")...)
		group := nickname(1, "")
		group.Request.Task = tasks.GroupUpdate{Tenant: tenant, ChatID: "chat1", Name: "Class 9"}
		p := r.apply(free(), append(rows, group))
		r.turn(r.feeder(), p.ID)
		got := r.must(r.service.Get(t.Context(), p.ID))
		if want := "canary: 20 of 20 first rows have not ended"; got.Progress != want || got.Fed != 20 {
			t.Errorf("with %d blocks before the lane: %q, %d rows fed", blocks, got.Progress, got.Fed)
		}
	}
}
