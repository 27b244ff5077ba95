package night

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"rollcall/internal/console"
	"rollcall/internal/run"
	"rollcall/internal/source"
)

// Language is that of a report for people.
type Language string

// The languages of a report.
const (
	English Language = "en"
	Chinese Language = "zh"
)

// Of returns the text in the language.
func (l Language) Of(en, zh string) string {
	if l == Chinese {
		return zh
	}
	return en
}

// count is "1 call" or "3 calls", in Chinese a text with the number.
func (l Language) count(n int, en, zh string) string {
	if l == Chinese {
		return fmt.Sprintf(zh, n)
	}
	return console.Count(n, en)
}

// Line is one line of a report for people.
type Line struct {
	Label, Text string
	Bad         bool // rows or members that differ from the roster, or a source that was not read
}

// word is a word in both languages.
type word struct{ en, zh string }

// in returns the word of a key in a language, or the key itself.
func in[K ~string](l Language, words map[K]word, key K) string {
	w := words[key]
	return cmp.Or(l.Of(w.en, w.zh), string(key))
}

// states are the words for the states of a night.
func states() map[State]word {
	return map[State]word{
		StateWaiting: {"waiting for its source", "等待来源"}, StateSending: {"sending", "正在发送"}, StateHeld: {"held", "待审批"},
		StatePaused: {"paused", "已暂停"}, StateDone: {"done", "已完成"}, StateFailed: {"failed", "失败"},
		StateReplaced: {"replaced by a newer night", "已由新一晚取代"}, StateExpired: {"expired without an approval", "审批已过期"},
		StateRejected: {"rejected", "已驳回"}, StateStopped: {"cancelled", "已取消"},
	}
}

// causes are what a person reads about a source that cannot be used.
func causes() map[source.Cause]word {
	return map[source.Cause]word{
		source.Down: {"cannot be reached", "无法连接"}, source.Slow: {"took too long", "读取超时"},
		source.Refused: {"refused the access", "没有权限或凭证错误"}, source.Malformed: {"cannot be understood", "内容无法识别"},
		source.Missing: {"does not exist", "不存在"}, source.NotReady: {"is not finished, or too old", "尚未写完或过旧"},
		source.Empty: {"is empty", "为空"}, source.TooLarge: {"is too large", "过大"},
	}
}

// decisions are what a person reads about a guard that holds a night.
func decisions() map[string]word {
	return map[string]word{
		GuardIncomplete: {"the source was not read to its end", "花名册没有读完"},
		GuardOlder:      {"the content is older than that of the last night", "内容比上一晚旧"},
		GuardRule:       {"the rule or the columns were changed", "规则或列有改动"},
		GuardShrunk:     {"members of the last roster are missing", "成员减少过多"},
		GuardInvalid:    {"many rows cannot be used", "无法使用的行过多"},
		GuardRemoved:    {"many members are to be removed", "要移出的成员过多"},

		run.GuardChanges: {"many names change", "改名过多"}, run.GuardSuspicious: {"some values look damaged", "有可疑的值"},
		run.GuardEqualNames: {"many people would have one name", "重名过多"}, run.GuardChinese: {"names lose their Chinese characters", "姓名丢失汉字"},
		run.GuardQuota: {"the month has too few calls", "本月调用量不足"}, run.GuardRemovals: {"members are to be removed", "要移出成员"},
		run.GuardIDs: {"IDs are to be changed", "要修改钉钉号"}, "paused": {"the run is paused", "发送已暂停"},
	}
}

// Title names the night and its state, in the zone of the time.
func (r Report) Title(l Language, zone *time.Location) string {
	at := r.Tick.In(zone).Format("2006-01-02 15:04 UTC-07:00")
	return fmt.Sprintf(l.Of("%s, night of %s: %s", "%s，%s 的同步：%s"), r.Schedule, at, in(l, states(), r.State))
}

// Decisions are why a person must decide, one text each. A report without the details has
// the names alone.
func (r Report) Decisions(l Language) []string {
	var all []string
	for _, why := range r.Decide {
		name, detail, _ := strings.Cut(why, ": ")
		text := in(l, decisions(), name)
		if cause, ofSource := strings.CutPrefix(name, "source "); ofSource {
			text = l.Of("the source ", "来源") + in(l, causes(), source.Cause(cause))
		}
		if detail != "" {
			text += l.Of(": ", "：") + detail
		}
		all = append(all, text)
	}
	return all
}

// Lines are the counts of the report, without those that are 0 and need no words.
func (r Report) Lines(l Language, zone *time.Location) []Line {
	var all []Line
	add := func(label string, bad bool, texts ...string) {
		texts = slices.DeleteFunc(texts, func(t string) bool { return t == "" })
		if len(texts) > 0 {
			all = append(all, Line{Label: label, Text: strings.Join(texts, l.Of(", ", "，")), Bad: bad})
		}
	}
	some := func(n int, en, zh string) string {
		if n == 0 {
			return ""
		}
		return fmt.Sprintf(l.Of(en, zh), n)
	}
	add(l.Of("source", "来源"), r.Cause != "" || r.Rows > 0 && !r.Complete, r.ofSource(l, zone)...)
	if r.Cause != "" {
		return all // nothing was compared
	}
	add(l.Of("unchanged", "无变化"), false, fmt.Sprintf(l.Of("%d", "%d 行"), r.Unchanged))
	add(l.Of("sent", "发送"), false, fmt.Sprintf(l.Of("%d planned", "计划 %d 行"), r.Planned),
		l.count(r.Calls, "call", "调用 %d 次"), fmt.Sprintf(l.Of("%d accepted", "成功 %d 行"), r.Applied))
	add(l.Of("failed", "失败"), true, counted(l, r.Failed)...)
	add(l.Of("set aside", "暂不发送"), true, counted(l, r.SetAside)...)
	add(l.Of("not sent", "未发送"), true, some(r.Conflicts, "%d in conflict", "矛盾 %d 行"), some(r.Impossible, "%d cannot be used", "无法使用 %d 行"))
	add(l.Of("carried over", "顺延"), true, some(r.CarriedOver, "%d for lack of calls", "因调用量不足 %d 行"))
	add(l.Of("members", "成员"), r.Missing+r.Removed > 0, some(r.Missing, "%d missing", "缺少 %d 人"), some(r.Returned, "%d returned", "回来 %d 人"),
		some(r.Removed, "%d removed", "移出 %d 人"), some(r.Restored, "%d added again", "重新加入 %d 人"))
	add(l.Of("drift", "偏差"), r.Drift > 0, fmt.Sprintf(l.Of("%d may differ from the platform", "可能与平台不一致 %d 行"), r.Drift))
	if f := r.Forecast; f != nil {
		add(l.Of("forecast", "调用量"), false, f.text(l))
	}
	return all
}

// ofSource describes the reading.
func (r Report) ofSource(l Language, zone *time.Location) []string {
	if r.Cause != "" {
		return []string{in(l, causes(), r.Cause), r.Why}
	}
	texts := []string{l.count(r.Rows, "row", "%d 行"), l.Of("read to the end", "已读完")}
	if !r.Complete {
		texts[1] = l.Of("not complete", "不完整")
	}
	if !r.Modified.IsZero() {
		texts = append(texts, l.Of("content of ", "内容时间 ")+r.Modified.In(zone).Format("2006-01-02 15:04"))
	}
	if r.Same {
		texts = append(texts, l.Of("the same as the last night", "与上一晚相同"))
	}
	return append(texts, r.Why)
}

func (f Forecast) text(l Language) string {
	left := fmt.Sprintf(l.Of("%[2]s left for %[1]s", "%[1]s 本月还剩 %[3]d 次"), f.Organisation, console.Count(int(f.Left), "call"), f.Left)
	if f.Nights < 0 {
		return left
	}
	return left + fmt.Sprintf(l.Of(", %.1f a night: ", "，每晚 %.1f 次，"), f.PerNight) + l.count(f.Nights, "night", "可用 %d 晚")
}

// counted are rows by cause, those with most rows first.
func counted(l Language, by map[string]int) []string {
	names := slices.SortedFunc(maps.Keys(by), func(a, b string) int { return cmp.Or(cmp.Compare(by[b], by[a]), cmp.Compare(a, b)) })
	for i, name := range names {
		names[i] = fmt.Sprintf(l.Of("%d %s", "%[2]s %[1]d 行"), by[name], name)
	}
	return names
}

// Summary is the report in one line.
func (r Report) Summary(l Language) string {
	text := in(l, states(), r.State)
	if r.Cause != "" {
		return text + l.Of(": the source ", "：来源") + in(l, causes(), r.Cause)
	}
	text += fmt.Sprintf(l.Of(": %s, %d unchanged, %s, %d accepted", "：%s，无变化 %d 行，%s，成功 %d 行"),
		l.count(r.Rows, "row", "%d 行"), r.Unchanged, l.count(r.Calls, "call", "调用 %d 次"), r.Applied)
	if n := sum(r.Failed); n > 0 {
		text += fmt.Sprintf(l.Of(", %d failed", "，失败 %d 行"), n)
	}
	if r.Drift > 0 {
		text += fmt.Sprintf(l.Of(", drift %d", "，偏差 %d 行"), r.Drift)
	}
	return text
}
