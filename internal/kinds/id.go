package kinds

import (
	"rollcall/internal/ledger"
	"rollcall/tasks"
)

// TypeIDChange is the asynq task type of a [tasks.IDChange].
const TypeIDChange = "id:change"

var id = declare(declaration[tasks.IDChange]{
	name: tasks.KindID, typ: TypeIDChange,
	about: "an employee's DingTalk ID", target: "the user for an ID",
	columns: []string{"user_id", "dingtalk_id", "alternatives", Previous},
	needs:   []string{"user_id", "dingtalk_id"},
	synonyms: map[string][]string{
		"dingtalk_id":  {"钉钉号", "钉钉ID", "新钉钉号"},
		"alternatives": {"备选", "备选钉钉号", "备选钉钉ID"},
	},
	words: []string{"钉钉号", "钉钉ID"},
	ids:   []string{"user_id", "dingtalk_id"},
	example: []Cell{
		{"tenant", "", "lakeside-dt"}, {"user_id", "", "u1"}, {"dingtalk_id", "", "zhangsan01"}, {"alternatives", "", "zhangsan02;zhangsan03"},
	},
	subject: func(t tasks.IDChange) string { return t.UserID },
	lists:   []string{"alternatives"},
	row: func(of func(string) string, list func(string) []string) tasks.IDChange {
		return tasks.IDChange{
			Tenant: of("tenant"), UserID: of("user_id"), DingTalkID: of("dingtalk_id"), Alternatives: list("alternatives"),
		}
	},
	// One value of one employee, once a year.
	change: func(t tasks.IDChange, organisation string) (ledger.Target, []ledger.Field) {
		return ledger.Target{Organisation: organisation, API: string(tasks.KindID), Key: t.UserID},
			[]ledger.Field{{Name: "id", Value: t.DingTalkID, Mode: ledger.Once}}
	},
	mask: func(t tasks.IDChange, mask func(string) string) tasks.IDChange {
		t.UserID, t.DingTalkID, t.Alternatives = mask(t.UserID), mask(t.DingTalkID), maskAll(t.Alternatives, mask)
		return t
	},
	maskKey: func(key string, mask func(string) string) string { return mask(key) },
})
