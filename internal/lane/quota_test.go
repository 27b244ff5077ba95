package lane_test

import (
	"context"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/audit"
	"rollcall/internal/hold"
	"rollcall/internal/lane"
	"rollcall/internal/lanetest"
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

// published delays the publication of a quota by a request with this value, until release.
type published struct {
	begun   chan struct{}
	release chan struct{}
}

type publishing struct{}

func (*published) DialHook(next redis.DialHook) redis.DialHook { return next }

func (p *published) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		p.wait(ctx)
		return next(ctx, cmd)
	}
}

func (p *published) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		p.wait(ctx)
		return next(ctx, cmds)
	}
}

func (p *published) wait(ctx context.Context) {
	if ctx.Value(publishing{}) == nil {
		return
	}
	select {
	case p.begun <- struct{}{}:
	default: // another command of the same publication
	}
	<-p.release
}

// The worker that is reloaded reads the months while it publishes: what it reads then is its
// own old quota, not that of another worker.
func TestAPollDoesNotTakeBackAQuotaThatIsBeingPublished(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	hook := &published{begun: make(chan struct{}, 1), release: make(chan struct{})}
	r.Redis.AddHook(hook)
	r.Add(lane.Config{Limits: fast, Metered: true, Quota: pace.Quota{Calls: 10}}, send)
	r.Start()
	r.looks() // the old quota is known to Redis
	set := make(chan error)
	go func() {
		set <- r.Set.SetQuota(context.WithValue(t.Context(), publishing{}, true), "lakeside", pace.Quota{Calls: 1000})
	}()
	lanetest.Await(t, hook.begun, "the publication of the quota")
	polls := r.wire.read() + 3
	for until := time.Now().Add(2 * time.Second); r.wire.read() < polls && time.Now().Before(until); {
		if err := r.Redis.Publish(t.Context(), hold.Channel, "look").Err(); err != nil { // makes it poll
			t.Fatal(err)
		}
		<-time.After(10 * time.Millisecond)
	}
	close(hook.release)
	if err := lanetest.Await(t, set, "the quota"); err != nil {
		t.Fatal(err)
	}
	r.looks()
	months, err := pace.ReadMonths(t.Context(), r.Redis, "lakeside")
	if err != nil || months[0].Quota.Calls != 1000 {
		t.Errorf("%+v, %v", months, err)
	}
	if lines := r.Log.Lines("quota of another worker's configuration"); len(lines) != 0 {
		t.Errorf("%v", lines)
	}
}
