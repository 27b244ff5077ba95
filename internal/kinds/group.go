package kinds

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"rollcall/internal/ledger"
	"rollcall/tasks"
)

// TypeGroupUpdate is the asynq task type of a [tasks.GroupUpdate].
const TypeGroupUpdate = "group:update"

// memberList is the column of a list of members.
func memberList(name, about, flag, usage string, synonyms ...string) Column {
	return Column{Name: name, Synonyms: synonyms, About: about, List: true, Flag: flag, Usage: usage}
}

// option is the column of an option, which is 0, 1 or left alone.
func option(name, about, usage string) Column {
	return Column{Name: name, About: about, Choices: []string{"0", "1"}, Option: true, Flag: strings.ReplaceAll(name, "_", "-"), Usage: usage}
}

var groupColumns = []Column{
	chatID,
	{
		Name: "name", Synonyms: []string{"群名称", "群名", "群聊名称", "group_name"}, About: "the new name",
		Flag: "name", Usage: "`NAME` of the chat, 1 to 20 characters",
	},
	{
		Name: "owner", Synonyms: []string{"群主", "群主ID", "群主用户ID"}, About: "the new owner", ID: true,
		Flag: "owner", Usage: "user `ID` of the new owner, a member",
	},
	{
		Name: "owner_type", Synonyms: []string{"群主类型"}, About: "an employee or an external contact",
		Choices: []string{tasks.OwnerEmployee, tasks.OwnerExternal},
		Flag:    "owner-type", Usage: "emp (employee, default) or ext (external)",
	},
	{
		Name: "icon", Synonyms: []string{"群头像"}, About: "the media id of the picture", ID: true,
		Flag: "icon", Usage: "media `ID` of the icon",
	},
	memberList("add_user_ids", "employees to add", "add", "user `IDs` of employees to add", "添加成员", "新增成员"),
	memberList("del_user_ids", "employees to remove", "del", "user `IDs` of employees to remove", "移除成员", "删除成员"),
	memberList("add_ext_ids", "external contacts to add", "add-ext", "union `IDs` of external contacts to add", "添加外部联系人"),
	memberList("del_ext_ids", "external contacts to remove", "del-ext", "union `IDs` of external contacts to remove", "移除外部联系人", "删除外部联系人"),
	option("mention_all_authority", "1: only the owner mentions all", "1: only the owner may @all; 0: everyone"),
	option("show_history_type", "1: new members see the history", "1: new members see 100 old messages; 0: none"),
	option("validation_type", "1: joining needs an approval", "1: joining needs approval; 0: it does not"),
	option("searchable", "1: it can be found", "1: search finds the group; 0: it does not"),
	option("chat_banned_type", "1: only the owner writes", "1: all members are muted; 0: they are not"),
	option("management_type", "1: only the owner manages it", "1: only the owner manages it; 0: everyone"),
}

var group = declare(Kind{
	Name: tasks.KindGroup, Type: TypeGroupUpdate,
	Platform: "dingtalk", Limit: Limit{"{calls: 20, per: 1s}", "`group/update`"},
	About: "a DingTalk chat's name, owner, members, icon, options", Target: "the chat for a group",
	Label: Label{"chat", "群聊"}, Words: []string{"群", "群聊"},
	Columns: groupColumns, ChangesOneOf: true,
	Command: Command{
		Arguments: "--chat C [flags]",
		Short:     "Change the name, owner, members, icon or options of a chat",
		Long: `Change the name, owner, members, icon or management options of a DingTalk chat.
Without a flag, that property does not change. Separate ids in a list with
commas.`,
		Example: `  enqueue group --tenant lakeside-dt --chat chat1 --name "Class 3-2"
  enqueue group --tenant lakeside-dt --chat chat1 --owner u1 --searchable 0
  enqueue group --tenant lakeside-dt --chat chat1 --add u2,u3 --del u4`,
	},
	Example: []Cell{
		{"tenant", "", "lakeside-dt"},
		{"chat_id", "", "chat1"},
		{"name", "", "三年二班"},
		{"owner", "", "u1"},
		{"add_user_ids", "", "u2;u3"},
		{"del_user_ids", "", ""},
	},
	keyOf:   func(chat, _ string) string { return chat },
	public:  func(field string) bool { return field != "name" && field != "owner" },
	restore: groupFields,
}, functions[tasks.GroupUpdate]{
	row:    groupRow,
	change: groupChange,
	involves: func(t tasks.GroupUpdate) (string, []string) {
		return t.ChatID, slices.Concat([]string{t.Owner}, t.AddUserIDs, t.DelUserIDs, t.AddExtIDs, t.DelExtIDs)
	},
	mask: func(t tasks.GroupUpdate, mask func(string) string) tasks.GroupUpdate {
		t.Name, t.Owner = mask(t.Name), mask(t.Owner)
		t.AddUserIDs, t.DelUserIDs = maskAll(t.AddUserIDs, mask), maskAll(t.DelUserIDs, mask)
		t.AddExtIDs, t.DelExtIDs = maskAll(t.AddExtIDs, mask), maskAll(t.DelExtIDs, mask)
		return t
	},
})

func groupRow(of func(string) string, list func(string) []string) tasks.GroupUpdate {
	t := tasks.GroupUpdate{
		Tenant: of("tenant"), ChatID: of("chat_id"), Name: of("name"), Owner: of("owner"), OwnerType: of("owner_type"), Icon: of("icon"),
		AddUserIDs: list("add_user_ids"), DelUserIDs: list("del_user_ids"), AddExtIDs: list("add_ext_ids"), DelExtIDs: list("del_ext_ids"),
	}
	if t.Owner != "" && t.OwnerType == "" {
		t.OwnerType = tasks.OwnerEmployee
	}
	for column, value := range map[string]**int{
		"mention_all_authority": &t.Options.MentionAllAuthority, "show_history_type": &t.Options.ShowHistoryType,
		"validation_type": &t.Options.ValidationType, "searchable": &t.Options.Searchable,
		"chat_banned_type": &t.Options.ChatBannedType, "management_type": &t.Options.ManagementType,
	} {
		if n, err := strconv.Atoi(of(column)); err == nil {
			*value = new(n)
		}
	}
	return t
}

// groupFields are the fields that groupChange made values of.
func groupFields(key string, values map[string]string) map[string]string {
	fields := maps.Clone(values)
	delete(fields, "members") // an edit has no value
	if owner, set := values["owner"]; set {
		fields["owner_type"], fields["owner"], _ = strings.Cut(owner, ":")
	}
	fields["chat_id"] = key
	return fields
}

// groupChange is a value for each attribute that changes, and one edit for the
// members.
func groupChange(t tasks.GroupUpdate, organisation string) (ledger.Target, []ledger.Field) {
	var fields []ledger.Field
	value := func(name, value string) {
		fields = append(fields, ledger.Field{Name: name, Value: value, Mode: ledger.Value})
	}
	if t.Name != "" {
		value("name", t.Name)
	}
	if t.Owner != "" {
		value("owner", t.OwnerType+":"+t.Owner)
	}
	if t.Icon != "" {
		value("icon", t.Icon)
	}
	for _, o := range t.Options.Set() {
		value("options."+o.Name, strconv.Itoa(o.Value))
	}
	if t.EditsMembers() {
		fields = append(fields, ledger.Field{Name: "members", Mode: ledger.Edit})
	}
	return ledger.Target{Organisation: organisation, API: string(tasks.KindGroup), Key: t.ChatID}, fields
}
