package run_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/enqueue"
	"rollcall/internal/ledger"
	"rollcall/internal/logtest"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/internal/run"
	"rollcall/internal/sandbox"
	"rollcall/internal/schooltest"
	"rollcall/tasks"
)

func TestMain(m *testing.M) { redistest.Main(m) }

const (
	organisation = schooltest.Organisation
	tenant       = schooltest.Tenant
	// patience bounds how long a test waits for an expected event. No test depends on how
	// long it took.
	patience = 2 * time.Minute
)

// rig is a platform, a Redis, and any number of workers.
type rig struct {
	t       *testing.T
	client  func(*testing.T) redis.UniversalClient // a new one
	options *redis.UniversalOptions
	rdb     redis.UniversalClient
	ledger  *ledger.Ledger
	service *run.Service
	box     *sandbox.Sandbox
	url     string
	log     *logtest.Buffer
	limits  []pace.Limit
	quota   pace.Quota
}

func newRig(t *testing.T, s *redistest.Server, members int) *rig {
	t.Helper()
	return newRigOn(t, s.Client, &redis.UniversalOptions{Addrs: []string{s.Addr}}, members)
}

func newRigOn(t *testing.T, client func(*testing.T) redis.UniversalClient, options *redis.UniversalOptions, members int) *rig {
	t.Helper()
	box, url := schooltest.Start(t, members)
	rdb := client(t)
	book := ledger.New(rdb)
	r := &rig{
		t: t, client: client, options: options, rdb: rdb, ledger: book, service: run.New(run.Config{Redis: rdb, Ledger: book}), box: box, url: url,
		log: &logtest.Buffer{},
	}
	schooltest.Publish(t, rdb)
	return r
}

func (r *rig) producer() *enqueue.Client {
	r.t.Helper()
	producer, err := enqueue.New(enqueue.Config{Redis: r.options})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = producer.Close() })
	return producer
}

// worker starts a worker with all lanes of the tenant, and returns what stops it.
func (r *rig) worker() (stop func()) {
	r.t.Helper()
	_, stop = schooltest.Worker{
		URL: r.url, Redis: r.client(r.t), Limits: r.limits, Quota: r.quota, Log: slog.New(slog.NewTextHandler(r.log, nil)),
		Producer: r.producer(), Hurry: (*run.Feeder).Hurry,
	}.Start(r.t)
	return stop
}

// feeder returns a feeder that does nothing by itself.
func (r *rig) feeder() *run.Feeder {
	return run.NewFeeder(run.FeederConfig{Service: r.service, Producer: r.producer(), Log: slog.New(slog.NewTextHandler(r.log, nil))})
}

// turn makes one turn of a run.
func (r *rig) turn(f *run.Feeder, id string) {
	r.t.Helper()
	if _, _, err := f.Turn(r.t.Context(), id); err != nil {
		r.t.Fatal(err)
	}
}

// nicknames are rows that name members u1 to un.
func nicknames(names ...string) []run.Row {
	rows := make([]run.Row, len(names))
	for i, name := range names {
		rows[i] = nickname(i+1, name)
	}
	return rows
}

func nickname(member int, name string) run.Row {
	return run.Row{Line: member + 1, Request: tasks.Request{Task: tasks.NicknameSync{
		Tenant: tenant, ChatID: "chat1", UserID: fmt.Sprintf("u%d", member), Nickname: name,
	}}}
}

// upload makes a sealed run of rows.
func (r *rig) upload(draft run.Draft, rows []run.Row) run.Run {
	r.t.Helper()
	made, err := r.service.Create(r.t.Context(), draft)
	if err != nil {
		r.t.Fatal(err)
	}
	for in := 0; in < len(rows); {
		if in, err = r.service.Add(r.t.Context(), made.ID, in, rows[in:min(in+run.MaxAdd, len(rows))]); err != nil {
			r.t.Fatal(err)
		}
	}
	return r.must(r.service.Seal(r.t.Context(), made.ID, len(rows)))
}

// plan uploads and plans rows.
func (r *rig) plan(draft run.Draft, rows []run.Row) run.Run {
	r.t.Helper()
	return r.must(r.service.Plan(r.t.Context(), r.upload(draft, rows).ID, nil))
}

// apply plans and applies rows.
func (r *rig) apply(draft run.Draft, rows []run.Row) run.Run {
	r.t.Helper()
	p := r.plan(draft, rows)
	return r.must(r.service.Apply(r.t.Context(), p.ID, p.Plan.Digest, "ann"))
}

func (r *rig) must(got run.Run, err error) run.Run {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
	return got
}

// await waits until a run is in a state.
func (r *rig) await(id string, state run.State) run.Run {
	r.t.Helper()
	return r.until(id, func(got run.Run) bool { return got.State == state })
}

// until waits until a run is as it should be.
func (r *rig) until(id string, done func(run.Run) bool) run.Run {
	r.t.Helper()
	end := time.Now().Add(patience)
	for {
		got := r.must(r.service.Get(r.t.Context(), id))
		if done(got) {
			return got
		}
		if time.Now().After(end) {
			r.t.Fatalf("the run is %s (%s): %s, %v\n%s", got.State, got.Reason, got.Progress, got.Outcomes, r.log)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// outcomes returns the outcome of each row.
func (r *rig) outcomes(id string) []run.Outcome {
	r.t.Helper()
	var all []run.Outcome
	for result, err := range r.service.Results(r.t.Context(), id) {
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, result.Outcome)
	}
	return all
}

// decisions returns the decision on each row.
func (r *rig) decisions(id string) []run.Decision {
	r.t.Helper()
	var all []run.Decision
	for p, err := range r.service.Rows(r.t.Context(), id) {
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, p.Decision)
	}
	return all
}

// names returns the nicknames on the platform, of u1 to un: those that were ever set.
func (r *rig) names() map[string]string {
	all := map[string]string{}
	for _, e := range r.box.Effects() {
		for _, c := range e.Changes {
			if c.Field == "nick" {
				all[e.Target.User] = c.New
			}
		}
	}
	return all
}

// free are settings that no guard holds.
func free() run.Draft {
	return run.Draft{Settings: run.Settings{Allowed: []string{
		"allow-changes", "allow-suspicious", "allow-equal-names", "allow-lost-chinese", "allow-over-quota", "prune", "allow-id-changes",
	}}}
}

// dying returns a client that is killed after some writes of runs.
func (r *rig) dying(writes int) redis.UniversalClient {
	rdb := r.client(r.t)
	rdb.AddHook(&dyingHook{left: writes})
	return rdb
}

// dyingHook lets no command pass once so many scripts have run.
type dyingHook struct{ left int }

var errKilled = errors.New("killed by the test")

func (*dyingHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (d *dyingHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if d.left < 0 {
			return errKilled
		}
		if name := cmd.Name(); name == "evalsha" || name == "eval" {
			if d.left--; d.left < 0 {
				return errKilled
			}
		}
		return next(ctx, cmd)
	}
}

func (d *dyingHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if d.left < 0 {
			return errKilled
		}
		return next(ctx, cmds)
	}
}
