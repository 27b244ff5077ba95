package main

import (
	"errors"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"rollcall/internal/roster"
	"rollcall/tasks"
)

// switchUsage says, by column, what the 1 and the 0 of a group's option mean.
func switchUsage(column string) string {
	return map[string]string{
		"mention_all_authority": "1: the owner alone may @all; 0: everybody",
		"show_history_type":     "1: new members see 100 messages; 0: none",
		"validation_type":       "1: joining needs an approval; 0: not",
		"searchable":            "1: the group can be found; 0: not",
		"chat_banned_type":      "1: nobody may write; 0: everybody",
		"management_type":       "1: the owner alone manages; 0: everybody",
	}[column]
}

// bit is the flag of a switch. It stays nil where it is not given: 0 is sent.
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
		Use:   "group --tenant T --chat C [what to change]",
		Short: "Change a DingTalk chat: name, owner, members, icon, options",
		Long: `Change a DingTalk chat: its name, owner, members, icon and management options.
What is not given stays as it is; an option that is given as 0 is sent as 0.
Lists of ids are separated by commas.`,
		Example: `  enqueue group --tenant lakeside-dt --chat chat1 --name "Class 3-2"
  enqueue group --tenant lakeside-dt --chat chat1 --owner u1 --searchable 0
  enqueue group --tenant lakeside-dt --chat chat1 --add u2,u3 --del u4`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&t.Tenant, "tenant", "", "`NAME` of the tenant in the configuration")
	flags.StringVar(&t.ChatID, "chat", "", "the chat's `ID`, from the server API")
	flags.StringVar(&t.Name, "name", "", "1 to 20 characters")
	flags.StringVar(&t.Owner, "owner", "", "user `ID` of a member")
	flags.StringVar(&t.OwnerType, "owner-type", "", "emp, or ext: external (default emp)")
	flags.StringVar(&t.Icon, "icon", "", "media `ID`")
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
