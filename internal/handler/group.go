package handler

import (
	"context"
	"errors"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/providers"
	"rollcall/providers/dingtalk"
	"rollcall/tasks"
)

type grouper interface {
	UpdateGroup(context.Context, providers.Gate, dingtalk.GroupUpdate) (providers.Receipt, error)
}

// maxAdded is how many members one call may add. The vendor's page gives no bound; the
// page of the older call, which this one replaces, gives 40. See
// https://open.dingtalk.com/document/development/modify-a-group-session.
const maxAdded = 40

// Group carries out group:update. It sends only the attributes that the ledger's
// decisions require: a later change of an attribute may already be applied. New members
// that exceed the bound of a call are sent in several calls; the last one carries the
// attributes. The ledger records how many calls are done.
func Group(e Env, client grouper) Func {
	c := &executor{Env: e}
	return func(ctx context.Context, d Delivery) (Report, error) {
		task, meta, err := decode[tasks.GroupUpdate](e, kinds.TypeGroupUpdate, d)
		if err != nil {
			return Report{}, err
		}
		return c.carryOut(ctx, d, task, meta, func(ctx context.Context, gate providers.Gate, lease *ledger.Lease) (
			providers.Receipt, map[string]string, error,
		) {
			receipt, err := updateGroup(ctx, gate, client, lease, split(groupUpdate(task, lease.Fields())))
			return receipt, nil, err
		})
	}
}

// updateGroup makes those calls of a task that are not done yet.
func updateGroup(ctx context.Context, gate providers.Gate, client grouper, lease *ledger.Lease, calls []dingtalk.GroupUpdate) (
	providers.Receipt, error,
) {
	first := min(lease.Step(), len(calls)-1)
	var all providers.Receipt
	for i, update := range calls[first:] {
		receipt, err := client.UpdateGroup(ctx, gate, update)
		if err != nil {
			if e, ok := errors.AsType[*providers.Error](err); ok {
				e.Sends += all.Sends
			}
			return providers.Receipt{}, err
		}
		all = providers.Receipt{RequestID: receipt.RequestID, Sends: all.Sends + receipt.Sends, Late: all.Late || receipt.Late}
		if n := first + i + 1; n < len(calls) {
			if err := lease.Note(ctx, n); err != nil {
				return all, err
			}
		}
	}
	return all, nil
}

// split distributes new members over as many calls as they need. Removals come first,
// to make room. The attributes come last, because a new owner must be a member.
func split(update dingtalk.GroupUpdate) []dingtalk.GroupUpdate {
	users, outsiders := update.AddUsers, update.AddExternal
	var calls []dingtalk.GroupUpdate
	for len(users)+len(outsiders) > maxAdded {
		part := dingtalk.GroupUpdate{ChatID: update.ChatID}
		n := min(len(users), maxAdded)
		m := min(len(outsiders), maxAdded-n)
		part.AddUsers, users = users[:n], users[n:]
		part.AddExternal, outsiders = outsiders[:m], outsiders[m:]
		if calls == nil {
			part.DelUsers, part.DelExternal = update.DelUsers, update.DelExternal
			update.DelUsers, update.DelExternal = nil, nil
		}
		calls = append(calls, part)
	}
	update.AddUsers, update.AddExternal = users, outsiders
	return append(calls, update)
}

// groupUpdate returns the request for those fields of the task that are to be sent.
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
