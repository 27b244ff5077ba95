package main

import (
	"errors"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"rollcall/internal/roster"
	"rollcall/tasks"
)

// switchUsage describes the values 1 and 0 of a group option, by its column.
func switchUsage(column string) string {
	return map[string]string{
		"mention_all_authority": "1: only the owner may @all; 0: everyone",
		"show_history_type":     "1: new members see 100 old messages; 0: none",
		"validation_type":       "1: joining needs approval; 0: it does not",
		"searchable":            "1: search finds the group; 0: it does not",
		"chat_banned_type":      "1: all members are muted; 0: they are not",
		"management_type":       "1: only the owner manages it; 0: everyone",
	}[column]
}

// bit is the flag of an option. Its value is nil if the flag is not set, because 0 is a
// value.
type bit struct{ value **int }

func (b bit) String() string {
	if b.value == nil || *b.value == nil {
		return ""
	}
	return strconv.Itoa(**b.value)
}

func (b bit) Set(text string) error {
	switch text {
	case "0":
		*b.value = new(0)
	case "1":
		*b.value = new(1)
	default:
		return errors.New("must be 0 or 1")
	}
	return nil
}

func (bit) Type() string { return "0|1" }

func (a *app) groupCommand() *cobra.Command {
	var t tasks.GroupUpdate
	cmd := &cobra.Command{
		Use:   "group --tenant T --chat C [flags]",
		Short: "Change the name, owner, members, icon or options of a chat",
		Long: `Change the name, owner, members, icon or management options of a DingTalk chat.
Without a flag, that property does not change. Separate ids in a list with
commas.`,
		Example: `  enqueue group --tenant lakeside-dt --chat chat1 --name "Class 3-2"
  enqueue group --tenant lakeside-dt --chat chat1 --owner u1 --searchable 0
  enqueue group --tenant lakeside-dt --chat chat1 --add u2,u3 --del u4`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&t.Tenant, "tenant", "", "`NAME` of the tenant in the configuration")
	flags.StringVar(&t.ChatID, "chat", "", "`ID` of the chat, from the server API")
	flags.StringVar(&t.Name, "name", "", "`NAME` of the chat, 1 to 20 characters")
	flags.StringVar(&t.Owner, "owner", "", "user `ID` of the new owner, a member")
	flags.StringVar(&t.OwnerType, "owner-type", "", "emp (employee, default) or ext (external)")
	flags.StringVar(&t.Icon, "icon", "", "media `ID` of the icon")
	flags.StringSliceVar(&t.AddUserIDs, "add", nil, "user `IDs` of employees to add")
	flags.StringSliceVar(&t.DelUserIDs, "del", nil, "user `IDs` of employees to remove")
	flags.StringSliceVar(&t.AddExtIDs, "add-ext", nil, "union `IDs` of external contacts to add")
	flags.StringSliceVar(&t.DelExtIDs, "del-ext", nil, "union `IDs` of external contacts to remove")

	flagOf := map[string]string{
		"tenant": "--tenant", "chat_id": "--chat", "name": "--name", "owner": "--owner", "owner_type": "--owner-type",
		"icon": "--icon", "add_user_ids": "--add", "del_user_ids": "--del", "add_ext_ids": "--add-ext", "del_ext_ids": "--del-ext",
	}
	for _, s := range roster.Switches() {
		flags.Var(bit{s.Value(&t.Options)}, strings.ReplaceAll(s.Column, "_", "-"), switchUsage(s.Column))
	}
	build := func([]string) tasks.Task {
		if t.Owner != "" && t.OwnerType == "" {
			t.OwnerType = tasks.OwnerEmployee
		}
		return t
	}
	return a.single(cmd, build, flagOf)
}
