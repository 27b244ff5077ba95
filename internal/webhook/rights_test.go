package webhook_test

import (
	"testing"

	"rollcall/internal/redistest"
	"rollcall/internal/webhook"
)

// On every topology the ACL user of workers may do all that calls need.
func TestCallsAreMadeOnEveryTopologyWithTheRightsOfAWorker(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts many servers: make test-long")
	}
	redistest.EachTopology(t, func(t *testing.T, d *redistest.Deployment) {
		r := receive(t, nil)
		var c counts
		service := webhook.New(webhook.Config{Redis: d.Client(t), Endpoints: []webhook.Endpoint{endpoint("grades", r.URL)}, Observer: &c})
		if err := service.Announce(t.Context(), event("e")); err != nil {
			t.Fatal(err)
		}
		stop := work(t, service)
		eventually(t, "the call", func() bool { return c.of("grades delivered") == 1 })
		stop()
	})
}
