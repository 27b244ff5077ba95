package dingtalk

import (
	"context"
	"net/url"

	"rollcall/providers"
	"rollcall/providers/internal/apicall"
)

// GroupNick is a member's name in one group.
type GroupNick struct {
	ChatID string // from the server-side call that creates a group
	UserID string
	Nick   string // sent literally, without interpretation
}

// UpdateGroupNick sets a member's name in a group. Setting the same name again
// does no harm, so it is tried again where its outcome is not known.
// See https://help.dingtalk.io/open/development/set-a-group-nickname.
func (c *Client) UpdateGroupNick(ctx context.Context, gate providers.Gate, n GroupNick) (providers.Receipt, error) {
	if why := firstBad(field{"chat id", n.ChatID, true}, field{"user id", n.UserID, true}, field{"group nick", n.Nick, false}); why != "" {
		return providers.Receipt{}, c.refuse(c.nick, why)
	}
	form := url.Values{"chatid": {n.ChatID}, "userid": {n.UserID}, "group_nick": {n.Nick}}
	return c.do(ctx, gate, c.nick, []string{n.Nick}, inQuery(c.nick, form))
}

func nickDone(o apicall.Object) bool { return o.Text("errcode") == "0" && o.True("success") }
