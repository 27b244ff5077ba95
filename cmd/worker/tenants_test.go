package main

import (
	"testing"
	"time"

	"rollcall/internal/config"
	"rollcall/internal/pace"
)

func TestALaneIsPacedByTheFirstOfItsLimitsThatIsSpaced(t *testing.T) {
	t.Parallel()
	got := paceLimit(config.Limits{
		{Calls: 4000, Per: config.Day},
		{Calls: 20, Per: config.Duration(time.Second)},
		{Calls: 600, Per: config.Duration(time.Minute)},
	})
	if want := (pace.Limit{Calls: 20, Per: time.Second}); got != want {
		t.Errorf("the lane is paced by %+v, want %+v", got, want)
	}
}
