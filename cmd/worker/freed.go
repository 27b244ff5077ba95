package main

import (
	"context"
	"errors"
	"time"

	"rollcall/internal/deadletter"
	"rollcall/internal/enqueue"
	"rollcall/internal/logging"
	"rollcall/internal/outcome"
	"rollcall/providers/dingtalk"
	"rollcall/tasks"
)

// freedEvery is the interval of checks for IDs that may have become free. A check costs
// one round trip per DingTalk tenant while there are none.
const freedEvery = 10 * time.Second

// replayFreed replays the dead letters of ID changes whose ID was taken, after other IDs
// of the organisation were changed. It checks every ten seconds until ctx ends.
func (w *worker) replayFreed(ctx context.Context) {
	client, err := w.newProducer("rollcall-replay", enqueue.Config{Concurrency: 2})
	if err != nil {
		w.log.Error("changes to taken IDs are not retried; tasks still run", "err", err)
		return
	}
	defer func() { _ = client.Close() }()
	service := deadletter.New(w.rdb, client)
	service.OnDamage(w.lanes.Damaged)
	line := &logging.Condition{
		Log: w.log, Began: "changes to taken IDs not retried; checking again", Ended: "changes to taken IDs are retried again",
	}
	looked := map[string]time.Time{} // by tenant: the last change after which nothing is left to replay
	w.every(ctx, freedEvery, line, func(ctx context.Context) error { return w.lookForFreed(ctx, service, looked) })
}

func (w *worker) lookForFreed(ctx context.Context, service *deadletter.Service, looked map[string]time.Time) error {
	var faults []error
	for _, l := range w.lanes.Lanes() {
		if l.Kind != tasks.KindID {
			continue
		}
		n, upTo, err := service.ReplayFreed(ctx, deadletter.Freed{
			Organisation: l.Organisation, Tenant: l.Tenant, After: looked[l.Tenant], By: workerName(),
			Class: string(outcome.Rejected), Code: dingtalk.CodeIDTaken,
		}, time.Now())
		looked[l.Tenant] = upTo
		if n > 0 {
			w.log.Info("changes to taken IDs retried", "lane", l.Name(), "count", n, "reason", "another ID of the organisation was changed since")
		}
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}
