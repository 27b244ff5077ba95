package handler

import (
	"context"

	"rollcall/internal/ledger"
	"rollcall/providers"
	"rollcall/providers/dingtalk"
	"rollcall/tasks"
)

type grouper interface {
	UpdateGroup(context.Context, providers.Gate, dingtalk.GroupUpdate) (providers.Receipt, error)
}

// Group carries out group:update. Of the attributes only those are sent that
// the ledger says need it: a newer wish for one of them may have landed.
func Group(e Env, client grouper) Func {
	return func(ctx context.Context, typename string, payload []byte) (Report, error) {
		task, meta, err := decode[tasks.GroupUpdate](e, tasks.TypeGroupUpdate, typename, payload)
		if err != nil {
			return Report{}, err
		}
		return e.carryOut(ctx, task, meta, func(ctx context.Context, gate providers.Gate, mark *ledger.Mark) (
			providers.Receipt, map[string]string, error,
		) {
			receipt, err := client.UpdateGroup(ctx, gate, groupUpdate(task, mark.Fields()))
			return receipt, nil, err
		})
	}
}

// groupUpdate is the request for those fields of the task that are to be sent.
func groupUpdate(task tasks.GroupUpdate, fields []ledger.Field) dingtalk.GroupUpdate {
	update := dingtalk.GroupUpdate{ChatID: task.ChatID}
	var options dingtalk.GroupOptions
	for _, f := range fields {
		switch f.Name {
		case "name":
			update.Name = &task.Name
		case "owner":
			update.Owner, update.OwnerType = &task.Owner, &task.OwnerType
		case "icon":
			update.Icon = &task.Icon
		case "members":
			update.AddUsers, update.DelUsers = task.AddUserIDs, task.DelUserIDs
			update.AddExternal, update.DelExternal = task.AddExtIDs, task.DelExtIDs
		case "options.mention_all_authority":
			options.MentionAllAuthority = task.Options.MentionAllAuthority
		case "options.show_history_type":
			options.ShowHistoryType = task.Options.ShowHistoryType
		case "options.validation_type":
			options.ValidationType = task.Options.ValidationType
		case "options.searchable":
			options.Searchable = task.Options.Searchable
		case "options.chat_banned_type":
			options.ChatBannedType = task.Options.ChatBannedType
		case "options.management_type":
			options.ManagementType = task.Options.ManagementType
		}
	}
	if options != (dingtalk.GroupOptions{}) {
		update.Options = &options
	}
	return update
}
