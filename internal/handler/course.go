package handler

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/providers"
	"rollcall/providers/classin"
	"rollcall/tasks"
)

type courseSyncer interface {
	SyncCourseNicknames(ctx context.Context, gate providers.Gate, courseID string) (providers.Receipt, error)
	SyncStudentNicknames(ctx context.Context, gate providers.Gate, uids []string) (providers.Receipt, error)
}

// Course carries out nickname:sync_course. If members of a course were not renamed, and
// the task names the students, each of them is renamed.
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
			receipt, err := syncCourse(ctx, gate, client, task)
			return receipt, nil, err
		})
	}
}

func syncCourse(ctx context.Context, gate providers.Gate, client courseSyncer, task tasks.CourseSync) (providers.Receipt, error) {
	receipt, err := client.SyncCourseNicknames(ctx, gate, task.CourseID)
	if len(task.StudentUIDs) == 0 || !classin.IsIncomplete(err) {
		return receipt, err
	}
	_, sends := sendsOf(err)
	return nameStudents(ctx, gate, client, task.StudentUIDs, providers.Receipt{Sends: sends})
}

// nameStudents renames students in as many calls as they need, after those of done. A
// call that ClassIn rejects for some of its students does not stop the others: the error
// names all students that failed.
func nameStudents(ctx context.Context, gate providers.Gate, client courseSyncer, uids []string, done providers.Receipt) (providers.Receipt, error) {
	var failed *providers.Error
	for some := range slices.Chunk(uids, classin.MaxStudents) {
		receipt, err := client.SyncStudentNicknames(ctx, gate, some)
		if err == nil {
			done = sum(done, receipt)
			continue
		}
		e, ok := errors.AsType[*providers.Error](err)
		if !ok || e.Kind != providers.Rejected {
			return providers.Receipt{}, afterChange(err, done)
		}
		if len(some) == 1 { // such an answer names no student
			e.Message = fmt.Sprintf("student %s: %s", some[0], e.Message)
		}
		if failed != nil {
			e.Message = failed.Message + "; " + e.Message
		}
		done.Sends += e.Sends
		done.Late = done.Late || e.Late
		failed = e
	}
	if failed == nil {
		return done, nil
	}
	failed.Sends = 0 // they are in done
	return providers.Receipt{}, afterChange(failed, done)
}
