package dingtalk

import (
	"context"

	"github.com/go-json-experiment/json"

	"rollcall/providers"
	"rollcall/providers/internal/apicall"
)

// GroupUpdate changes a group. A nil or empty field is not sent and stays unchanged.
// Make renames and membership edits in separate calls: a repeated edit may be refused.
type GroupUpdate struct {
	ChatID      string        `json:"chatid"`                  // from the server-side call that creates a group
	Name        *string       `json:"name,omitzero"`           // 1..20 characters
	Owner       *string       `json:"owner,omitzero"`          // the user id of a member
	OwnerType   *string       `json:"ownerType,omitzero"`      // "emp" or "ext"
	AddUsers    []string      `json:"add_useridlist,omitzero"` // user ids; the vendor's older call took 40 at most
	DelUsers    []string      `json:"del_useridlist,omitzero"`
	AddExternal []string      `json:"add_extidlist,omitzero"` // union ids
	DelExternal []string      `json:"del_extidlist,omitzero"`
	Icon        *string       `json:"icon,omitzero"` // a media id
	Options     *GroupOptions `json:"managementOptions,omitempty"`
}

// GroupOptions are a group's switches, each 0 or 1; nil leaves one as it is.
type GroupOptions struct {
	MentionAllAuthority *int `json:"mentionAllAuthority,omitzero"` // 1: only the owner may mention all
	ShowHistoryType     *int `json:"showHistoryType,omitzero"`     // 1: new members see the last 100 messages
	ValidationType      *int `json:"validationType,omitzero"`      // 1: joining must be approved
	Searchable          *int `json:"searchable,omitzero"`          // 1: the group can be found
	ChatBannedType      *int `json:"chatBannedType,omitzero"`      // 1: no member may write
	ManagementType      *int `json:"managementType,omitzero"`      // 1: only the owner manages
}

// UpdateGroup changes a group's name, owner, members, icon or switches.
// See https://help.dingtalk.io/open/development/api-updategroup.
func (c *Client) UpdateGroup(ctx context.Context, gate providers.Gate, g GroupUpdate) (providers.Receipt, error) {
	if why := firstBad(field{"chat id", g.ChatID, true}); why != "" {
		return providers.Receipt{}, c.refuse(c.group, why)
	}
	// An empty list means no change; if it were sent, it might empty a group.
	for _, list := range []*[]string{&g.AddUsers, &g.DelUsers, &g.AddExternal, &g.DelExternal} {
		if len(*list) == 0 {
			*list = nil
		}
	}
	body, err := json.Marshal(g)
	if err != nil {
		return providers.Receipt{}, c.refuse(c.group, "a text is not valid UTF-8")
	}
	if empty, err := json.Marshal(GroupUpdate{ChatID: g.ChatID}); err == nil && string(empty) == string(body) {
		return providers.Receipt{}, c.refuse(c.group, "nothing to change in group "+g.ChatID)
	}
	var names []string
	if g.Name != nil {
		names = append(names, *g.Name)
	}
	return c.do(ctx, gate, c.group, names, withToken(c.group, body))
}

func groupDone(o apicall.Object) bool { return o.True("success") }
