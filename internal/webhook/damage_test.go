package webhook_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"rollcall/internal/logtest"
	"rollcall/internal/redistest"
	"rollcall/internal/webhook"
)

// reports are the calls that were given up.
type reports struct {
	mu  sync.Mutex
	all []string
}

func (r *reports) add(_ context.Context, endpoint, what string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, endpoint+": "+what)
	return nil
}

func (r *reports) got() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(slices.Values(r.all))
}

// known returns the events of a source that still has some.
func known(ids ...string) func(context.Context, string) (webhook.Event, bool, error) {
	return func(_ context.Context, id string) (webhook.Event, bool, error) {
		return event(id), slices.Contains(ids, id), nil
	}
}

func TestACallWhoseRecordIsDamagedIsMadeAgainOrReported(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r, rdb := receive(t, nil), s.Client(t)
		held := endpoint("held", r.URL)
		held.Events = []string{"run.held"}
		var c counts
		var given reports
		service := webhook.New(webhook.Config{
			Redis: rdb, Observer: &c, Endpoints: []webhook.Endpoint{endpoint("grades", r.URL), held}, GivenUp: given.add, Again: known("kept"),
		})
		client := asynq.NewClientFromRedisClient(rdb)
		for _, id := range []string{"kept:grades", "kept:held", "forgotten:grades", "forgotten:retired", "odd"} {
			if _, err := client.Enqueue(asynq.NewTask(webhook.Type, []byte("no call")), asynq.Queue(webhook.Queue), asynq.TaskID(id)); err != nil {
				t.Fatal(err)
			}
		}
		work(t, service)
		const damaged = ": its record in Redis is damaged, and nothing is known of it any more"
		want := []string{
			`: task "odd": its record in Redis is damaged`, "grades: forgotten" + damaged, "held: kept" + damaged, "retired: forgotten" + damaged,
		}
		eventually(t, "the call and the reports", func() bool { return len(r.got()) == 1 && len(given.got()) == len(want) })
		if diff := cmp.Diff(want, given.got()); diff != "" {
			t.Errorf("reported (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"kept"}, r.got()); diff != "" {
			t.Errorf("called about (-want +got):\n%s", diff)
		}
		eventually(t, "the count", func() bool { return c.of("grades given_up") == 1 && c.of("held given_up") == 1 })
	})
}

// A sweep that is killed after it stored the call, and before it removed the damaged one,
// restores it again.
func TestACallIsRestoredOnceForEachDamagedRecord(t *testing.T) {
	t.Parallel()
	r := receive(t, nil)
	rdb := redistest.One(t).Client(t)
	service := webhook.New(webhook.Config{Redis: rdb, Endpoints: []webhook.Endpoint{endpoint("grades", r.URL)}, Again: known("kept")})
	for _, task := range []string{"kept:grades", "kept:grades", "kept:grades:1"} { // that of the second time is damaged, too
		if err := service.Restore(t.Context(), task); err != nil {
			t.Fatal(err)
		}
	}
	pending, err := asynq.NewInspectorFromRedisClient(rdb).ListPendingTasks(webhook.Queue)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, task := range pending {
		ids = append(ids, task.ID)
	}
	slices.Sort(ids)
	if diff := cmp.Diff([]string{"kept:grades:1", "kept:grades:2"}, ids); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

func TestARestoreWaitsForItsSource(t *testing.T) {
	t.Parallel()
	unreachable := errors.New("cannot reach Redis")
	var given reports
	service := webhook.New(webhook.Config{
		Redis: redistest.One(t).Client(t), Endpoints: []webhook.Endpoint{endpoint("grades", "https://x")}, GivenUp: given.add,
		Again: func(context.Context, string) (webhook.Event, bool, error) { return webhook.Event{}, false, unreachable },
	})
	if err := service.Restore(t.Context(), "kept:grades"); !errors.Is(err, unreachable) {
		t.Errorf("restored: %v", err)
	}
	if got := given.got(); len(got) > 0 {
		t.Errorf("reported: %v", got)
	}
}

func TestATaskForABusyEndpointWaits(t *testing.T) {
	t.Parallel()
	service := webhook.New(webhook.Config{Redis: redistest.One(t).Client(t)})
	for range 2 {
		if wait := service.Enter("grades"); wait != 0 {
			t.Fatalf("one of the first two calls waits %s", wait)
		}
	}
	longest := func(most time.Duration) (longest time.Duration) {
		t.Helper()
		for range 1000 {
			wait := service.Enter("grades")
			if longest = max(longest, wait); wait < time.Second || wait >= most {
				t.Errorf("a third call waits %s", wait)
			}
		}
		return longest
	}
	longest(2 * time.Second)
	if wait := webhook.Delay(errors.New("the lease of its worker has expired")); wait != time.Second {
		t.Errorf("a call of a dead worker waits %s", wait)
	}
	if wait := service.Enter("other"); wait != 0 {
		t.Errorf("a call of another endpoint waits %s", wait)
	}
	// After a failure the endpoint may be dead: its calls wait longer.
	service.Leave("grades", errors.New("HTTP 500"))
	if wait := service.Enter("grades"); wait != 0 {
		t.Errorf("a call that has room waits %s", wait)
	}
	if longest(31*time.Second) < 2*time.Second {
		t.Error("calls of an endpoint that fails do not wait longer")
	}
	service.Leave("grades", nil)
	service.Enter("grades")
	longest(2 * time.Second)
}

// Waiting for room is no attempt: the backoff and the log count those that were made.
func TestACallThatWaitedForRoomHasMadeNoAttempt(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for calls that are busy: make test-long")
	}
	t.Parallel()
	release := make(chan struct{})
	r := receive(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n <= 2 {
			select {
			case <-release:
			case <-r.Context().Done():
			}
			return
		}
		w.WriteHeader(http.StatusInternalServerError)
	})
	var log logtest.Buffer
	rdb := redistest.One(t).Client(t)
	service := webhook.New(webhook.Config{Redis: rdb, Log: log.Logger(), Endpoints: []webhook.Endpoint{endpoint("grades", r.URL)}})
	for _, id := range []string{"a", "b", "c"} {
		if err := service.Announce(t.Context(), event(id)); err != nil {
			t.Fatal(err)
		}
	}
	work(t, service)
	waits := asynq.NewInspectorFromRedisClient(rdb)
	eventually(t, "a call that waits", func() bool {
		waiting, err := waits.ListRetryTasks(webhook.Queue)
		return err == nil && len(waiting) == 1 && waiting[0].Retried == 0 && strings.Contains(waiting[0].LastErr, "other calls")
	})
	close(release)
	eventually(t, "the attempt", func() bool { return len(log.Lines("call of a webhook failed")) > 0 })
	if line := log.Lines("call of a webhook failed")[0]; !strings.Contains(line, "attempt=1") {
		t.Errorf("logged %s", line)
	}
}
