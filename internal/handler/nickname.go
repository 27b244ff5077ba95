package handler

import (
	"context"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/providers"
	"rollcall/providers/dingtalk"
	"rollcall/tasks"
)

type nicker interface {
	UpdateGroupNick(context.Context, providers.Gate, dingtalk.GroupNick) (providers.Receipt, error)
}

// Nickname carries out nickname:sync.
func Nickname(e Env, client nicker) Func {
	c := &executor{Env: e}
	return func(ctx context.Context, d Delivery) (Report, error) {
		task, meta, err := decode[tasks.NicknameSync](e, kinds.TypeNicknameSync, d)
		if err != nil {
			return Report{}, err
		}
		return c.carryOut(ctx, d, task, meta, func(ctx context.Context, gate providers.Gate, _ *ledger.Lease) (
			providers.Receipt, map[string]string, error,
		) {
			receipt, err := client.UpdateGroupNick(ctx, gate, dingtalk.GroupNick{
				ChatID: task.ChatID, UserID: task.UserID, Nick: task.Nickname,
			})
			return receipt, nil, err
		})
	}
}
