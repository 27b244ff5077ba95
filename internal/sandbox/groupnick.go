package sandbox

import (
	"mime"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxNick is not documented for this call; 30 is the bound of the same field in the
// call for scene groups. open.dingtalk.com/document/development/update-group-nicknames
const maxNick = 30

type nickOrder struct{ chat, user, nick string }

// groupNickEndpoint sets one member's nickname in one chat.
// Its page on help.dingtalk.io: "Call this API to update a group member's
// nickname within a chat".
func groupNickEndpoint() *endpoint {
	return &endpoint{
		api: APIGroupNick, success: "0", wrongMethod: "43002", path: "/topapi/chat/updategroupnick", dialect: legacyDialect(),
		metered: true, permission: "qyapi_chat_manage",
		read: readNick, identify: identifyByToken, authenticate: authenticateByQuery, run: runNick,
	}
}

func authenticateByQuery(s *Sandbox, x *exchange) *refusal {
	if x.token == "" {
		return &refusal{code: "40000"}
	}
	if !s.tokenIsLive(x) {
		return &refusal{code: x.endpoint.dialect.badToken}
	}
	return nil
}

func readNick(x *exchange) *refusal {
	fields, r := readFields(x, func(jsontext.Kind) bool { return false })
	if r != nil {
		return r
	}
	order := nickOrder{chat: fields.Get("chatid"), user: fields.Get("userid"), nick: fields.Get("group_nick")}
	x.target = Target{Chat: order.chat, User: order.user}
	x.order = order
	media, _, _ := mime.ParseMediaType(x.header.Get("Content-Type"))
	if (media == jsonType && escapesUnicode(x.body)) || escapesUnicode([]byte(order.nick)) {
		return &refusal{code: "40033"}
	}
	return nil
}

// readFields reads the token and the body of a call of the old host, as a form or as
// JSON: the vendor's pages show a form, its own client sends JSON. The token belongs into
// the query; the pages' own samples have it in the form. also reports which JSON values
// but texts are read.
func readFields(x *exchange, also func(jsontext.Kind) bool) (url.Values, *refusal) {
	x.token = x.query.Get("access_token")
	media, _, _ := mime.ParseMediaType(x.header.Get("Content-Type"))
	fields := url.Values{}
	switch media {
	case "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(x.body))
		if err != nil {
			return nil, &refusal{code: "400002"}
		}
		fields = form
		if x.token == "" {
			x.token = form.Get("access_token")
		}
	case jsonType:
		var object map[string]jsontext.Value
		if err := json.Unmarshal(x.body, &object); err != nil {
			return nil, &refusal{code: "47001"}
		}
		for name, value := range object {
			var text string
			if value.Kind() == '"' && json.Unmarshal(value, &text) == nil {
				fields.Set(name, text)
			} else if also(value.Kind()) {
				fields.Set(name, string(value))
			}
		}
	default:
		return nil, &refusal{code: "43004"}
	}
	return fields, nil
}

// unicodeEscape matches a \uXXXX, and a pair of backslashes so that it is
// passed over: the second of a pair starts nothing.
var unicodeEscape = regexp.MustCompile(`\\\\|\\u[0-9a-fA-F]{4}`)

func escapesUnicode(text []byte) bool {
	for _, found := range unicodeEscape.FindAll(text, -1) {
		if found[1] == 'u' {
			return true
		}
	}
	return false
}

func runNick(s *Sandbox, x *exchange) outcome {
	order, _ := x.order.(nickOrder)
	if order.chat == "" || order.user == "" || order.nick == "" ||
		!utf8.ValidString(order.nick) || utf8.RuneCountInString(order.nick) > maxNick {
		return refused("400002")
	}
	chat := x.org.byChatID[order.chat]
	if chat == nil {
		return refused("34001")
	}
	employee := x.org.byUserID[order.user]
	switch {
	case employee == nil:
		return refused("40003")
	case employee.Disabled:
		return refused("60120")
	case employee.Hidden:
		return refused("50002")
	}
	member := chat.member(order.user)
	if member == nil {
		return refused("60124")
	}
	if containsAny(order.nick, s.platform.prohibitedNames) {
		return refused("41049")
	}
	change := Change{Field: "nick", Old: member.Nick, New: order.nick}
	member.Nick = order.nick
	return outcome{changes: []Change{change}, body: struct {
		ErrCode   int    `json:"errcode"`
		ErrMsg    string `json:"errmsg"`
		Success   bool   `json:"success"`
		RequestID string `json:"request_id"`
	}{0, "ok", true, x.requestID}}
}

// Rename gives a member another nickname as the member does in the app: it needs no call,
// and no call shows it. The effect has the call 0. False: the chat has no such member.
func (s *Sandbox) Rename(organisation, chatID, userID, nick string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.platform.orgs {
		chat := o.byChatID[chatID]
		if o.name != organisation || chat == nil {
			continue
		}
		member := chat.member(userID)
		if member == nil {
			return false
		}
		s.log.effect(Effect{
			Time: s.clock(), Organisation: organisation, Target: Target{Chat: chatID, User: userID},
			Changes: []Change{{Field: "nick", Old: member.Nick, New: nick}},
		})
		member.Nick = nick
		return true
	}
	return false
}

func containsAny(text string, words []string) bool {
	for _, word := range words {
		if word != "" && strings.Contains(text, word) {
			return true
		}
	}
	return false
}
