package handler

import (
	"context"
	"errors"

	"rollcall/internal/ledger"
	"rollcall/providers"
	"rollcall/providers/dingtalk"
	"rollcall/tasks"
)

type idChanger interface {
	ChangeID(context.Context, providers.Gate, dingtalk.IDChange) (providers.Receipt, error)
}

// codeReserved is the platform's word for an ID that somebody has already.
const codeReserved = "incorrect.reserved"

// ID carries out id:change: the wanted ID, then the alternatives in order, each
// only after a clean incorrect.reserved for the one before. A person whose last
// change is in doubt gets no call at all: it cannot be read back, and another
// ID could burn the year.
func ID(e Env, client idChanger) Func {
	return func(ctx context.Context, typename string, payload []byte) (Report, error) {
		task, meta, err := decode[tasks.IDChange](e, tasks.TypeIDChange, typename, payload)
		if err != nil {
			return Report{}, err
		}
		return e.carryOut(ctx, task, meta, func(ctx context.Context, gate providers.Gate, mark *ledger.Mark) (
			providers.Receipt, map[string]string, error,
		) {
			if mark.Doubtful() {
				return providers.Receipt{}, nil, inDoubt(task.Tenant)
			}
			return changeID(ctx, gate, client, task)
		})
	}
}

func changeID(ctx context.Context, gate providers.Gate, client idChanger, task tasks.IDChange) (
	providers.Receipt, map[string]string, error,
) {
	sends := 0
	for i, id := range append([]string{task.DingTalkID}, task.Alternatives...) {
		receipt, err := client.ChangeID(ctx, gate, dingtalk.IDChange{UserID: task.UserID, DingTalkID: id})
		if err == nil {
			receipt.Sends += sends
			if i == 0 {
				return receipt, nil, nil
			}
			return receipt, map[string]string{"id": id}, nil
		}
		e, ok := errors.AsType[*providers.Error](err)
		if !ok {
			return providers.Receipt{}, nil, err
		}
		sends += e.Sends
		e.Sends = sends
		taken := e.Kind == providers.Rejected && e.Code == codeReserved && !e.MaybeApplied
		if !taken || i == len(task.Alternatives) {
			return providers.Receipt{}, nil, err
		}
	}
	panic("unreachable: the last candidate returns")
}

// inDoubt is the answer for a person whose earlier change was never settled.
func inDoubt(tenant string) error {
	return &providers.Error{
		Platform: "dingtalk", Tenant: tenant, API: "dingTalkIds/change",
		Kind: providers.Ambiguous, MaybeApplied: true,
		Message: "an earlier change of this person's ID left and was never answered, so it may have been applied",
		Fix:     "look the ID up in the DingTalk admin console; it cannot be changed again within a year if it was",
	}
}
