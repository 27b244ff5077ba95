package tasks

// KindNickname is the kind of a member's nickname in a DingTalk chat.
const KindNickname Kind = "nickname"

// NicknameSync sets the nickname of a member of a DingTalk chat
// (POST https://oapi.dingtalk.io/topapi/chat/updategroupnick).
type NicknameSync struct {
	Tenant string `json:"tenant"` // of the configuration
	// ChatID is that of the server API, not that of a JSAPI: 1 to 128 bytes without spaces
	// and control characters, as all ids.
	ChatID string `json:"chat_id"`
	UserID string `json:"user_id"` // an employee; for a nickname one who is in the chat
	// Nickname is 1 to 30 characters (a tenant may allow more), sent literally; no control
	// characters or line breaks.
	Nickname string `json:"nickname"`
}

// Validate implements [Task].
func (t NicknameSync) Validate(limits Limits) error {
	var x examiner
	x.tenant(t.Tenant)
	x.id("chat_id", t.ChatID)
	x.id("user_id", t.UserID)
	x.text("nickname", t.Nickname, limits.nicknameMax())
	return x.verdict(KindNickname)
}

// Lane implements [Task].
func (t NicknameSync) Lane() (tenant string, kind Kind) { return t.Tenant, KindNickname }

func (NicknameSync) task() {}
