package runs_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/redistest"
	"rollcall/runs"
)

func TestMain(m *testing.M) { redistest.Main(m) }

func TestAClientPlansAndWaits(t *testing.T) {
	t.Parallel()
	client, err := runs.New(runs.Config{Redis: &redis.UniversalOptions{Addrs: []string{redistest.Mini(t).Addr}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	made, err := client.Create(t.Context(), runs.Draft{Name: "n"})
	if err != nil {
		t.Fatal(err)
	}
	in, err := client.Add(t.Context(), made.ID, 0, []runs.Row{{Problems: []string{"no name"}}})
	if in != 1 || err != nil {
		t.Fatal(in, err)
	}
	if _, err := client.Plan(t.Context(), made.ID, nil); err == nil {
		t.Error("an upload that is not sealed was planned")
	}
	if _, err := client.Seal(t.Context(), made.ID, 1); err != nil {
		t.Fatal(err)
	}
	planned, err := client.Plan(t.Context(), made.ID, nil)
	if err != nil || planned.Plan.Counts[runs.RowImpossible] != 1 {
		t.Fatal(planned.Plan, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := client.Wait(ctx, made.ID); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("wait for a run that is not applied: %v", err)
	}
	if _, err := client.Cancel(t.Context(), made.ID, "ann", ""); err != nil {
		t.Fatal(err)
	}
	if got, err := client.Wait(t.Context(), made.ID); err != nil || got.State != runs.StateCancelled {
		t.Errorf("%s, %v", got.State, err)
	}
}

func TestAClientNeedsARedis(t *testing.T) {
	t.Parallel()
	if _, err := runs.New(runs.Config{}); err == nil {
		t.Error("no error without a Redis")
	}
}
