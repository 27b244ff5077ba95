package lane_test

import (
	"context"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"rollcall/internal/handler"
	"rollcall/internal/lane"
	"rollcall/internal/ledger"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/tasks"
)

func TestALimitIsSetOnTheLaneThatItNamesAlone(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	now := time.UnixMicro(1_763_762_142_000_000)
	s.Mini.SetTime(now) // stands still
	rdb := s.Client(t)
	set := lane.NewSet(rdb, ledger.New(rdb), slog.New(slog.DiscardHandler))
	fast, slow := pace.Limit{Calls: 20, Per: time.Second}, pace.Limit{Calls: 1, Per: time.Hour}
	for _, kind := range []tasks.Kind{tasks.KindNickname, tasks.KindGroup} {
		set.Add(lane.Config{Organisation: "lakeside", Tenant: "dt", Kind: kind, Limit: fast, Timeout: time.Second},
			func(func(context.Context) error) handler.Func { return nil })
	}
	if !set.SetLimit("dt", tasks.KindGroup, slow) {
		t.Error("SetLimit() = false for a lane that exists")
	}
	if set.SetLimit("dt", tasks.KindCourse, slow) || set.SetLimit("other", tasks.KindGroup, slow) {
		t.Error("SetLimit() = true for a lane that does not exist")
	}
	for i, want := range []pace.Limit{fast, slow} {
		l := set.Lanes()[i]
		if err := l.Slot(t.Context()); err != nil {
			t.Fatal(err)
		}
		free, err := rdb.Get(t.Context(), "rollcall:{lakeside}:pace:"+l.Name()).Result()
		if err != nil {
			t.Fatal(err)
		}
		if next := strconv.FormatInt(now.Add(want.Interval()).UnixMicro(), 10); free != next {
			t.Errorf("after a send the next slot of %s is free at %s, want %s", l.Name(), free, next)
		}
	}
}
