package webhook_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/internal/redistest"
	"rollcall/internal/webhook"
)

// other is an endpoint of another form.
type other struct {
	mu     sync.Mutex
	bodies []string
	fails  func(n int) error
}

func (o *other) deliver(_ context.Context, _ string, body []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bodies = append(o.bodies, string(body))
	return o.fails(len(o.bodies))
}

func (o *other) got() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.bodies)
}

// An endpoint of another form gets the body of a webhook, and only events that it accepts.
// A final error ends the call, another one is repeated as it says.
func TestAnEndpointMayDeliverInAnotherForm(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		var seen counts
		fine := &other{fails: func(int) error { return nil }}
		final := &other{fails: func(int) error { return &webhook.DeliveryError{Final: true, Err: errors.New("no such robot")} }}
		later := &other{fails: func(int) error { return &webhook.DeliveryError{After: 10 * time.Minute, Err: errors.New("too fast")} }}
		service := webhook.New(webhook.Config{Redis: rdb, Observer: &seen, Endpoints: []webhook.Endpoint{
			{Name: "robot/fine", Deliver: fine.deliver, Accepts: func(e webhook.Event) bool { return e.ID != "unwanted" }},
			{Name: "robot/final", Deliver: final.deliver},
			{Name: "robot/later", Deliver: later.deliver},
		}})
		for _, id := range []string{"unwanted", "wanted"} {
			if err := service.Announce(t.Context(), event(id)); err != nil {
				t.Fatal(err)
			}
		}
		work(t, service)
		eventually(t, "all calls", func() bool {
			return seen.of("robot/fine delivered") == 1 && seen.of("robot/final given_up") == 2 && seen.of("robot/later failed") == 2
		})
		if got := fine.got(); len(got) != 1 || got[0] != `{"type":"run.ended","timestamp":"2026-11-29T02:00:00Z","data":{"run":"r1"}}` {
			t.Errorf("delivered %q", got)
		}
		if n := len(final.got()); n != 2 {
			t.Errorf("%d attempts of 2 calls that failed for good", n)
		}
		var tasks []*asynq.TaskInfo
		eventually(t, "both calls that are repeated", func() (there bool) { // asynq moves them after the attempt
			var err error
			if tasks, err = asynq.NewInspectorFromRedisClient(rdb).ListRetryTasks(webhook.Queue); err != nil {
				t.Fatal(err)
			}
			return len(tasks) == 2
		})
		for _, task := range tasks {
			if wait := time.Until(task.NextProcessAt); wait < 5*time.Minute {
				t.Errorf("the call is repeated in %s, want ten minutes", wait)
			}
		}
	})
}
