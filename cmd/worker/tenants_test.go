package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/config"
	"rollcall/internal/pace"
)

func TestALaneIsPacedByAllOfItsLimits(t *testing.T) {
	t.Parallel()
	got := paceLimits(config.Limits{
		{Calls: 4000, Per: config.Day},
		{Calls: 20, Per: config.Duration(time.Second), Burst: 5, Window: "bucket"},
		{Calls: 600, Per: config.Duration(time.Minute)},
	})
	want := []pace.Limit{
		{Calls: 4000, Per: pace.Day}, {Calls: 20, Per: time.Second, Burst: 5, Window: pace.Bucket}, {Calls: 600, Per: time.Minute},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the lane is paced by (-want +got):\n%s", diff)
	}
}
