package sandbox

import (
	"slices"
	"strconv"
	"unicode/utf8"
)

const (
	maxGroupName = 20
	// maxAdded and maxMembers are from the page of the older call that this one
	// replaces; its own page gives no bounds.
	// open.dingtalk.com/document/development/modify-a-group-session
	maxAdded   = 40
	maxMembers = 1000

	ownerOutside = "ext"
)

// groupOrder has pointers where a key that is absent means: leave it.
type groupOrder struct {
	Chat      string          `json:"chatid"`
	Name      *string         `json:"name"`
	Owner     *string         `json:"owner"`
	OwnerType *string         `json:"ownerType"`
	Add       []string        `json:"add_useridlist"`
	Delete    []string        `json:"del_useridlist"`
	AddExt    []string        `json:"add_extidlist"`
	DeleteExt []string        `json:"del_extidlist"`
	Icon      *string         `json:"icon"`
	Options   *groupOrderFlag `json:"managementOptions"`
}

type groupOrderFlag struct {
	MentionAllAuthority *int `json:"mentionAllAuthority"`
	ShowHistoryType     *int `json:"showHistoryType"`
	ValidationType      *int `json:"validationType"`
	Searchable          *int `json:"searchable"`
	ChatBannedType      *int `json:"chatBannedType"`
	ManagementType      *int `json:"managementType"`
}

type namedFlag struct {
	name  string
	value *int
}

func (f *groupOrderFlag) list() []namedFlag {
	if f == nil {
		return nil
	}
	return []namedFlag{
		{"mentionAllAuthority", f.MentionAllAuthority},
		{"showHistoryType", f.ShowHistoryType},
		{"validationType", f.ValidationType},
		{"searchable", f.Searchable},
		{"chatBannedType", f.ChatBannedType},
		{"managementType", f.ManagementType},
	}
}

// groupUpdateEndpoint changes a chat's name, owner, members, icon and options,
// all of them or none. Its page is one of help.dingtalk.io.
func groupUpdateEndpoint() *endpoint {
	return &endpoint{
		api: APIGroupUpdate, path: "/v1.0/im/group/update", dialect: newDialect(),
		metered: true, permission: "qyapi_chat_manage",
		read: func(x *exchange) *refusal {
			var order groupOrder
			if r := readJSON(x, &order); r != nil {
				return &refusal{code: codeInvalidParameter, message: r.message}
			}
			x.target = Target{Chat: order.Chat}
			x.order = order
			return nil
		},
		identify: identifyByToken, authenticate: authenticateByHeader, run: runGroupUpdate,
	}
}

// runGroupUpdate works on a copy of the chat, so that a refusal half-way
// leaves nothing behind.
func runGroupUpdate(_ *Sandbox, x *exchange) outcome {
	order, _ := x.order.(groupOrder)
	held := x.org.byChatID[order.Chat]
	if held == nil {
		return refusedBecause(codeInvalidParameter, "chatid does not exist")
	}
	if owner := x.org.byUserID[held.Owner]; owner != nil && owner.Hidden {
		return refusedBecause("permession.checkFailed", "the group owner is outside the app's visible range")
	}
	chat := copyChat(*held)
	edit := groupEdit{org: x.org, chat: &chat}
	for _, step := range []func(groupOrder) *refusal{edit.texts, edit.people, edit.outsiders, edit.owner, edit.options} {
		if r := step(order); r != nil {
			return outcome{refusal: r}
		}
	}
	*held = chat
	return outcome{changes: edit.changes, body: struct {
		Success bool `json:"success"`
	}{true}}
}

// groupEdit is one update in the making.
type groupEdit struct {
	org     *organisation
	chat    *Chat
	changes []Change
}

func (e *groupEdit) set(field, old, now string) {
	e.changes = append(e.changes, Change{Field: field, Old: old, New: now})
}

func invalid(why string) *refusal { return &refusal{code: codeInvalidParameter, message: why} }

func (e *groupEdit) texts(order groupOrder) *refusal {
	if order.Name != nil {
		if n := utf8.RuneCountInString(*order.Name); n < 1 || n > maxGroupName {
			return invalid("name: 1 to 20 characters")
		}
		e.set("name", e.chat.Name, *order.Name)
		e.chat.Name = *order.Name
	}
	if order.Icon != nil {
		if *order.Icon == "" {
			return invalid("icon: no mediaId")
		}
		e.set("icon", e.chat.Icon, *order.Icon)
		e.chat.Icon = *order.Icon
	}
	return nil
}

// people adds and then removes members. Adding a member or removing a non-member
// changes nothing and is not an error.
func (e *groupEdit) people(order groupOrder) *refusal {
	if len(order.Add) > maxAdded {
		return invalid("add_useridlist: at most 40")
	}
	for _, id := range order.Add {
		if e.org.byUserID[id] == nil {
			return invalid("add_useridlist: no such userId")
		}
		if e.chat.member(id) == nil {
			e.chat.Members = append(e.chat.Members, Member{UserID: id})
			e.set("member", "", id)
		}
	}
	for _, id := range order.Delete {
		if e.org.byUserID[id] == nil {
			return invalid("del_useridlist: no such userId")
		}
		if e.chat.member(id) == nil {
			continue
		}
		e.chat.Members = slices.DeleteFunc(e.chat.Members, func(m Member) bool { return m.UserID == id })
		e.set("member", id, "")
	}
	if len(e.chat.Members)+len(e.chat.Externals) > maxMembers {
		return invalid("the group is full: 1000 members")
	}
	return nil
}

func (e *groupEdit) outsiders(order groupOrder) *refusal {
	for _, id := range slices.Concat(order.AddExt, order.DeleteExt) {
		if !e.org.knowsUnionID(id) {
			return invalid("add_extidlist, del_extidlist: no such unionId")
		}
	}
	for _, id := range order.AddExt {
		if !slices.Contains(e.chat.Externals, id) {
			e.chat.Externals = append(e.chat.Externals, id)
			e.set("external", "", id)
		}
	}
	for _, id := range order.DeleteExt {
		if at := slices.Index(e.chat.Externals, id); at >= 0 {
			e.chat.Externals = slices.Delete(e.chat.Externals, at, at+1)
			e.set("external", id, "")
		}
	}
	if len(e.chat.Members)+len(e.chat.Externals) > maxMembers {
		return invalid("the group is full: 1000 members")
	}
	return nil
}

// owner runs after the lists: the owner must be a member of the result.
func (e *groupEdit) owner(order groupOrder) *refusal {
	kind := e.chat.OwnerType
	if order.OwnerType != nil {
		if kind = *order.OwnerType; kind != "emp" && kind != ownerOutside {
			return invalid("ownerType: emp or ext")
		}
		e.set("ownerType", e.chat.OwnerType, kind)
		e.chat.OwnerType = kind
	}
	if order.Owner != nil {
		e.set("owner", e.chat.Owner, *order.Owner)
		e.chat.Owner = *order.Owner
	}
	if kind == ownerOutside {
		if !slices.Contains(e.chat.Externals, e.chat.Owner) {
			return invalid("owner: not among the outside members")
		}
		return nil
	}
	if order.Owner == nil && e.chat.Owner == "" {
		return nil
	}
	if e.chat.member(e.chat.Owner) == nil {
		return invalid("owner: not a member of the group")
	}
	if e.org.byUserID[e.chat.Owner].Hidden {
		return &refusal{code: "permession.checkFailed", message: "the group owner is outside the app's visible range"}
	}
	return nil
}

// options stores an explicit 0 like a 1: it is a requested value, and a missing option
// is not.
func (e *groupEdit) options(order groupOrder) *refusal {
	for _, option := range order.Options.list() {
		if option.value == nil {
			continue
		}
		if *option.value != 0 && *option.value != 1 {
			return invalid(option.name + ": 0 or 1")
		}
		old := ""
		if value, was := e.chat.Options[option.name]; was {
			old = strconv.Itoa(value)
		}
		if e.chat.Options == nil {
			e.chat.Options = map[string]int{}
		}
		e.chat.Options[option.name] = *option.value
		e.set("managementOptions."+option.name, old, strconv.Itoa(*option.value))
	}
	return nil
}
