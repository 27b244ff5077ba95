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

// groupColumns are the columns of what a group update changes.
var groupColumns = slices.Concat([]string{
	"name", "owner", "owner_type", "icon",
	"add_user_ids", "del_user_ids", "add_ext_ids", "del_ext_ids",
}, groupOptions)

// groupOptions are the columns that are options in a payload.
var groupOptions = []string{
	"mention_all_authority", "show_history_type", "validation_type", "searchable", "chat_banned_type", "management_type",
}

var group = declare(declaration[tasks.GroupUpdate]{
	name: tasks.KindGroup, typ: TypeGroupUpdate,
	about: "a DingTalk chat's name, owner, members, icon, options", target: "the chat for a group",
	columns: append([]string{"chat_id"}, groupColumns...),
	needs:   []string{"chat_id"},
	oneOf:   groupColumns,
	synonyms: map[string][]string{
		"name":         {"群名称", "群名", "群聊名称", "group_name"},
		"owner":        {"群主", "群主ID", "群主用户ID"},
		"owner_type":   {"群主类型"},
		"icon":         {"群头像"},
		"add_user_ids": {"添加成员", "新增成员"},
		"del_user_ids": {"移除成员", "删除成员"},
		"add_ext_ids":  {"添加外部联系人"},
		"del_ext_ids":  {"移除外部联系人", "删除外部联系人"},
	},
	words: []string{"群", "群聊"},
	ids:   []string{"chat_id", "owner", "icon"},
	example: []Cell{
		{"tenant", "", "lakeside-dt"},
		{"chat_id", "", "chat1"},
		{"name", "", "三年二班"},
		{"owner", "", "u1"},
		{"add_user_ids", "", "u2;u3"},
		{"del_user_ids", "", ""},
	},
	options: groupOptions,
	lists:   []string{"add_user_ids", "del_user_ids", "add_ext_ids", "del_ext_ids"},
	change:  groupChange,
	mask: func(t tasks.GroupUpdate, mask func(string) string) tasks.GroupUpdate {
		t.Name, t.Owner = mask(t.Name), mask(t.Owner)
		t.AddUserIDs, t.DelUserIDs = maskAll(t.AddUserIDs, mask), maskAll(t.DelUserIDs, mask)
		t.AddExtIDs, t.DelExtIDs = maskAll(t.AddExtIDs, mask), maskAll(t.DelExtIDs, mask)
		return t
	},
	public:  func(field string) bool { return field != "name" && field != "owner" },
	restore: groupFields,
})

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
