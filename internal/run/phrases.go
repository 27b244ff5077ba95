package run

// What guards find, how far a run is, and why one is in its state. They are stored in English;
// Chinese translates them.
const (
	saysSuspicious = "new values that look damaged: %d"
	saysEqualNames = "rows that give members of one chat the same name: %d"
	saysChinese    = "names that lose their Chinese characters: %d"
	saysRemovals   = "rows that remove members from chats: %d"
	saysIDs        = "rows that change a DingTalk ID, which cannot be changed again for a year: %d"
	saysQuota      = "%d calls are more than the month of %s has left: %d of %d, of which %d are reserved for urgent tasks"
	saysChanges    = "%d of %d known names change"
	saysInChat     = "%d of %d in chat %s"
	saysOfChat     = "%d of %d known names change in chat %s"

	saysFailing  = "%d of %d rows that ended failed, more than %.0f %%"
	saysMost     = "most often: %s"
	saysExpired  = "the plan was not applied in time"
	saysCompared = "%d of %d rows compared again"
	saysFed      = "%d of %d rows are in the queues or have ended"
	saysEnded    = "%d have ended, %d failed"
	saysCanary   = "canary: %d of %d first rows have not ended"
)

// chinesePhrases are they in Chinese, with the same arguments in the same order, as texts.
var chinesePhrases = map[string]string{
	saysSuspicious: "%s 个新值看起来已损坏",
	saysEqualNames: "%s 行会使同一群聊内的成员重名",
	saysChinese:    "%s 个名字将不再含有汉字",
	saysRemovals:   "%s 行会移除群成员",
	saysIDs:        "%s 行会修改钉钉号，修改后一年内不能再改",
	saysQuota:      "%s 次调用超过 %s 本月剩余调用量：剩余 %s/%s，其中 %s 次保留给紧急任务",
	saysChanges:    "已知名字中有 %s/%s 个将改变",
	saysInChat:     "%s/%s 个在群聊 %s 中",
	saysOfChat:     "已知名字中有 %s/%s 个在群聊 %s 中改变",
	saysFailing:    "已结束的行中有 %s/%s 行失败，超过 %s %%",
	saysMost:       "最常见的原因：%s",
	saysExpired:    "计划未在有效期内执行",
	saysCompared:   "已重新比对 %s/%s 行",
	saysFed:        "%s/%s 行已进入队列或已结束",
	saysEnded:      "%s 行已结束，%s 行失败",
	saysCanary:     "试跑：前 %[2]s 行中还有 %[1]s 行未结束",
}
