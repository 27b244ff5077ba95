package deadletter_test

import (
	"testing"

	"github.com/hibiken/asynq"

	"rollcall/internal/deadletter"
	"rollcall/internal/enqueue"
	"rollcall/internal/ledger"
	"rollcall/internal/redisdb"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

// Dead letters, queues and events are on different nodes; the user of docs/redis.md has
// the permissions for everything that the Service does.
func TestDeadLettersAreProcessedOnEveryTopology(t *testing.T) {
	t.Parallel()
	redistest.EachTopology(t, func(t *testing.T, d *redistest.Deployment) {
		rdb := redisdb.New(d.Options())
		t.Cleanup(func() { rdb.Close() })
		client, err := enqueue.New(enqueue.Config{Redis: d.Options()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		var lanes []registry.Lane
		tenants := []string{"dt1", "dt2", "dt3", "dt4", "dt5", "dt6"}
		for _, tenant := range tenants {
			lanes = append(lanes, registry.Lane{Organisation: "lakeside", Tenant: tenant, Kind: tasks.KindNickname})
		}
		if err := registry.Publish(t.Context(), rdb, lanes); err != nil {
			t.Fatal(err)
		}
		o := &office{
			t: t, rdb: rdb, ledger: ledger.New(rdb), service: deadletter.New(rdb, client),
			asynq: asynq.NewClientFromRedisClient(rdb), inspector: asynq.NewInspectorFromRedisClient(rdb),
		}
		for i, tenant := range tenants {
			o.adds(record(t, tenant, tenant+"-a", i, "busy", ""), record(t, tenant, tenant+"-b", i, "rejected", "1"))
		}
		causes, err := o.service.Causes(t.Context(), deadletter.Filter{})
		if err != nil || len(causes) != 2 || causes[0].DeadLetters != 6 || len(causes[0].Lanes) != 6 {
			t.Fatalf("%+v, %v", causes, err)
		}
		for outcome, class := range map[deadletter.Outcome]string{deadletter.Replayed: "busy", deadletter.Discarded: "rejected"} {
			counts := deadletter.Counts{}
			err := o.service.Each(t.Context(), deadletter.Filter{Class: class}, func(dead []ledger.DeadLetter) error {
				settled := o.service.Discard
				if outcome == deadletter.Replayed {
					settled = o.service.Replay
				}
				for _, one := range settled(t.Context(), dead) {
					if one.Outcome != outcome {
						t.Errorf("%s: %s, %v", one.DeadLetter.ID, one.Outcome, one.Err)
					}
					counts.Add([]deadletter.Settled{one})
				}
				return nil
			})
			if err != nil || len(counts) != 6 {
				t.Fatalf("%d lanes processed, %v", len(counts), err)
			}
			if err := o.service.Note(t.Context(), outcome, counts, "over", "bob"); err != nil {
				t.Error(err)
			}
		}
		o.wantLeft()
	})
}
