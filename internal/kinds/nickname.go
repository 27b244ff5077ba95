package kinds

import (
	"strings"

	"rollcall/internal/ledger"
	"rollcall/tasks"
)

// TypeNicknameSync is the asynq task type of a [tasks.NicknameSync].
const TypeNicknameSync = "nickname:sync"

var (
	escape   = strings.NewReplacer("%", "%25", "/", "%2F")
	unescape = strings.NewReplacer("%25", "%", "%2F", "/")
)

var nickname = declare(Kind{
	Name: tasks.KindNickname, Type: TypeNicknameSync,
	Platform: "dingtalk", Limit: Limit{"{calls: 20, per: 1s}", "`updategroupnick`"},
	About: "a member's nickname in a DingTalk chat", Target: "chat/user for a nickname",
	Label: Label{"group nickname", "群昵称"}, Words: []string{"昵称", "群昵称"},
	Columns: []Column{
		chatID, userID("user `ID` of the member"),
		{
			Name: "nickname", Synonyms: []string{"群昵称", "昵称", "群内昵称"}, About: "the new nickname", Needed: true,
			Argument: "the nickname",
		},
		previous,
	},
	Person: "user_id", Value: "nickname", Longest: tasks.DefaultNicknameMax,
	Command: Command{
		Arguments: "--chat C --user U NICKNAME",
		Short:     "Set the nickname of a member of a DingTalk chat",
		Long: `Set the nickname of a member of a DingTalk chat. It is sent unchanged: 1 to 30
characters unless the tenant allows more, no control characters. Write -- before
a nickname that begins with a dash.`,
		Example: `  enqueue nickname --tenant lakeside-dt --chat chat1 --user u1 "张三"
  enqueue nickname --tenant lakeside-dt --chat chat1 --user u1 \
      --urgent --key 2026-03-01/u1 "[monitor] Ann"`,
	},
	Example: []Cell{
		{"tenant", "", "lakeside-dt"}, {"chat_id", "", "chat1"}, {"user_id", "", "u1"}, {"nickname", "", "张三"}, {Previous, "原昵称", ""},
	},
	ids: 2,
	restore: func(key string, values map[string]string) map[string]string {
		chat, user, _ := strings.Cut(key, "/")
		return map[string]string{
			"chat_id": unescape.Replace(chat), "user_id": unescape.Replace(user), "nickname": values["nickname"],
		}
	},
	maskKey: func(key string, mask func(string) string) string {
		chat, user, ok := strings.Cut(key, "/")
		if !ok {
			return mask(key)
		}
		return chat + "/" + mask(user)
	},
}, functions[tasks.NicknameSync]{
	subject:  func(t tasks.NicknameSync) string { return t.UserID },
	involves: func(t tasks.NicknameSync) (string, []string) { return t.ChatID, []string{t.UserID} },
	row: func(of func(string) string, _ func(string) []string) tasks.NicknameSync {
		return tasks.NicknameSync{Tenant: of("tenant"), ChatID: of("chat_id"), UserID: of("user_id"), Nickname: of("nickname")}
	},
	// One value of one member in one chat.
	change: func(t tasks.NicknameSync, organisation string) (ledger.Target, []ledger.Field) {
		// Neither id is known to be free of slashes, and no two pairs may share a key.
		key := escape.Replace(t.ChatID) + "/" + escape.Replace(t.UserID)
		return ledger.Target{Organisation: organisation, API: string(tasks.KindNickname), Key: key},
			[]ledger.Field{{Name: "nickname", Value: t.Nickname, Mode: ledger.Value}}
	},
	mask: func(t tasks.NicknameSync, mask func(string) string) tasks.NicknameSync {
		t.UserID, t.Nickname = mask(t.UserID), mask(t.Nickname)
		return t
	},
})
