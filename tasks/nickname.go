package tasks

// KindNickname is the kind of a member's nickname in a DingTalk chat.
const KindNickname Kind = "nickname"

// NicknameSync sets the nickname of a member of a DingTalk chat
// (POST https://oapi.dingtalk.io/topapi/chat/updategroupnick).
type NicknameSync struct {
	Tenant   string `json:"tenant"`
	ChatID   string `json:"chat_id"`  // the chatid of the server API, not that of a JSAPI
	UserID   string `json:"user_id"`  // of an employee who is in the chat
	Nickname string `json:"nickname"` // sent literally, without interpretation
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
