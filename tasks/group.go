package tasks

import "fmt"

// The kinds of owner that DingTalk knows.
const (
	OwnerEmployee = "emp"
	OwnerExternal = "ext" // an external contact
)

// KindGroup is the kind of a DingTalk chat's name, owner, members, options.
const KindGroup Kind = "group"

// GroupUpdate changes a DingTalk chat
// (POST https://api.dingtalk.io/v1.0/im/group/update). A field at its zero value
// leaves the chat as it is.
type GroupUpdate struct {
	Tenant    string       `json:"tenant"`
	ChatID    string       `json:"chat_id"`
	Name      string       `json:"name,omitzero"`       // 1 to 20 characters
	Owner     string       `json:"owner,omitzero"`      // a member of the chat
	OwnerType string       `json:"owner_type,omitzero"` // emp (a userId) or ext (a unionId); given if owner is
	Icon      string       `json:"icon,omitzero"`       // a mediaId
	Options   GroupOptions `json:"options,omitzero"`    // each 0 or 1; a missing one is not sent

	AddUserIDs []string `json:"add_user_ids,omitempty"` // employees
	DelUserIDs []string `json:"del_user_ids,omitempty"` // employees that are not in add_user_ids
	AddExtIDs  []string `json:"add_ext_ids,omitempty"`  // unionIds of external contacts
	DelExtIDs  []string `json:"del_ext_ids,omitempty"`  // unionIds that are not in add_ext_ids
}

// GroupOptions are the switches of a chat: nil leaves one as it is, 0 and 1 are
// sent. (Go 1.26: new(0).)
type GroupOptions struct {
	MentionAllAuthority *int `json:"mention_all_authority,omitzero"` // 1: the owner alone may @all
	ShowHistoryType     *int `json:"show_history_type,omitzero"`     // 1: new members see the last 100 messages
	ValidationType      *int `json:"validation_type,omitzero"`       // 1: joining needs an approval
	Searchable          *int `json:"searchable,omitzero"`            // 1: the chat can be found
	ChatBannedType      *int `json:"chat_banned_type,omitzero"`      // 1: members cannot write
	ManagementType      *int `json:"management_type,omitzero"`       // 1: the owner alone manages
}

// GroupOption is one switch that is set.
type GroupOption struct {
	Name  string // as in the payload: "searchable"
	Value int
}

// Set returns the switches that are not nil, in a fixed order.
func (o GroupOptions) Set() []GroupOption {
	var set []GroupOption
	for _, switched := range []struct {
		name  string
		value *int
	}{
		{"mention_all_authority", o.MentionAllAuthority},
		{"show_history_type", o.ShowHistoryType},
		{"validation_type", o.ValidationType},
		{"searchable", o.Searchable},
		{"chat_banned_type", o.ChatBannedType},
		{"management_type", o.ManagementType},
	} {
		if switched.value != nil {
			set = append(set, GroupOption{switched.name, *switched.value})
		}
	}
	return set
}

// Validate implements [Task].
func (t GroupUpdate) Validate(Limits) error {
	var x examiner
	x.tenant(t.Tenant)
	x.id("chat_id", t.ChatID)
	if t.Name != "" {
		x.text("name", t.Name, MaxGroupName)
	}
	if t.Owner != "" {
		x.id("owner", t.Owner)
	}
	switch t.OwnerType {
	case "":
		if t.Owner != "" {
			x.add("owner_type", "is missing: say %s or %s with an owner", OwnerEmployee, OwnerExternal)
		}
	case OwnerEmployee, OwnerExternal:
		if t.Owner == "" {
			x.add("owner_type", "is given without an owner")
		}
	default:
		x.add("owner_type", "must be %s or %s", OwnerEmployee, OwnerExternal)
	}
	if t.Icon != "" {
		x.id("icon", t.Icon)
	}
	for _, o := range t.Options.Set() {
		if o.Value != 0 && o.Value != 1 {
			x.add("options."+o.Name, "must be 0 or 1")
		}
	}
	x.members("user_ids", t.AddUserIDs, t.DelUserIDs)
	x.members("ext_ids", t.AddExtIDs, t.DelExtIDs)
	if len(x.problems) == 0 && t.changesNothing() {
		x.add("name", "nothing to change: give a name, owner, icon, option or member list")
	}
	return x.verdict(KindGroup)
}

func (t GroupUpdate) changesNothing() bool {
	return t.Name == "" && t.Owner == "" && t.Icon == "" && t.Options == (GroupOptions{}) && !t.EditsMembers()
}

// EditsMembers reports whether the task adds or removes members.
func (t GroupUpdate) EditsMembers() bool {
	return len(t.AddUserIDs)+len(t.DelUserIDs)+len(t.AddExtIDs)+len(t.DelExtIDs) > 0
}

// members judges an add and a del list together: DingTalk does not say which
// of the two wins for an id that stands in both.
func (x *examiner) members(what string, add, del []string) {
	seen := make(map[string]string, len(add)+len(del))
	for _, list := range []struct {
		name string
		ids  []string
	}{{"add_" + what, add}, {"del_" + what, del}} {
		for i, id := range list.ids {
			field := fmt.Sprintf("%s[%d]", list.name, i)
			x.id(field, id)
			x.distinct(seen, field, id)
		}
	}
}

// Lane implements [Task].
func (t GroupUpdate) Lane() (tenant string, kind Kind) { return t.Tenant, KindGroup }

func (GroupUpdate) task() {}
