package tasks

import (
	"strings"

	"rollcall/internal/ledger"
)

// NicknameSync wishes that a member of a DingTalk chat has a nickname there
// (POST https://oapi.dingtalk.io/topapi/chat/updategroupnick).
type NicknameSync struct {
	Tenant   string `json:"tenant"`
	ChatID   string `json:"chat_id"`  // the chatid of the server API, not that of a JSAPI
	UserID   string `json:"user_id"`  // of an employee who is in the chat
	Nickname string `json:"nickname"` // sent literally, whatever it holds
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

// Wish implements [Task]: a value for one member in one chat.
func (t NicknameSync) Wish(organisation string) (ledger.Target, []ledger.Field) {
	// Neither id is known to be free of slashes, and no two pairs may share a key.
	escape := strings.NewReplacer("%", "%25", "/", "%2F")
	key := escape.Replace(t.ChatID) + "/" + escape.Replace(t.UserID)
	return ledger.Target{Organisation: organisation, API: string(KindNickname), Key: key},
		[]ledger.Field{{Name: "nickname", Value: t.Nickname, Mode: ledger.Value}}
}
