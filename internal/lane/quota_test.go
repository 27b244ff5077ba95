package lane_test

import (
	"testing"

	"github.com/hibiken/asynq"

	"rollcall/internal/audit"
	"rollcall/internal/lane"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
)

// Workers are reloaded one after another, and one may be left out. A hold that one
// worker ends because of its new quota must not be added again by another worker with
// its old quota.
func TestAQuotaSetInOneWorkerAppliesToAll(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		both := []*rig{newRig(t, s), newRig(t, s)}
		m, err := pace.ReadMonths(t.Context(), both[0].Redis, "lakeside")
		if err == nil {
			err = both[0].Redis.HSet(t.Context(), pace.MonthKey("lakeside"), m[0].Name, 10).Err()
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range both {
			r.Add(lane.Config{Limits: fast, Metered: true, Quota: pace.Quota{Calls: 10}}, send)
			r.Start()
		}
		var ids []string
		for range 20 {
			ids = append(ids, both[0].Put(nicknames, ""))
		}
		for _, r := range both {
			r.Held(0)
			r.looks()
		}
		if err := both[0].Set.SetQuota(t.Context(), "lakeside", pace.Quota{Calls: 1000, Reserve: 100}); err != nil {
			t.Fatal(err)
		}
		for _, r := range both {
			r.Free(0)
			r.looks()
		}
		both[0].Stop()
		ids = append(ids, both[1].Put(nicknames, ""))
		for _, id := range ids {
			both[1].Ends(nicknames, id, asynq.TaskStateCompleted)
		}
		both[1].looks()
		if n := len(both[1].Log.Lines("quota of another worker's configuration is in effect")); n != 1 {
			t.Errorf("the other worker logged %d times that its configured quota is not in effect", n)
		}
		// A worker that was reading the old quota at that moment may add the hold once
		// more.
		events, err := audit.Read(t.Context(), both[1].Redis, 1000)
		if n := len(events); err != nil || n < 2 || n > 6 || events[n-1].Event != "hold.left" {
			t.Errorf("%v; hold events: %v", err, events)
		}
	})
}
