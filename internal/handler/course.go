package handler

import (
	"context"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/providers"
	"rollcall/tasks"
)

type courseSyncer interface {
	SyncCourseNicknames(ctx context.Context, gate providers.Gate, courseID string) (providers.Receipt, error)
}

// Course carries out nickname:sync_course.
func Course(e Env, client courseSyncer) Func {
	c := &executor{Env: e}
	return func(ctx context.Context, d Delivery) (Report, error) {
		task, meta, err := decode[tasks.CourseSync](e, kinds.TypeCourseSync, d)
		if err != nil {
			return Report{}, err
		}
		return c.carryOut(ctx, d, task, meta, func(ctx context.Context, gate providers.Gate, _ *ledger.Lease) (
			providers.Receipt, map[string]string, error,
		) {
			receipt, err := client.SyncCourseNicknames(ctx, gate, task.CourseID)
			return receipt, nil, err
		})
	}
}
