package kinds

import (
	"rollcall/internal/ledger"
	"rollcall/tasks"
)

// TypeIDChange is the asynq task type of a [tasks.IDChange].
const TypeIDChange = "id:change"

var id = declare(Kind{
	Name: tasks.KindID, Type: TypeIDChange,
	Platform: "dingtalk", Limit: Limit{"{calls: 20, per: 1s}", "`dingTalkIds/change`"},
	About: "an employee's DingTalk ID", Target: "the user for an ID",
	Label: Label{"DingTalk ID", "钉钉号"}, Words: []string{"钉钉号", "钉钉ID"},
	Columns: []Column{
		userID("user `ID` of the employee"),
		{
			Name: "dingtalk_id", Synonyms: []string{"钉钉号", "钉钉ID", "新钉钉号"},
			About: "the new ID, which cannot be changed again for a year", Needed: true, ID: true, Argument: "the ID",
		},
		{
			Name: "alternatives", Synonyms: []string{"备选", "备选钉钉号", "备选钉钉ID"}, About: "IDs to try if it is taken",
			List: true, Argument: "the alternatives",
		},
		previous,
	},
	Person: "user_id", Value: "dingtalk_id",
	Command: Command{
		Arguments: "--user U ID [ALTERNATIVE...]",
		Short:     "Change an employee's DingTalk ID, which works once a year",
		Long: `Change an employee's DingTalk ID. DingTalk allows one change a year, and it is
final. If an ID belongs to someone else, the alternatives are tried in the given
order, at most 10. An ID is a letter, then 5 to 19 letters and digits.

If the outcome of a change is unknown, a person must look it up: see rollcall
ids list, rollcall ids confirm and rollcall ids reject.`,
		Example: `  enqueue id --tenant lakeside-dt --user u1 zhangsan01
  enqueue id --tenant lakeside-dt --user u1 zhangsan01 zhangsan02 zhangsan03`,
	},
	Example: []Cell{
		{"tenant", "", "lakeside-dt"}, {"user_id", "", "u1"}, {"dingtalk_id", "", "zhangsan01"}, {"alternatives", "", "zhangsan02;zhangsan03"},
	},
	keyOf:   func(_, person string) string { return person },
	maskKey: func(key string, mask func(string) string) string { return mask(key) },
}, functions[tasks.IDChange]{
	subject:  func(t tasks.IDChange) string { return t.UserID },
	involves: func(t tasks.IDChange) (string, []string) { return "", []string{t.UserID} },
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
})
