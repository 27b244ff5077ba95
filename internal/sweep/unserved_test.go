package sweep_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"rollcall/internal/lane"
	"rollcall/internal/lanetest"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

func TestQueuesThatNoWorkerServesAreReported(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.Add(lane.Config{}, nil)
		served := registry.Lane{Organisation: "lakeside", Tenant: "other", Kind: tasks.KindNickname}
		unserved := registry.Lane{Organisation: "lakeside", Tenant: "former", Kind: tasks.KindNickname}
		publish := func(lanes ...registry.Lane) {
			t.Helper()
			if err := registry.Publish(t.Context(), r.Redis, lanes); err != nil {
				t.Fatal(err)
			}
		}
		publish(served, unserved)
		// Its kind is known only to a newer worker.
		if err := r.Redis.HSet(t.Context(), registry.Key, "former.avatar", `{"organisation":"lakeside","tenant":"former","kind":"avatar"}`).Err(); err != nil {
			t.Fatal(err)
		}
		waits := map[string]string{}
		for _, queue := range []string{
			nicknames, "other.nickname", "other.nickname.urgent", "former.nickname", "former.avatar.urgent", "never.group", // these are lanes'
			"rollcall.schedule", "mail", "other.software",
		} {
			waits[queue] = r.Put(queue, "waits")
		}
		r.Put("former.nickname", "waits, too")
		if _, err := r.Client.Enqueue(asynq.NewTask("test", nil), asynq.Queue("never.group"), asynq.ProcessIn(time.Hour)); err != nil {
			t.Fatal(err)
		}
		r.Put("empty.nickname", "waits")
		if _, err := r.Inspector.DeleteAllPendingTasks("empty.nickname"); err != nil {
			t.Fatal(err)
		}

		sweep, clock := r.Sweeps(), time.Now()
		after := func(d time.Duration) {
			for range d / (5 * time.Second) {
				clock = clock.Add(5 * time.Second)
				sweep(t.Context(), clock)
			}
		}
		reported := func(want ...string) {
			t.Helper()
			got := map[string]int{}
			for _, line := range r.Log.Lines("no worker serves this queue") {
				for queue := range waits {
					if strings.Contains(line, "queue="+queue+" ") {
						got[queue]++
					}
				}
			}
			wants := map[string]int{}
			for _, queue := range want {
				wants[queue] = 1
			}
			if diff := cmp.Diff(wants, got); diff != "" {
				t.Errorf("number of reports, -want +got:\n%s", diff)
			}
		}
		after(3 * time.Minute)
		reported()
		for range 4 { // a live worker, with a wrong clock
			publish(served)
			after(time.Minute)
		}
		reported("former.nickname", "former.avatar.urgent", "never.group")
		if got := r.Watch.Queues.Load(); got != "3 queues, 5 tasks" {
			t.Errorf("the metrics received %v", got)
		}

		// One queue is served again, one is emptied.
		publish(served, unserved)
		if err := r.Inspector.DeleteTask("former.avatar.urgent", waits["former.avatar.urgent"]); err != nil {
			t.Fatal(err)
		}
		after(30 * time.Second)
		if lines := r.Log.Lines("queue is served again, or empty"); len(lines) != 2 {
			t.Errorf("log: %q", lines)
		}
		if got := r.Watch.Queues.Load(); got != "1 queues, 2 tasks" {
			t.Errorf("the metrics received %v", got)
		}
	})
}

// While Redis is unavailable no worker can publish anything.
func TestAnOutageMakesNoQueueUnserved(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.Add(lane.Config{}, nil)
		r.Put("former.nickname", "waits")
		sweep, clock := r.Sweeps(), time.Now()
		sweep(t.Context(), clock)
		s.Stop(t)
		sweep(t.Context(), clock.Add(2*time.Minute))
		s.Start(t)
		lanetest.Eventually(t, func() error { // the pool still has broken connections
			var fault error
			for range 10 {
				fault = errors.Join(fault, r.Redis.Ping(t.Context()).Err())
			}
			return fault
		})
		sweep(t.Context(), clock.Add(4*time.Minute))
		sweep(t.Context(), clock.Add(7*time.Minute-time.Second))
		if lines := r.Log.Lines("no worker serves"); len(lines) != 0 {
			t.Errorf("log: %q", lines)
		}
		sweep(t.Context(), clock.Add(7*time.Minute+30*time.Second))
		if lines := r.Log.Lines("no worker serves"); len(lines) != 1 {
			t.Errorf("log: %q", lines)
		}
		if lines := r.Log.Lines("queues not searched"); len(lines) != 1 {
			t.Errorf("log of the outage: %q", lines)
		}
	})
}
