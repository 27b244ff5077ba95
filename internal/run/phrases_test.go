package run_test

import (
	"strings"
	"testing"
	"unicode"

	"rollcall/internal/run"
)

func TestWhatGuardsFindAndHowFarARunIsAreTranslated(t *testing.T) {
	t.Parallel()
	for en, zh := range map[string]string{
		"new values that look damaged: 12":                                                                        "12 个新值看起来已损坏",
		"60 of 100 known names change; 12 of 20 in chat dt/chat1":                                                 "已知名字中有 60/100 个将改变；12/20 个在群聊 dt/chat1 中",
		"rows that remove members from chats: 3 (--prune)":                                                        "3 行会移除群成员（--prune）",
		"canary: 3 of 20 first rows have not ended":                                                               "试跑：前 20 行中还有 3 行未结束",
		"8 of 9 rows are in the queues or have ended; 7 have ended, 1 failed":                                     "8/9 行已进入队列或已结束；7 行已结束，1 行失败",
		"5 of 10 rows that ended failed, more than 20 %; most often: rejected 40035":                              "已结束的行中有 5/10 行失败，超过 20 %；最常见的原因：rejected 40035",
		"9 calls are more than the month of lakeside has left: 3 of 10, of which 1 are reserved for urgent tasks": "9 次调用超过 lakeside 本月剩余调用量：剩余 3/10，其中 1 次保留给紧急任务",
		"the run did not change it: failed":                                                                       "本批次没有修改它：失败",
		"12 of 20 known names change in chat dt/chat1":                                                            "已知名字中有 12/20 个在群聊 dt/chat1 中改变",
		"wrong list; ask Ann": "wrong list; ask Ann",
	} {
		if got := run.Chinese(en); got != zh {
			t.Errorf("%s: %s, want %s", en, got, zh)
		}
	}
}

// A phrase that is not translated stays as it is.
func TestEveryPhraseIsTranslated(t *testing.T) {
	t.Parallel()
	for _, phrase := range run.Phrases() {
		en := strings.NewReplacer("%d", "1", "%s", "x", "%.0f %%", "20 %").Replace(phrase)
		zh := run.Chinese(en)
		if !strings.ContainsFunc(zh, func(r rune) bool { return unicode.Is(unicode.Han, r) }) || strings.Contains(zh, "%!") {
			t.Errorf("%s: %s", en, zh)
		}
	}
}
