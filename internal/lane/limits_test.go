package lane_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/lane"
	"rollcall/internal/lanetest"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

func TestSetLimitsChangesOnlyTheLaneThatItNames(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	for _, kind := range []tasks.Kind{tasks.KindNickname, tasks.KindGroup} {
		r.Add(lane.Config{Kind: kind, Limits: fast}, nil)
	}
	other := []pace.Limit{{Calls: 20, Per: time.Minute, Burst: 5}, {Calls: 4000, Per: pace.Day}}
	for name, want := range map[registry.Lane]bool{
		{Tenant: "dt", Kind: tasks.KindGroup}:    true,
		{Tenant: "dt", Kind: tasks.KindCourse}:   false,
		{Tenant: "other", Kind: tasks.KindGroup}: false,
	} {
		if got, err := r.Set.SetLimits(t.Context(), name.Tenant, name.Kind, other); got != want || err != nil {
			t.Errorf("SetLimits() of %s.%s = %t, %v, want %t", name.Tenant, name.Kind, got, err, want)
		}
	}
	r.Start()
	all, err := pace.Read(t.Context(), r.Redis, []pace.Ref{{Organisation: "lakeside", Lane: nicknames}, {Organisation: "lakeside", Lane: groups}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]pace.Limit{fast, other}, [][]pace.Limit{all[0].Limits, all[1].Limits}); diff != "" {
		t.Errorf("limits of the lanes (-want +got):\n%s", diff)
	}
}

// The number of running calls follows from rate and latency. Only tasks that can be
// sent within a quarter of a second may wait, but at least two on a slow lane.
func TestHowManyTasksALaneTakesFollowsItsRate(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	type room struct{ Waiting, Together int }
	rows := []struct {
		limit pace.Limit
		room  room
	}{
		{pace.Limit{Calls: 100, Per: time.Hour}, room{3, 4}},
		{pace.Limit{Calls: 1, Per: time.Second}, room{3, 7}},
		{pace.Limit{Calls: 600, Per: time.Minute}, room{5, 45}},
		{pace.Limit{Calls: 20, Per: time.Second}, room{7, 84}},
		{pace.Limit{Calls: 1000, Per: time.Second}, room{242, 256}},
		{pace.Limit{Calls: 10_000, Per: time.Second}, room{256, 256}},
	}
	for i, row := range rows {
		r.Add(lane.Config{Tenant: string(rune('a' + i)), Limits: []pace.Limit{row.limit}}, nil)
		var got room
		got.Waiting, got.Together = r.Set.Lanes()[i].FreeSlots()
		if got != row.room {
			t.Errorf("%+v: %+v, want %+v", row.limit, got, row.room)
		}
	}
	if _, err := r.Set.SetLimits(t.Context(), "a", tasks.KindNickname, fast); err != nil {
		t.Fatal(err)
	}
	if waiting, together := r.Set.Lanes()[0].FreeSlots(); waiting != 242 || together != 256 {
		t.Errorf("with another limit %d may wait, %d in total", waiting, together)
	}
}

// No task ends in this test: a task is taken only where there is room.
func TestAFullLaneStillTakesUrgentTasks(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		taken, free := make(chan string, 100), make(chan struct{})
		r.Add(lane.Config{}, func(_ context.Context, _ func(context.Context) error, payload string) error {
			taken <- payload
			<-free
			return nil
		})
		for range 20 {
			r.Put(nicknames, "bulk")
		}
		r.Start()
		for range 3 { // these wait for a slot
			lanetest.Await(t, taken, "a bulk task")
		}
		for range 12 {
			r.Put(urgent, "urgent")
		}
		for range 8 { // with the three bulk tasks that makes seven plus four
			if got := lanetest.Await(t, taken, "an urgent task"); got != "urgent" {
				t.Errorf("a %s task was taken from a lane where three wait", got)
			}
		}
		r.looks()
		if len(taken) != 0 {
			t.Errorf("%d tasks more were taken, the first of them %s", len(taken), <-taken)
		}
		close(free)
		for range 32 {
			r.Attempt()
		}
	})
}

func TestATaskThatHasItsSlotMakesRoomForTheNext(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	sent, free := make(chan string, 1000), make(chan struct{})
	r.Add(lane.Config{Limits: fast}, func(ctx context.Context, slot func(context.Context) error, payload string) error {
		if err := slot(ctx); err != nil {
			return err
		}
		sent <- payload
		<-free
		return nil
	})
	for range 300 {
		r.Put(nicknames, "bulk")
	}
	r.Start()
	for range 256 {
		lanetest.Await(t, sent, "a send")
	}
	for range 8 {
		r.Put(urgent, "urgent")
	}
	for range 4 {
		if got := lanetest.Await(t, sent, "an urgent send"); got != "urgent" {
			t.Errorf("a %s task was taken by a full lane", got)
		}
	}
	r.looks()
	if len(sent) != 0 {
		t.Errorf("%d more were sent", len(sent))
	}
	close(free)
	for range 308 {
		r.Attempt()
	}
}
