package run

import "fmt"

// The reasons of decisions and results. They are stored and matched in English: Chinese
// translates them for a file.
const (
	whyDamaged      = "the record of the target is damaged: %s; rollcall repair lists it"
	whyReplaces     = "replaces a change that waits (task %s)"
	whyReplacesRun  = "replaces a change that waits in run %s"
	whyUnknownID    = "the outcome of an earlier change of this ID is unknown: rollcall ids list shows what to do"
	whyLocked       = "locked until %s"
	whyChanged      = "the target was changed since the plan"
	whyChangedLost  = "the target was changed since the plan, and its value is not known now"
	whyWaits        = "another change of the target waits since the plan"
	whyBusy         = "the target is being changed by somebody else"
	whyLater        = "the target has a later change"
	whyTwin         = "%s wants another value for the same target"
	whySame         = "the same as %s"
	whyNoTask       = "the row has no task"
	whyKey          = "a task with the same key was stored before: %s"
	whySource       = "its source has sent a higher number"
	whyForgotten    = "what was recorded about it was removed"
	whyLooksDamaged = "looks damaged by a program on its way"
	whyNumber       = "is a number or a date, not a name"
	whyInvisible    = "has invisible characters"
	whyLostChinese  = "had Chinese characters and has none now"

	// Of rows that are not undone.
	whyNotEnded     = "the row has not ended"
	whyNotChanged   = "the run did not change it: %s"
	whyKind         = "a change of kind %s cannot be undone"
	whyMembers      = "added or removed members cannot be undone: add or remove them by hand"
	whyOldUnknown   = "the old value is not known"
	whyRepair       = "the record of the target is damaged: rollcall repair lists it"
	whyLaterUnknown = "the outcome of a later change is unknown"
	whyLaterWaits   = "a later change waits (task %s)"
	whyChangedAfter = "it was changed since"
	whySameAgain    = "it was changed since, and then to the same value"
	whyLeftOut      = "it was left out of the undo"
	whyNotThen      = "it could not be undone when the undo was made"
)

// chinese are the reasons in Chinese, with the same arguments in the same order.
var chinese = map[string]string{
	whyDamaged:      "该对象的记录已损坏：%s；用 rollcall repair 查看",
	whyReplaces:     "将取代一个等待中的变更（任务 %s）",
	whyReplacesRun:  "将取代批次 %s 中等待的变更",
	whyUnknownID:    "该钉钉号上一次修改的结果未知：用 rollcall ids list 查看处理办法",
	whyLocked:       "锁定至 %s",
	whyChanged:      "生成计划后该对象已被修改",
	whyChangedLost:  "生成计划后该对象已被修改，现值未知",
	whyWaits:        "生成计划后该对象有另一个变更在等待",
	whyBusy:         "该对象正被其他任务修改",
	whyLater:        "该对象有更新的变更",
	whyTwin:         "%s对同一对象要求另一个值",
	whySame:         "与%s相同",
	whyNoTask:       "该行没有任务",
	whyKey:          "已存有相同 key 的任务：%s",
	whySource:       "来源已发送更大的序号",
	whyForgotten:    "该行的记录已被清除",
	whyLooksDamaged: "可能在传递中被其他程序损坏",
	whyNumber:       "是数字或日期，不像姓名",
	whyInvisible:    "含有不可见字符",
	whyLostChinese:  "原有汉字，现在没有了",

	whyNotEnded:     "该行尚未结束",
	whyNotChanged:   "本批次没有修改它：%s",
	whyKind:         "%s 类变更无法撤销",
	whyMembers:      "添加或移除的成员无法撤销：请手动添加或移除",
	whyOldUnknown:   "原值未知",
	whyRepair:       "该对象的记录已损坏：用 rollcall repair 查看",
	whyLaterUnknown: "之后一次变更的结果未知",
	whyLaterWaits:   "之后有变更在等待（任务 %s）",
	whyChangedAfter: "之后已被修改",
	whySameAgain:    "之后被修改过，又改回了相同的值",
	whyLeftOut:      "撤销时未包含该行",
	whyNotThen:      "生成撤销时该行无法撤销",
}

// place names a row for a person: by its number, and its line in its file where that is
// known.
func place(number, line int) string {
	if line == 0 {
		return fmt.Sprintf("row %d", number)
	}
	return fmt.Sprintf("row %d, line %d", number, line)
}
