package handler

import (
	"context"
	"errors"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/providers"
	"rollcall/tasks"
)

type studentNamer interface {
	EditStudent(ctx context.Context, gate providers.Gate, uid, name string) (providers.Receipt, error)
	SyncStudentNicknames(ctx context.Context, gate providers.Gate, uids []string) (providers.Receipt, error)
}

// Student carries out student:sync in two calls: the name in the console, then its copy
// into the student's courses. A quick try repeats one call; the next attempt of a task
// repeats both, because a name that is set is set again without harm.
func Student(e Env, client studentNamer) Func {
	c := &executor{Env: e}
	return func(ctx context.Context, d Delivery) (Report, error) {
		task, meta, err := decode[tasks.StudentSync](e, kinds.TypeStudentSync, d)
		if err != nil {
			return Report{}, err
		}
		return c.carryOut(ctx, d, task, meta, func(ctx context.Context, gate providers.Gate, _ *ledger.Lease) (
			providers.Receipt, map[string]string, error,
		) {
			receipt, err := nameStudent(ctx, gate, client, task)
			return receipt, nil, err
		})
	}
}

func nameStudent(ctx context.Context, gate providers.Gate, client studentNamer, task tasks.StudentSync) (providers.Receipt, error) {
	edited, err := client.EditStudent(ctx, gate, task.StudentUID, task.Name)
	if err != nil {
		return providers.Receipt{}, err
	}
	copied, err := client.SyncStudentNicknames(ctx, gate, []string{task.StudentUID})
	if err != nil {
		return edited, afterChange(err, edited)
	}
	return sum(edited, copied), nil
}

// afterChange is the error of a call that followed one that changed something: with any
// answer of the platform, the target no longer has its old value.
func afterChange(err error, done providers.Receipt) error {
	e, ok := errors.AsType[*providers.Error](err)
	if !ok {
		return err
	}
	e.Sends += done.Sends
	e.MaybeApplied, e.Late = true, e.Late || done.Late
	return err
}

// sum is the receipt of two calls of one task.
func sum(first, second providers.Receipt) providers.Receipt {
	return providers.Receipt{
		RequestID: second.RequestID, Sends: first.Sends + second.Sends, Late: first.Late || second.Late,
	}
}
